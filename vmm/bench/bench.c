/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define MS 1000000ll
#define START_LIMIT_MS 90000  /* an emulated machine's stock kernel takes half a minute */
#define END_LIMIT_MS 5000     /* for the end of what was told to end */
#define SETTLE_LIMIT_MS 3000  /* for what it left in the background */
#define VERSION_LIMIT_MS 15000
#define FAILURES_MAX 3        /* then a contender is left alone */

static const struct axis axes[] = {
    { "start", "start of one", 0.5, axis_start_estimate, axis_start },
    { "cold", "start of one, cold cache", 0, axis_cold_estimate, axis_cold },
    { "at-once", "many at once", 0.4, axis_at_once_estimate, axis_at_once },
    { "rate", "starts per second", 0.5, axis_rate_estimate, axis_rate },
    { "memory", "memory of idle ones", 1, axis_memory_estimate, axis_memory },
    { "density", "idle ones within a budget", 0, axis_density_estimate, axis_density },
    { "block", "reads of a disk", 0, axis_io_estimate, axis_block },
    { "network", "network to the host", 0, axis_io_estimate, axis_network },
};

const struct axis *bench_axes(size_t *count)
{
    *count = ARRAY_LENGTH(axes);
    return axes;
}

static bool is_wanted(const struct bench *bench, const struct axis *axis)
{
    if (bench->options->axes)
        return bench_list_has(bench->options->axes, axis->name);
    return !bench->options->quick || axis->share > 0;
}

bool bench_has_axis(const struct bench *bench, const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(axes); i++)
        if (strcmp(axes[i].name, name) == 0)
            return is_wanted(bench, &axes[i]);
    return false;
}

/* ---- for the axes --------------------------------------------------------- */

bool bench_is_able(const struct entry *entry)
{
    return entry->chosen && entry->program[0] && entry->typical_ms > 0 &&
           entry->failures < FAILURES_MAX;
}

bool bench_is_brief(const struct bench *bench)
{
    return bench->options->quick ||
           (bench->options->runs > 0 && bench->options->runs < BENCH_RUNS_DEFAULT / 2);
}

bool bench_is_over(const struct bench *bench, int64_t deadline)
{
    return *bench->stop || (bench->options->quick && now_ns() >= deadline);
}

bool bench_has_time(const struct bench *bench, const struct entry *entry, double count,
                    int64_t deadline)
{
    double left = (double)(deadline - now_ns()) / MS;

    return !*bench->stop && (!bench->options->quick || entry->typical_ms * count < left);
}

void bench_tell(struct bench *bench, const struct axis *axis, double done,
                const struct entry *entry)
{
    double left_ms = axis->estimate(bench) * (1 - done);

    for (const struct axis *next = axis + 1; next < axes + ARRAY_LENGTH(axes); next++)
        if (is_wanted(bench, next))
            left_ms += next->estimate(bench);
    if (bench->options->quick && left_ms > (double)(bench->deadline - now_ns()) / MS)
        left_ms = (double)(bench->deadline - now_ns()) / MS;
    bench_progress_show(&bench->progress, axis->title, entry->contender->name, left_ms / 1e3);
}

void bench_add(struct entry *entry, enum metric metric, double value)
{
    if (samples_add(&entry->samples[metric], value) < 0)
        bench_failed(entry, "out of memory for its samples");
}

void bench_failed(struct entry *entry, const char *reason)
{
    entry->failures++;
    snprintf(entry->failure, sizeof(entry->failure), "%s", reason);
}

bool bench_start(struct bench *bench, struct entry *entry, enum job_mode mode,
                 struct instance *instance)
{
    struct text_list words = { .count = 0 };
    struct error error = ERROR_INIT;
    int result = workshop_words(&bench->workshop, entry, mode, &words, &error);

    if (result == 0)
        result = instance_start(instance, words.items, mode == JOB_IDLE, &error);
    text_list_release(&words);
    if (result < 0)
        bench_failed(entry, error.message);
    return result == 0;
}

/* Many at once wait for one another. */
static int64_t limit_of_starts(const struct bench *bench, const struct entry *entry, size_t count)
{
    int64_t limit = now_ns() + START_LIMIT_MS * MS +
                    (int64_t)(entry->typical_ms * (double)count * 2 * MS);

    return bench->options->quick && bench->deadline < limit ? bench->deadline : limit;
}

