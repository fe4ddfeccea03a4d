/* SPDX-License-Identifier: Apache-2.0 */
/* Several at a time: as a burst, and as a stream. */
#include <stdlib.h>

#include "vmm/bench/bench.h"
#include "vmm/base/cleanup.h"

#define MS 1e6
#define REPETITIONS 5
#define RATE_MS 5000.0
#define RATE_BRIEF_MS 1500.0

static const struct burst {
    enum metric metric;
    unsigned int fixed, per_cpu; /* how many: either, or for each CPU */
} bursts[] = {
    { METRIC_AT_ONCE_1, 1, 0 },
    { METRIC_AT_ONCE_CPUS, 0, 1 },
    { METRIC_AT_ONCE_4_CPUS, 0, 4 },
};

static unsigned int repetitions(const struct bench *bench)
{
    return bench_is_brief(bench) ? 1 : REPETITIONS;
}

/* With a CPU each they do not wait for one another: as many rounds as that. */
double axis_at_once_estimate(const struct bench *bench)
{
    double wanted = (double)bench->options->at_once / (double)bench->results.host.cpus;
    double sum = 0;

    for (size_t i = 0; i < bench->results.count; i++)
        if (bench_is_able(&bench->results.entries[i]))
            sum += bench->results.entries[i].typical_ms *
                   ((1 + 1 + 4) * repetitions(bench) + wanted);
    return sum;
}

static void settle(struct instance *instances, size_t count)
{
    bench_settle(instances, count);
    for (size_t i = 0; i < count; i++)
        instance_close(&instances[i]);
}

static void burst(struct bench *bench, struct entry *entry, enum metric metric, size_t count)
{
    cleanup_free struct instance *instances = calloc(count, sizeof(*instances));
    int64_t last = 0;
    size_t started = 0;

    while (instances && started < count &&
           bench_start(bench, entry, JOB_ONCE, &instances[started]))
        started++;
    if (started == count && bench_finish(bench, entry, instances, count)) {
        for (size_t i = 0; i < count; i++)
            if (instances[i].result > last)
                last = instances[i].result;
        bench_add(entry, metric, (double)(last - instances[0].spawned) / MS);
    }
    settle(instances, started);
}

/* A burst of each contender; ROUNDS_OF_CPUS is how many starts wait for one another. */
static void bursts_of_all(struct bench *bench, const struct axis *axis, double done,
                          enum metric metric, size_t count, double rounds_of_cpus, int64_t deadline)
{
    for (size_t i = 0; i < bench->results.count; i++) {
        struct entry *entry = &bench->results.entries[i];

        if (!bench_is_able(entry) || !bench_has_time(bench, entry, rounds_of_cpus, deadline))
            continue;
        bench_tell(bench, axis, done, entry);
        burst(bench, entry, metric, count);
    }
}

void axis_at_once(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    size_t cpus = bench->results.host.cpus, wanted = bench->options->at_once;
    size_t steps = repetitions(bench) * ARRAY_LENGTH(bursts);

    for (size_t step = 0; step < steps; step++) {
        const struct burst *kind = &bursts[step % ARRAY_LENGTH(bursts)];

        bursts_of_all(bench, axis, (double)step / (double)(steps + (wanted > 0)), kind->metric,
                      kind->fixed + kind->per_cpu * cpus, kind->fixed + kind->per_cpu, deadline);
    }
    if (wanted > 0)
        bursts_of_all(bench, axis, (double)steps / (double)(steps + 1), METRIC_AT_ONCE_N, wanted,
                      (double)wanted / (double)cpus, deadline);
}

/* ---- the stream ----------------------------------------------------------- */

static double window_ms(const struct bench *bench)
{
    return bench_is_brief(bench) ? RATE_BRIEF_MS : RATE_MS;
}

double axis_rate_estimate(const struct bench *bench)
{
    double sum = 0;

    for (size_t i = 0; i < bench->results.count; i++)
        if (bench_is_able(&bench->results.entries[i]))
            sum += window_ms(bench) + bench->results.entries[i].typical_ms;
    return sum;
}

/* Each of the places is filled anew when its instance has ended, until the window is over. */
static void stream(struct bench *bench, struct entry *entry, size_t places)
{
    cleanup_free struct instance *instances = calloc(places, sizeof(*instances));
    int64_t begun = now_ns(), until = begun + (int64_t)(window_ms(bench) * MS);
    size_t running = 0, done = 0;
    bool good = instances != NULL;

    while (good && now_ns() < until) {
        size_t which = running;

        while (good && running < places && (good = bench_start(bench, entry, JOB_ONCE,
                                                                &instances[running])))
            running++;
        if (good)
            which = instances_wait_any(instances, running, until, bench->stop);
        if (which == running)
            break;
        good = bench_finish(bench, entry, &instances[which], 1);
        done += good;
        instance_close(&instances[which]);
        instances[which] = instances[--running];
    }
    if (good && bench_finish(bench, entry, instances, running))
        bench_add(entry, METRIC_RATE, (double)(done + running) / ((double)(now_ns() - begun) / 1e9));
    settle(instances, running);
}

void axis_rate(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    for (size_t i = 0; i < bench->results.count; i++) {
        struct entry *entry = &bench->results.entries[i];
        double starts = 2 + window_ms(bench) / (entry->typical_ms > 0 ? entry->typical_ms : 1);

        /* One that is ended by a signal would have to be watched for its result. */
        if (!bench_is_able(entry) || entry->contender->ends_by_signal ||
            !bench_has_time(bench, entry, starts, deadline))
            continue;
        bench_tell(bench, axis, (double)i / (double)bench->results.count, entry);
        stream(bench, entry, bench->results.host.cpus);
    }
}
