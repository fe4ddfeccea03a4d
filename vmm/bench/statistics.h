/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_STATISTICS_H
#define MOTE_BENCH_STATISTICS_H

/*
 * Samples and what is said of them.  Start times have a long tail: the mean and
 * the standard deviation tell little, so it is percentiles, by the nearest rank:
 * each is a value that was measured.  A p99 of fewer than a hundred samples is
 * their maximum.
 */

#include <stddef.h>
#include <stdint.h>

/* In the order they were taken; release by samples_release(). */
struct samples {
    double *values;
    size_t count, capacity;
};

struct summary {
    size_t count; /* the others are 0 where this is */
    double minimum, p25, p50, p75, p90, p99, maximum;
};

/* 0 or -ENOMEM. */
int samples_add(struct samples *samples, double value);
void samples_release(struct samples *samples);

/* A copy in rising order, which the caller frees; NULL for none, or without memory. */
double *samples_sorted(const struct samples *samples);
struct summary samples_summary(const struct samples *samples);

/* The least-squares slope of Y over X, COUNT of each; 0 where all X are the same. */
double slope(const double *x, const double *y, size_t count);

/* An xorshift generator: STATE is not 0. */
uint64_t random_next(uint64_t *state);
/* Every order of the COUNT numbers is as likely as any other (Fisher and Yates). */
void shuffle(size_t *order, size_t count, uint64_t *state);

#endif