bool bench_finish(struct bench *bench, struct entry *entry, struct instance *instances,
                  size_t count)
{
    const struct contender *contender = entry->contender;
    bool all = true;

    instances_wait(instances, count, contender->ends_by_signal ? GOAL_RESULT : GOAL_END,
                   limit_of_starts(bench, entry, count), bench->stop);
    if (contender->ends_by_signal) {
        for (size_t i = 0; i < count; i++)
            instance_signal(&instances[i], SIGTERM);
        instances_wait(instances, count, GOAL_END, now_ns() + END_LIMIT_MS * MS, bench->stop);
    }
    for (size_t i = 0; i < count && !*bench->stop; i++) {
        char why[INSTANCE_FAILURE_SIZE];

        if (instance_succeeded(&instances[i], contender->ends_by_signal))
            continue;
        instance_failure(&instances[i], why, sizeof(why));
        bench_failed(entry, why);
        all = false;
    }
    return all && !*bench->stop;
}

void bench_settle(struct instance *instances, size_t count)
{
    static const volatile bool never;

    /* A container that is killed half-way leaves files of its runtime: most jobs end by themselves. */
    instances_wait(instances, count, GOAL_END, now_ns() + SETTLE_LIMIT_MS * MS, &never);
    for (size_t i = 0; i < count; i++)
        instance_signal(&instances[i], SIGKILL);
    instances_wait(instances, count, GOAL_END, now_ns() + END_LIMIT_MS * MS, &never);
    if (count > 0)
        instance_settle(&instances[0], now_ns() + SETTLE_LIMIT_MS * MS);
}

bool bench_run(struct bench *bench, struct entry *entry, enum job_mode mode,
               struct instance *instance)
{
    bool good;

    if (!bench_start(bench, entry, mode, instance))
        return false;
    good = bench_finish(bench, entry, instance, 1);
    bench_settle(instance, 1);
    instance_close(instance);
    return good;
}

static void run_one(struct bench *bench, struct entry *entry, const struct bench_rounds *rounds)
{
    struct instance instance;

    if (rounds->prepare && !rounds->prepare())
        return;
    if (bench_run(bench, entry, rounds->mode, &instance))
        rounds->record(entry, &instance);
}

void bench_run_rounds(struct bench *bench, const struct axis *axis, int64_t deadline,
                      const struct bench_rounds *rounds)
{
    cleanup_free size_t *order = calloc(bench->results.count, sizeof(*order));
    size_t count = bench->results.count;

    for (size_t i = 0; order && i < count; i++)
        order[i] = i;
    for (unsigned int round = 0; order && round < rounds->count; round++) {
        shuffle(order, count, &bench->random);
        for (size_t i = 0; i < count; i++) {
            struct entry *entry = &bench->results.entries[order[i]];

            /* The first round goes on for as long as there is time at all: all have one. */
            if (!bench_is_able(entry) || !contender_extra(entry->contender, rounds->mode) ||
                !bench_has_time(bench, entry, 1, round > 0 ? deadline : bench->deadline))
                continue;
            bench_tell(bench, axis, (double)round / rounds->count, entry);
            run_one(bench, entry, rounds);
        }
    }
}

/* ---- all of them ---------------------------------------------------------- */

/* A start that is not measured, of the row itself: caches are warm, and failures known. */
static bool try_row(struct bench *bench, struct entry *entry)
{
    struct instance instance;
    bool works = bench_run(bench, entry, JOB_ONCE, &instance);

    if (works)
        entry->typical_ms = (double)(instance.ended - instance.spawned) / MS;
    return works;
}

static bool keeps_storage(const struct entry *entry)
{
    return strstr(entry->contender->command, "@storage");
}

/*
 * Twice for what keeps storage: its first start makes that, and later ones meet
 * what the first has left there.  On an overlay podman's first succeeds, by the
 * driver vfs, and all others fail.
 */
static bool works_with_its_storage(struct bench *bench, struct entry *entry)
{
    return try_row(bench, entry) && (!keeps_storage(entry) || try_row(bench, entry));
}

