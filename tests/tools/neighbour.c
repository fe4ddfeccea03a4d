/* SPDX-License-Identifier: Apache-2.0 */
/*
 * neighbour PID ROUNDS MS: what a process gets of a processor beside process PID, all of whose threads must be on this one's
 * only processor: in turns of MS milliseconds that PID stands still (SIGSTOP) or runs, ROUNDS each, it takes all processor
 * time it can get.  Prints what it got beside the running PID in percent of what it got beside the one that stood still;
 * and the longest that it had to wait for the processor in the median turn of either kind, in microseconds.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS_MAX 100

static int64_t now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

/* Nanoseconds of processor time in a turn, and the longest WAIT. */
static int64_t turn(int64_t length, int64_t *wait)
{
    int64_t start = now(CLOCK_MONOTONIC), had = now(CLOCK_PROCESS_CPUTIME_ID), last = start, at;

    *wait = 0;
    while ((at = now(CLOCK_MONOTONIC)) - start < length) {
        if (at - last > *wait)
            *wait = at - last;
        last = at;
    }
    return now(CLOCK_PROCESS_CPUTIME_ID) - had;
}

static int compare(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;

    return a < b ? -1 : a > b;
}

int main(int count, char **words)
{
    static int64_t waits[2][ROUNDS_MAX];
    int rounds = count == 4 ? atoi(words[2]) : 0;
    int64_t had[2] = { 0, 0 };
    pid_t pid;

    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: neighbour PID ROUNDS MS\n");
        return 125;
    }
    pid = atoi(words[1]);
    for (int i = 0; i < 2 * rounds; i++) {
        if (kill(pid, i % 2 ? SIGCONT : SIGSTOP) < 0) {
            perror("neighbour: kill");
            return 1;
        }
        had[i % 2] += turn(atoi(words[3]) * 1000000ll, &waits[i % 2][i / 2]);
    }
    for (int i = 0; i < 2; i++)
        qsort(waits[i], (size_t)rounds, sizeof(waits[i][0]), compare);
    printf("%lld %lld %lld\n", (long long)(had[1] * 100 / (had[0] ? had[0] : 1)),
           (long long)waits[0][rounds / 2] / 1000, (long long)waits[1][rounds / 2] / 1000);
    return 0;
}
