/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/results.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"

const struct metric_info metrics[METRIC_COUNT] = {
    [METRIC_RESULT] = { "start.result", "the result reaches the parent", "ms" },
    [METRIC_WORKLOAD] = { "start.workload", "the job's first instructions", "ms" },
    [METRIC_END] = { "start.end", "wait() returns", "ms" },
    [METRIC_FREED] = { "start.freed", "no process of it is left", "ms" },
    [METRIC_CPU] = { "start.cpu", "CPU time of all its processes", "ms" },
    [METRIC_COLD_RESULT] = { "cold.result", "the result, cold page cache", "ms" },
    [METRIC_COLD_END] = { "cold.end", "wait() returns, cold page cache", "ms" },
    [METRIC_AT_ONCE_1] = { "at_once.1", "the result of one", "ms" },
    [METRIC_AT_ONCE_CPUS] = { "at_once.cpus", "the last result of as many as CPUs", "ms" },
    [METRIC_AT_ONCE_4_CPUS] = { "at_once.4_cpus", "the last result of four times as many", "ms" },
    [METRIC_AT_ONCE_N] = { "at_once.n", "the last result of --at-once", "ms" },
    [METRIC_RATE] = { "rate", "started and ended", "per second" },
    [METRIC_PSS] = { "memory.one", "PSS of the first", "MiB" },
    [METRIC_PSS_SLOPE] = { "memory.pss", "PSS of each further one", "MiB" },
    [METRIC_HELD_SLOPE] = { "memory.held", "free memory that each further one takes", "MiB" },
    [METRIC_DENSITY] = { "density", "idle ones within the memory budget", "instances" },
    [METRIC_BLOCK_RANDOM] = { "block.random", "4 KiB here and there, read for the first time",
                              "per second" },
    [METRIC_BLOCK_STREAM] = { "block.stream", "one MiB after the other, read for the first time",
                              "MiB/s" },
    [METRIC_NETWORK_TRIPS] = { "network.trips", "a byte to the host and back by TCP",
                               "per second" },
    [METRIC_NETWORK_OUT] = { "network.out", "data to the host by TCP", "MiB/s" },
};

const struct section sections[] = {
    { "Start of one, warm page cache, in ms from its spawn", METRIC_RESULT,
      { { "result p50", METRIC_RESULT, STATISTIC_P50 }, { "p90", METRIC_RESULT, STATISTIC_P90 },
        { "p99", METRIC_RESULT, STATISTIC_P99 }, { "max", METRIC_RESULT, STATISTIC_MAXIMUM },
        { "job's first", METRIC_WORKLOAD, STATISTIC_P50 }, { "end p50", METRIC_END, STATISTIC_P50 },
        { "freed p50", METRIC_FREED, STATISTIC_P50 }, { "CPU p50", METRIC_CPU, STATISTIC_P50 } } },
    { "Start of one, cold page cache, in ms from its spawn", METRIC_COLD_RESULT,
      { { "result p50", METRIC_COLD_RESULT, STATISTIC_P50 },
        { "p90", METRIC_COLD_RESULT, STATISTIC_P90 },
        { "max", METRIC_COLD_RESULT, STATISTIC_MAXIMUM },
        { "end p50", METRIC_COLD_END, STATISTIC_P50 } } },
    { "Many at once, in ms from the first spawn to the last result, p50", METRIC_AT_ONCE_4_CPUS,
      { { "1", METRIC_AT_ONCE_1, STATISTIC_P50 }, { "CPUs", METRIC_AT_ONCE_CPUS, STATISTIC_P50 },
        { "4 x CPUs", METRIC_AT_ONCE_4_CPUS, STATISTIC_P50 },
        { "--at-once", METRIC_AT_ONCE_N, STATISTIC_P50 } } },
    { "Started and ended, as many as CPUs side by side, per second", METRIC_RATE,
      { { "per second", METRIC_RATE, STATISTIC_P50 } } },
    { "Memory of idle ones, in MiB", METRIC_PSS_SLOPE,
      { { "PSS of one", METRIC_PSS, STATISTIC_P50 },
        { "PSS of each more", METRIC_PSS_SLOPE, STATISTIC_P50 },
        { "free memory", METRIC_HELD_SLOPE, STATISTIC_P50 } } },
    { "Idle ones within the memory budget", METRIC_DENSITY,
      { { "instances", METRIC_DENSITY, STATISTIC_P50 } } },
    { "Reads of what the host has in memory and the job has not seen yet, p50", METRIC_BLOCK_STREAM,
      { { "4 KiB /s", METRIC_BLOCK_RANDOM, STATISTIC_P50 },
        { "MiB/s", METRIC_BLOCK_STREAM, STATISTIC_P50 } } },
    { "TCP to a server on the host, p50", METRIC_NETWORK_OUT,
      { { "trips /s", METRIC_NETWORK_TRIPS, STATISTIC_P50 },
        { "MiB/s out", METRIC_NETWORK_OUT, STATISTIC_P50 } } },
};
const size_t section_count = ARRAY_LENGTH(sections);

int results_init(struct results *results)
{
    const struct contender *rows = contenders(&results->count);

    results->entries = calloc(results->count, sizeof(*results->entries));
    if (!results->entries)
        return -ENOMEM;
    for (size_t i = 0; i < results->count; i++)
        results->entries[i].contender = &rows[i];
    return 0;
}

void results_release(struct results *results)
{
    for (size_t i = 0; results->entries && i < results->count; i++)
        for (size_t j = 0; j < METRIC_COUNT; j++)
            samples_release(&results->entries[i].samples[j]);
    free(results->entries);
    results->entries = NULL;
    results->count = 0;
}

struct entry *results_find(const struct results *results, const char *name)
{
    for (size_t i = 0; i < results->count; i++)
        if (strcmp(results->entries[i].contender->name, name) == 0)
            return &results->entries[i];
    return NULL;
}

double entry_value(const struct entry *entry, enum metric metric, enum statistic statistic)
{
    struct summary summary = samples_summary(&entry->samples[metric]);

    switch (statistic) {
    case STATISTIC_P50:
        return summary.p50;
    case STATISTIC_P90:
        return summary.p90;
    case STATISTIC_P99:
        return summary.p99;
    default:
        return summary.maximum;
    }
}

double entry_ratio(const struct results *results, const struct entry *entry, enum metric metric)
{
    const struct entry *base = results_find(results, entry->contender->base);
    double own = entry_value(entry, metric, STATISTIC_P50), other;

    if (!base || base->samples[metric].count == 0 || entry->samples[metric].count == 0)
        return 0;
    other = entry_value(base, metric, STATISTIC_P50);
    return other > 0 ? own / other : 0;
}

bool entry_has_figures(const struct entry *entry, const struct section *section)
{
    for (const struct section_column *column = section->columns; column->title; column++)
        if (entry->samples[column->metric].count > 0)
            return true;
    return false;
}

bool section_has_figures(const struct results *results, const struct section *section)
{
    for (size_t i = 0; i < results->count; i++)
        if (entry_has_figures(&results->entries[i], section))
            return true;
    return false;
}

void results_note(struct results *results, const char *format, ...)
{
    va_list arguments;

    if (results->note_count == ARRAY_LENGTH(results->notes))
        return;
    va_start(arguments, format);
    vsnprintf(results->notes[results->note_count++], sizeof(results->notes[0]), format, arguments);
    va_end(arguments);
}
