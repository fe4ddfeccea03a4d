/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/statistics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int samples_add(struct samples *samples, double value)
{
    if (samples->count == samples->capacity) {
        size_t capacity = samples->capacity ? samples->capacity * 2 : 32;
        double *values = reallocarray(samples->values, capacity, sizeof(*values));

        if (!values)
            return -ENOMEM;
        samples->values = values;
        samples->capacity = capacity;
    }
    samples->values[samples->count++] = value;
    return 0;
}

void samples_release(struct samples *samples)
{
    free(samples->values);
    *samples = (struct samples){ .values = NULL };
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

double *samples_sorted(const struct samples *samples)
{
    double *values;

    if (samples->count == 0)
        return NULL;
    values = calloc(samples->count, sizeof(*values));
    if (!values)
        return NULL;
    memcpy(values, samples->values, samples->count * sizeof(*values));
    qsort(values, samples->count, sizeof(*values), by_value);
    return values;
}

/* The nearest rank: the smallest value that PERCENT of all are not above. */
static double percentile(const double *sorted, size_t count, unsigned int percent)
{
    size_t rank = (count * percent + 99) / 100;

    return sorted[rank ? rank - 1 : 0];
}

struct summary samples_summary(const struct samples *samples)
{
    double *sorted = samples_sorted(samples);
    struct summary summary = { .count = 0 };

    if (!sorted)
        return summary;
    summary = (struct summary){
        .count = samples->count,
        .minimum = sorted[0],
        .p25 = percentile(sorted, samples->count, 25),
        .p50 = percentile(sorted, samples->count, 50),
        .p75 = percentile(sorted, samples->count, 75),
        .p90 = percentile(sorted, samples->count, 90),
        .p99 = percentile(sorted, samples->count, 99),
        .maximum = sorted[samples->count - 1],
    };
    free(sorted);
    return summary;
}

double slope(const double *x, const double *y, size_t count)
{
    double mean_x = 0, mean_y = 0, above = 0, below = 0;

    for (size_t i = 0; i < count; i++) {
        mean_x += x[i] / (double)count;
        mean_y += y[i] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        above += (x[i] - mean_x) * (y[i] - mean_y);
        below += (x[i] - mean_x) * (x[i] - mean_x);
    }
    return below > 0 ? above / below : 0;
}

uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void shuffle(size_t *order, size_t count, uint64_t *state)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)(random_next(state) % i), kept = order[i - 1];

        order[i - 1] = order[other];
        order[other] = kept;
    }
}
