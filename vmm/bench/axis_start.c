/* SPDX-License-Identifier: Apache-2.0 */
/* One at a time, contenders in random order within each round: warm, and cold. */
#include <fcntl.h>
#include <unistd.h>

#include "vmm/bench/bench.h"
#include "vmm/base/cleanup.h"

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

static void record_warm(struct entry *entry, const struct instance *instance)
{
    bench_add(entry, METRIC_RESULT, (double)(instance->result - instance->spawned) / MS);
    bench_add(entry, METRIC_END, (double)(instance->ended - instance->spawned) / MS);
    if (entry->contender->class <= CLASS_CONTAINER && shares_our_clock(instance))
        bench_add(entry, METRIC_WORKLOAD, (double)(instance->workload - instance->spawned) / MS);
    if (instance->freed)
        bench_add(entry, METRIC_FREED, (double)(instance->freed - instance->spawned) / MS);
    bench_add(entry, METRIC_CPU, instance->cpu_ms);
}

static void record_cold(struct entry *entry, const struct instance *instance)
{
    bench_add(entry, METRIC_COLD_RESULT, (double)(instance->result - instance->spawned) / MS);
    bench_add(entry, METRIC_COLD_END, (double)(instance->ended - instance->spawned) / MS);
}

/* Dirty pages are not dropped: they are written first. */
static bool drop_caches(void)
{
    cleanup_fd int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

    sync();
    return fd >= 0 && write(fd, "3", 1) == 1;
}

void axis_start(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    const struct bench_rounds rounds = {
        .mode = JOB_ONCE, .count = runs_of(bench, BENCH_RUNS_DEFAULT), .record = record_warm,
    };

    bench_run_rounds(bench, axis, deadline, &rounds);
}

void axis_cold(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    const struct bench_rounds rounds = {
        .mode = JOB_ONCE, .count = runs_of(bench, COLD_RUNS_DEFAULT), .prepare = drop_caches,
        .record = record_cold,
    };

    if (drop_caches())
        bench_run_rounds(bench, axis, deadline, &rounds);
    else
        results_note(&bench->results, "cold starts are not measured: only root may drop the page "
                     "cache");
}
