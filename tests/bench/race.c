/* SPDX-License-Identifier: Apache-2.0 */
/*
 * race RUNS WARMUPS [first-output] -- LABEL COMMAND… [-- LABEL COMMAND…]…
 *
 * Times whole processes against each other: spawn to wait, wall clock.  Each
 * round runs every contender once in a random order, so that a change of the
 * machine's speed meets them all alike.  The first WARMUPS rounds do not count.  Standard output of the contenders goes
 * to /dev/null; a contender that ends with another status than 0 stops the race.
 *
 * With first-output the clock stops at the first byte of standard output, a pipe that holds 64 KiB and is not
 * read further; the process is waited for all the same.
 *
 * Prints a row for each: p50, p90, p99 and maximum of the wall time in
 * milliseconds, CPU time and maximum RSS (medians), and the ratio of its p50 to
 * the first one's.
 */

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONTENDERS_MAX 16

extern char **environ;

struct sample {
    double wall, cpu, rss; /* milliseconds, milliseconds, KiB */
};

struct contender {
    const char *label;
    char **command;
    struct sample *samples;
};

static double milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double of_timeval(struct timeval value)
{
    return (double)value.tv_sec * 1e3 + (double)value.tv_usec / 1e3;
}

/* OUTPUT is what the process gets as its standard output. */
static bool spawn(const struct contender *contender, int output, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    int result;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    result = posix_spawnp(child, contender->command[0], &actions, NULL, contender->command,
                          environ);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0)
        fprintf(stderr, "race: %s: %s\n", contender->command[0], strerror(result));
    return result == 0;
}

/* INPUT is the other end of its standard output, or -1. */
static bool run_once(const struct contender *contender, int input, int output,
                     struct sample *sample)
{
    struct rusage usage;
    double start = milliseconds(), first = 0;
    pid_t child;
    char byte;
    int status;

    if (!spawn(contender, output, &child))
        return false;
    close(output);
    if (input >= 0 && read(input, &byte, 1) == 1)
        first = milliseconds();
    while (wait4(child, &status, 0, &usage) < 0)
        if (errno != EINTR)
            return false;
    sample->wall = (input < 0 ? milliseconds() : first) - start;
    if (sample->wall < 0) {
        fprintf(stderr, "race: %s said nothing\n", contender->label);
        return false;
    }
    sample->cpu = of_timeval(usage.ru_utime) + of_timeval(usage.ru_stime);
    sample->rss = (double)usage.ru_maxrss;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    fprintf(stderr, "race: %s ended with status %d\n", contender->label, status);
    return false;
}

/* Once, with an output of its own. */
static bool time_once(const struct contender *contender, bool first_output, struct sample *sample)
{
    int ends[2] = { -1, -1 };
    bool good;

    if (!first_output)
        ends[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (first_output ? pipe2(ends, O_CLOEXEC) < 0 : ends[1] < 0) {
        perror("race: standard output");
        return false;
    }
    good = run_once(contender, ends[0], ends[1], sample);
    if (first_output)
        close(ends[0]);
    return good;
}

static void shuffle(size_t *order, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)rand() % i, kept = order[i - 1];

        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

/* The PERCENT percentile (nearest rank) of the field at OFFSET. */
static double percentile(const struct sample *samples, size_t count, size_t offset, double percent)
{
    double *values = calloc(count, sizeof(*values)), result;
    size_t rank = (size_t)((double)count * percent / 100.0 + 0.999999);

    for (size_t i = 0; i < count; i++)
        values[i] = *(const double *)(const void *)((const char *)&samples[i] + offset);
    qsort(values, count, sizeof(*values), by_value);
    result = values[rank ? rank - 1 : 0];
    free(values);
    return result;
}

static void print_row(const struct contender *contender, size_t runs, double base)
{
    const struct sample *s = contender->samples;
    double p50 = percentile(s, runs, offsetof(struct sample, wall), 50);

    printf("%-28s %9.3f %9.3f %9.3f %9.3f %9.3f %9.0f %8.3f\n", contender->label, p50,
           percentile(s, runs, offsetof(struct sample, wall), 90),
           percentile(s, runs, offsetof(struct sample, wall), 99),
           percentile(s, runs, offsetof(struct sample, wall), 100),
           percentile(s, runs, offsetof(struct sample, cpu), 50),
           percentile(s, runs, offsetof(struct sample, rss), 50), p50 / base);
}

/* Splits "-- LABEL COMMAND…" groups; the words stay in ARGV. */
static size_t read_contenders(int argc, char **argv, int at, struct contender *contenders)
{
    size_t count = 0;

    while (at < argc && count < CONTENDERS_MAX) {
        argv[at++] = NULL; /* ends the group before */
        if (at + 1 >= argc)
            return 0;
        contenders[count].label = argv[at];
        contenders[count++].command = &argv[at + 1];
        while (at < argc && strcmp(argv[at], "--") != 0)
            at++;
    }
    return count;
}

/* All rounds; the samples of the first WARMUPS are written over. */
static bool run_rounds(struct contender *contenders, size_t count, size_t runs, size_t warmups,
                       bool first_output)
{
    size_t order[CONTENDERS_MAX];

    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t run = 0; run < runs + warmups; run++) {
        shuffle(order, count);
        for (size_t i = 0; i < count; i++) {
            struct contender *contender = &contenders[order[i]];
            size_t slot = run < warmups ? 0 : run - warmups;

            if (!time_once(contender, first_output, &contender->samples[slot]))
                return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct contender contenders[CONTENDERS_MAX] = { { .label = NULL } };
    bool first_output = argc > 3 && strcmp(argv[3], "first-output") == 0;
    int first = first_output ? 4 : 3;
    size_t count, runs, warmups;

    if (argc < first + 3 || strcmp(argv[first], "--") != 0 ||
        (runs = strtoul(argv[1], NULL, 10)) == 0 || runs > 1000000 ||
        (warmups = strtoul(argv[2], NULL, 10)) > 1000 ||
        (count = read_contenders(argc, argv, first, contenders)) == 0) {
        fprintf(stderr, "usage: race RUNS WARMUPS [first-output] -- LABEL COMMAND... "
                        "[-- LABEL COMMAND...]...\n");
        return 2;
    }
    for (size_t i = 0; i < count; i++)
        contenders[i].samples = calloc(runs, sizeof(struct sample));
    srand((unsigned int)time(NULL));
    if (!run_rounds(contenders, count, runs, warmups, first_output))
        return 1;
    printf("%-28s %9s %9s %9s %9s %9s %9s %8s\n",
           first_output ? "ms, to the first output" : "ms, whole process", "p50", "p90", "p99",
           "max", "cpu p50", "RSS KiB", "ratio");
    for (size_t i = 0; i < count; i++)
        print_row(&contenders[i], runs,
                  percentile(contenders[0].samples, runs, offsetof(struct sample, wall), 50));
    return 0;
}