/*
 * An engine whose own storage does not work has one in the workshop's folder:
 * containers from a root folder have their state there, and no layer that a driver
 * would make.  What decides is the row's own start: other commands (podman ps)
 * succeed without a look at what a container needs.
 */
static void warm_up(struct bench *bench, struct entry *entry)
{
    char why[INSTANCE_FAILURE_SIZE], both[sizeof(entry->failure)];

    if (works_with_its_storage(bench, entry))
        return;
    entry->typical_ms = 0;
    if (!keeps_storage(entry) || bench_is_over(bench, bench->deadline))
        return;
    snprintf(why, sizeof(why), "%.*s", (int)sizeof(why) - 1, entry->failure);
    entry->has_lent_storage = true;
    if (works_with_its_storage(bench, entry)) {
        entry->failures = 0;
        entry->failure[0] = '\0';
        results_note(&bench->results, "%s fails with its own storage and has one of vfs here, in the "
                     "temporary folder: %s", entry->contender->name, why);
        return;
    }
    /* Which of the two its user can mend is theirs to know. */
    entry->has_lent_storage = false;
    entry->typical_ms = 0;
    entry->failures = 1;
    if (strcmp(entry->failure, why) == 0)
        return;
    snprintf(both, sizeof(both), "%s; with storage of vfs here: %.*s", why,
             (int)sizeof(why) - 1, entry->failure);
    memcpy(entry->failure, both, sizeof(both));
}

static void ask_version(struct bench *bench, struct entry *entry)
{
    char option[] = "--version";
    char *words[] = { entry->program, option, NULL };
    struct error ignored = ERROR_INIT;
    struct instance instance;

    if (instance_start(&instance, words, false, &ignored) < 0)
        return;
    instances_wait(&instance, 1, GOAL_END, now_ns() + VERSION_LIMIT_MS * MS, bench->stop);
    if (instance.ended && WIFEXITED(instance.status) && WEXITSTATUS(instance.status) == 0)
        snprintf(entry->version, sizeof(entry->version), "%.*s",
                 (int)strcspn(instance.seen, "\r\n"), instance.seen);
    for (char *at = entry->version; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    instance_close(&instance);
}

static bool any_is_able(const struct bench *bench)
{
    for (size_t i = 0; i < bench->results.count; i++)
        if (bench_is_able(&bench->results.entries[i]))
            return true;
    return false;
}

static void prepare(struct bench *bench)
{
    for (size_t i = 0; i < bench->results.count && !*bench->stop; i++) {
        struct entry *entry = &bench->results.entries[i];
        bool here = entry->chosen && entry->program[0];

        if (!here)
            continue;
        if (bench_is_over(bench, bench->deadline)) {
            bench_failed(entry, "was not begun within the minute of --quick");
            continue;
        }
        bench_progress_show(&bench->progress, "unmeasured starts", entry->contender->name,
                            bench->options->quick ? 60 : axes[0].estimate(bench) / 1e3);
        if (entry->contender->class != CLASS_FLOOR)
            ask_version(bench, entry);
        warm_up(bench, entry);
    }
}

int bench_measure(struct bench *bench, struct error *error)
{
    if (bench->options->quick)
        results_note(&bench->results, "--quick: what would not end within the minute is left out");
    prepare(bench);
    if (!any_is_able(bench) && !*bench->stop) {
        for (size_t i = 0; i < bench->results.count; i++)
            if (bench->results.entries[i].failures > 0)
                return error_set(error, EIO, "%s: %s; nothing is left to measure",
                                 bench->results.entries[i].contender->name,
                                 bench->results.entries[i].failure);
        return error_set(error, ENOENT, "none of the contenders is here; 'mote bench --list' tells "
                         "where to get them");
    }
    for (size_t i = 0; i < ARRAY_LENGTH(axes) && !*bench->stop; i++) {
        int64_t now = now_ns();
        int64_t span = (int64_t)((double)(bench->deadline - now) *
                                 (axes[i].share > 0 ? axes[i].share : 1));

        if (is_wanted(bench, &axes[i]))
            axes[i].run(bench, &axes[i], now + span);
    }
    bench_own_steps(bench, bench_is_brief(bench) ? 2 : 5);
    bench_progress_end(&bench->progress);
    return 0;
}
