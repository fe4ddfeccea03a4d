/* SPDX-License-Identifier: Apache-2.0 */
/* One at a time, contenders in random order within each round: warm, and cold. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/bench/bench.h"
#include "vmm/cleanup.h"

#define MS 1e6
#define COLD_RUNS_DEFAULT 5

static unsigned int runs_of(const struct bench *bench, unsigned int otherwise)
{
    return bench->options->runs ? bench->options->runs : otherwise;
}

static double round_ms(const struct bench *bench)
{
    double sum = 0;

    for (size_t i = 0; i < bench->results.count; i++)
        if (bench_is_able(&bench->results.entries[i]))
            sum += bench->results.entries[i].typical_ms;
    return sum;
}

double axis_start_estimate(const struct bench *bench)
{
    return round_ms(bench) * runs_of(bench, BENCH_RUNS_DEFAULT);
}

/* Cold ones take longer; nobody knows how much. */
double axis_cold_estimate(const struct bench *bench)
{
    return 3 * round_ms(bench) * runs_of(bench, COLD_RUNS_DEFAULT);
}

/* The monotonic clock's zero is the host's boot: what a guest says is far from our own. */
static bool shares_our_clock(const struct instance *instance)
{
    return instance->workload >= instance->spawned && instance->workload <= instance->result;
}

static void record(struct entry *entry, const struct instance *instance, bool cold)
{
    double result = (double)(instance->result - instance->spawned) / MS;
    double end = (double)(instance->ended - instance->spawned) / MS;

    bench_add(entry, cold ? METRIC_COLD_RESULT : METRIC_RESULT, result);
    bench_add(entry, cold ? METRIC_COLD_END : METRIC_END, end);
    if (cold)
        return;
    if (entry->contender->class <= CLASS_CONTAINER && shares_our_clock(instance))
        bench_add(entry, METRIC_WORKLOAD, (double)(instance->workload - instance->spawned) / MS);
    if (instance->freed)
        bench_add(entry, METRIC_FREED, (double)(instance->freed - instance->spawned) / MS);
    bench_add(entry, METRIC_CPU, instance->cpu_ms);
}

static void run_one(struct bench *bench, struct entry *entry, bool cold)
{
    struct instance instance;

    if (bench_run(bench, entry, JOB_ONCE, &instance))
        record(entry, &instance, cold);
}

/* Dirty pages are not dropped: they are written first. */
static bool drop_caches(void)
{
    cleanup_fd int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

    sync();
    return fd >= 0 && write(fd, "3", 1) == 1;
}

static void run_rounds(struct bench *bench, const struct axis *axis, int64_t deadline,
                       unsigned int rounds, bool cold)
{
    cleanup_free size_t *order = calloc(bench->results.count, sizeof(*order));
    size_t count = bench->results.count;

    for (size_t i = 0; order && i < count; i++)
        order[i] = i;
    for (unsigned int round = 0; order && round < rounds; round++) {
        shuffle(order, count, &bench->random);
        for (size_t i = 0; i < count; i++) {
            struct entry *entry = &bench->results.entries[order[i]];

            /* The first round goes on for as long as there is time at all: all have one. */
            if (!bench_is_able(entry) ||
                !bench_has_time(bench, entry, 1, round > 0 ? deadline : bench->deadline))
                continue;
            bench_tell(bench, axis, (double)round / rounds, entry);
            if (!cold || drop_caches())
                run_one(bench, entry, cold);
        }
    }
}

void axis_start(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    run_rounds(bench, axis, deadline, runs_of(bench, BENCH_RUNS_DEFAULT), false);
}

void axis_cold(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    if (!drop_caches()) {
        results_note(&bench->results, "cold starts are not measured: only root may drop the page "
                     "cache");
        return;
    }
    run_rounds(bench, axis, deadline, runs_of(bench, COLD_RUNS_DEFAULT), true);
}
