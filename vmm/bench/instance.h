/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_INSTANCE_H
#define MOTE_BENCH_INSTANCE_H

/*
 * One start of a contender and its marks, all on this process's CLOCK_MONOTONIC:
 *
 *   spawned   before its process is made
 *   workload  the job's first instructions, by the job's own clock: containers
 *             and the floor only, as a guest has a clock of its own
 *   result    its line has reached us, through a pipe
 *   ended     wait4() has returned
 *   freed     no process of it is left, also of those in the background
 *
 * Its standard error is kept, for the reason of a failure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "vmm/base/error.h"

struct instance {
    pid_t process;
    int input, output, errors, handle; /* ours; -1: closed */
    int64_t spawned, workload, result, ended, freed; /* ns; 0: not yet */
    int status;        /* of wait4(), once it has ended */
    double figures[2]; /* that its line has besides; 0 where there are none */
    double cpu_ms;     /* of it, its children and their children */
    char seen[2048];   /* the end of what it has printed */
    size_t seen_length;
};

int64_t now_ns(void);

/* This process adopts the orphans of its children. */
int instances_prepare(struct error *error);

/* Starts WORDS, which NULL ends.  With INPUT its standard input is a pipe that stays open. */
int instance_start(struct instance *instance, char *const words[], bool input, struct error *error);

enum instance_goal { GOAL_RESULT, GOAL_END };

/*
 * Waits until all COUNT have come to GOAL or are over, or until DEADLINE (ns), or
 * a signal that STOP tells of; whether all have.
 */
bool instances_wait(struct instance *instances, size_t count, enum instance_goal goal,
                    int64_t deadline, const volatile bool *stop);

/* The same, until any one more has ended: its index, or COUNT. */
size_t instances_wait_any(struct instance *instances, size_t count, int64_t deadline,
                          const volatile bool *stop);

/* Ends its input: an idle job ends with that. */
void instance_end_input(struct instance *instance);
void instance_signal(const struct instance *instance, int signal);

/*
 * Waits for what the instance left in the background and adds its CPU time; what
 * is left at DEADLINE is killed.  Only when no other instance runs.
 */
void instance_settle(struct instance *instance, int64_t deadline);

/* Whether it printed its line and, where it had to, ended by itself with status 0. */
bool instance_succeeded(const struct instance *instance, bool ends_by_signal);

/* Why it did not, in a line of INSTANCE_FAILURE_SIZE at most. */
#define INSTANCE_FAILURE_SIZE 480
void instance_failure(const struct instance *instance, char *text, size_t size);

/* Kills what still runs, closes all; marks and figures stay. */
void instance_close(struct instance *instance);

#endif
