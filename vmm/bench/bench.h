/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_BENCH_H
#define MOTE_BENCH_BENCH_H

/*
 * `mote bench`: one job, under everything that is here, measured along some axes.
 * Fair means: the same static program and root, one clock, contenders in random
 * order round by round, an unmeasured start of each before, a failure shown as
 * one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bench/bench_options.h"
#include "vmm/bench/bench_progress.h"
#include "vmm/bench/instance.h"
#include "vmm/bench/results.h"
#include "vmm/bench/workshop.h"

struct bench {
    const struct bench_options *options;
    struct workshop workshop;
    struct results results;
    struct bench_progress progress;
    int64_t deadline; /* ns; of --quick, else of no consequence */
    uint64_t random;
    const volatile bool *stop; /* the user has had enough */
};

#define BENCH_RUNS_DEFAULT 20

/* What is measured: a table of them is run from the first to the last. */
struct axis {
    const char *name;  /* as --axes has it */
    const char *title; /* for the progress line */
    double share;      /* of --quick's time; 0: is left out there */
    double (*estimate)(const struct bench *bench); /* ms that it takes */
    void (*run)(struct bench *bench, const struct axis *axis, int64_t deadline);
};

const struct axis *bench_axes(size_t *count);

/* Whether the axis of that NAME will be measured. */
bool bench_has_axis(const struct bench *bench, const char *name);

/* Few starts are wanted: the other axes are brief, too. */
bool bench_is_brief(const struct bench *bench);

/* Runs the axes; fails only where nothing at all can be measured. */
int bench_measure(struct bench *bench, struct error *error);

/* ---- for the axes --------------------------------------------------------- */

/* Whether ENTRY has worked so far. */
bool bench_is_able(const struct entry *entry);

/* Shows that this much of AXIS is done, from 0 to 1. */
void bench_tell(struct bench *bench, const struct axis *axis, double done,
                const struct entry *entry);

/* Whether no more may be begun: it is late, or the user has had enough. */
bool bench_is_over(const struct bench *bench, int64_t deadline);

/* Whether there is time for COUNT starts of ENTRY. */
bool bench_has_time(const struct bench *bench, const struct entry *entry, double count,
                    int64_t deadline);

/* Starts ENTRY; a failure is noted with it. */
bool bench_start(struct bench *bench, struct entry *entry, enum job_mode mode,
                 struct instance *instance);

/* Waits for the end of ENTRY's INSTANCES, ending those that have no end of their own; notes failures. */
bool bench_finish(struct bench *bench, struct entry *entry, struct instance *instances,
                  size_t count);

/*
 * Ends what of them still runs or was left in the background, and charges that to
 * the first.  They are still to be closed.
 */
void bench_settle(struct instance *instances, size_t count);

/* The three together, for one: its marks and figures stay readable, and all else is closed. */
bool bench_run(struct bench *bench, struct entry *entry, enum job_mode mode,
               struct instance *instance);

/* Starts one at a time, each contender once a round. */
struct bench_rounds {
    enum job_mode mode;  /* those that take part in it */
    unsigned int count;
    bool (*prepare)(void); /* before each start; NULL: nothing.  False: it is left out */
    void (*record)(struct entry *entry, const struct instance *instance); /* of one that was good */
};

/* In another order each time, as far as there is time. */
void bench_run_rounds(struct bench *bench, const struct axis *axis, int64_t deadline,
                      const struct bench_rounds *rounds);

void bench_add(struct entry *entry, enum metric metric, double value);
void bench_failed(struct entry *entry, const char *reason);

/* The axes, by file. */
double axis_start_estimate(const struct bench *bench);
void axis_start(struct bench *bench, const struct axis *axis, int64_t deadline);
double axis_cold_estimate(const struct bench *bench);
void axis_cold(struct bench *bench, const struct axis *axis, int64_t deadline);
double axis_at_once_estimate(const struct bench *bench);
void axis_at_once(struct bench *bench, const struct axis *axis, int64_t deadline);
double axis_rate_estimate(const struct bench *bench);
void axis_rate(struct bench *bench, const struct axis *axis, int64_t deadline);
double axis_memory_estimate(const struct bench *bench);
void axis_memory(struct bench *bench, const struct axis *axis, int64_t deadline);
double axis_density_estimate(const struct bench *bench);
void axis_density(struct bench *bench, const struct axis *axis, int64_t deadline);
double axis_io_estimate(const struct bench *bench);
void axis_block(struct bench *bench, const struct axis *axis, int64_t deadline);
void axis_network(struct bench *bench, const struct axis *axis, int64_t deadline);

/* own_steps.c: where the time of `mote run` goes. */
void bench_own_steps(struct bench *bench, unsigned int runs);

#endif
