/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_RESULTS_H
#define MOTE_BENCH_RESULTS_H

/*
 * What was measured: of each contender, samples of each metric.  The axes fill
 * it, the reports read it; neither knows the others.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bench/contenders.h"
#include "vmm/bench/host.h"
#include "vmm/bench/statistics.h"

enum metric {
    METRIC_RESULT, METRIC_WORKLOAD, METRIC_END, METRIC_FREED, METRIC_CPU,
    METRIC_COLD_RESULT, METRIC_COLD_END,
    METRIC_AT_ONCE_1, METRIC_AT_ONCE_CPUS, METRIC_AT_ONCE_4_CPUS, METRIC_AT_ONCE_N,
    METRIC_RATE,
    METRIC_PSS, METRIC_PSS_SLOPE, METRIC_HELD_SLOPE,
    METRIC_DENSITY,
    METRIC_BLOCK_RANDOM, METRIC_BLOCK_STREAM,
    METRIC_NETWORK_TRIPS, METRIC_NETWORK_OUT,
    METRIC_COUNT,
};

struct metric_info {
    const char *key; /* for programs */
    const char *title;
    const char *unit;
};

extern const struct metric_info metrics[METRIC_COUNT];

enum statistic { STATISTIC_P50, STATISTIC_P90, STATISTIC_P99, STATISTIC_MAXIMUM, STATISTIC_COUNT };

/* A table of a report. */
struct section {
    const char *title;
    enum metric ratio; /* the metric that contenders are compared by, at its p50 */
    struct section_column {
        const char *title; /* NULL ends them */
        enum metric metric;
        enum statistic statistic;
    } columns[9];
};

extern const struct section sections[];
extern const size_t section_count;

/* One contender and what came of it. */
struct entry {
    const struct contender *contender;
    bool chosen;            /* to be measured */
    char program[PATH_MAX]; /* empty: it is not here */
    char version[128];      /* the first line of what it says of itself */
    char failure[1000];     /* the last one's reason; empty: none */
    unsigned int failures;
    double typical_ms;      /* of one start, from the unmeasured one; 0: none worked */
    bool has_lent_storage;  /* its @storage is in the workshop's folder */
    struct samples samples[METRIC_COUNT];
};

/* A step of Mote's own start: its p50 over some starts. */
struct step {
    char name[64];
    double ms;
};

#define STEPS_MAX 64

struct results {
    struct host host;
    char kernel[PATH_MAX], stock_kernel[PATH_MAX]; /* empty: none */
    uint64_t memory_budget;                        /* bytes, of the density axis */
    struct entry *entries;
    size_t count;
    struct step steps[STEPS_MAX];
    size_t step_count;
    char notes[6][256]; /* what was left out, and why */
    size_t note_count;
};

/* All of the table's contenders, nothing measured yet; 0 or -ENOMEM. */
int results_init(struct results *results);
void results_release(struct results *results);

/* The entry of a contender's NAME, or NULL. */
struct entry *results_find(const struct results *results, const char *name);

double entry_value(const struct entry *entry, enum metric metric, enum statistic statistic);

/* The p50 of METRIC as a multiple of the base's; 0 where either has none. */
double entry_ratio(const struct results *results, const struct entry *entry, enum metric metric);

/* Whether any contender has a figure in SECTION, or this one. */
bool section_has_figures(const struct results *results, const struct section *section);
bool entry_has_figures(const struct entry *entry, const struct section *section);

void results_note(struct results *results, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
