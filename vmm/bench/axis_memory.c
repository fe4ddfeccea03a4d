/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What idle ones cost: the first, and each further one by the slope over several.
 * PSS is what their processes hold; the loss of free memory has also what the
 * kernel holds for them, page tables and the VM, and is noisy.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/bench/bench.h"
#include "vmm/bench/process_tree.h"
#include "vmm/base/cleanup.h"

#define MIB 1048576.0
#define SECOND 1000000000ll
#define IDLE_COUNT 8
#define IDLE_COUNT_BRIEF 3
#define REST_US 100000 /* after its line a start has still some work */
#define DENSITY_MAX 1000

static size_t idle_count(const struct bench *bench)
{
    return bench_is_brief(bench) ? IDLE_COUNT_BRIEF : IDLE_COUNT;
}

static double all_starts(const struct bench *bench, double count)
{
    double sum = 0;

    for (size_t i = 0; i < bench->results.count; i++)
        if (bench_is_able(&bench->results.entries[i]))
            sum += (bench->results.entries[i].typical_ms + REST_US / 1e3) * count;
    return sum;
}

double axis_memory_estimate(const struct bench *bench)
{
    return all_starts(bench, (double)idle_count(bench) + 1);
}

/* Some tens fit into the usual budget; that is a guess. */
double axis_density_estimate(const struct bench *bench)
{
    return all_starts(bench, 30);
}

/* One more idle instance that has printed its line. */
static bool start_idle(struct bench *bench, struct entry *entry, struct instance *instance,
                       int64_t deadline)
{
    int64_t limit = now_ns() + 60 * SECOND;
    char why[INSTANCE_FAILURE_SIZE];

    if (bench->options->quick && deadline < limit)
        limit = deadline;
    if (!bench_start(bench, entry, JOB_IDLE, instance))
        return false;
    instances_wait(instance, 1, GOAL_RESULT, limit, bench->stop);
    if (instance->result && !instance->ended) {
        usleep(REST_US);
        return true;
    }
    if (!bench_is_over(bench, deadline)) {
        instance_failure(instance, why, sizeof(why));
        bench_failed(entry, why);
    }
    instance_close(instance); /* the others still run: nothing is settled */
    return false;
}

static void end_all(struct entry *entry, struct instance *instances, size_t count)
{
    static const volatile bool never; /* also of a bench that is stopped they end in order */

    for (size_t i = 0; i < count; i++) {
        instance_end_input(&instances[i]);
        if (entry->contender->is_vm_init)
            instance_signal(&instances[i], SIGTERM);
    }
    instances_wait(instances, count, GOAL_END, now_ns() + 10 * SECOND, &never);
    for (size_t i = 0; i < count; i++)
        instance_signal(&instances[i], SIGTERM);
    bench_settle(instances, count);
    for (size_t i = 0; i < count; i++)
        instance_close(&instances[i]);
}

static void measure(struct bench *bench, struct entry *entry, int64_t deadline)
{
    struct instance instances[IDLE_COUNT];
    double number[IDLE_COUNT + 1], pss[IDLE_COUNT + 1], taken[IDLE_COUNT + 1];
    size_t wanted = idle_count(bench), count = 0;
    double before = (double)memory_available();

    while (count < wanted && start_idle(bench, entry, &instances[count], deadline)) {
        number[count] = (double)count + 1;
        pss[count] = (double)tree_pss() / MIB;
        taken[count] = (before - (double)memory_available()) / MIB;
        count++;
    }
    /* An ordinary user may not look into processes that have given up their rights. */
    if (count > 0 && pss[0] > 0)
        bench_add(entry, METRIC_PSS, pss[0]);
    if (count > 1 && pss[0] > 0)
        bench_add(entry, METRIC_PSS_SLOPE, slope(number, pss, count));
    if (count > 1)
        bench_add(entry, METRIC_HELD_SLOPE, slope(number, taken, count));
    end_all(entry, instances, count);
}

void axis_memory(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    for (size_t i = 0; i < bench->results.count; i++) {
        struct entry *entry = &bench->results.entries[i];

        if (!bench_is_able(entry) ||
            !bench_has_time(bench, entry, (double)idle_count(bench), deadline))
            continue;
        bench_tell(bench, axis, (double)i / (double)bench->results.count, entry);
        measure(bench, entry, deadline);
    }
}

/* ---- how many ------------------------------------------------------------- */

static void fill_budget(struct bench *bench, struct entry *entry, int64_t deadline)
{
    cleanup_free struct instance *instances = calloc(DENSITY_MAX, sizeof(*instances));
    uint64_t before = memory_available(), budget = bench->options->memory_budget;
    unsigned int failures = entry->failures;
    size_t count = 0;

    while (instances && count < DENSITY_MAX && !bench_is_over(bench, deadline)) {
        uint64_t now = memory_available();

        if (now < before && before - now >= budget)
            break;
        if (!start_idle(bench, entry, &instances[count], deadline))
            break;
        count++;
    }
    if (count == DENSITY_MAX)
        results_note(&bench->results, "density: %s reached %d, where counting ends",
                     entry->contender->name, DENSITY_MAX);
    if (entry->failures == failures && !bench_is_over(bench, deadline))
        bench_add(entry, METRIC_DENSITY, (double)count);
    end_all(entry, instances, count);
}

void axis_density(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    uint64_t available = memory_available();

    if (available < 2 * bench->options->memory_budget) {
        results_note(&bench->results, "density is not measured: the memory budget is over half of "
                     "the %llu MiB that are free; give a smaller --memory-budget",
                     (unsigned long long)(available >> 20));
        return;
    }
    for (size_t i = 0; i < bench->results.count; i++) {
        struct entry *entry = &bench->results.entries[i];

        if (!bench_is_able(entry) || bench_is_over(bench, deadline))
            continue;
        bench_tell(bench, axis, (double)i / (double)bench->results.count, entry);
        fill_budget(bench, entry, deadline);
    }
}
