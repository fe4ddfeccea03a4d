/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BACKGROUND_TASK_H
#define MOTE_BACKGROUND_TASK_H

/*
 * Work that would keep the supervisor from its signals for too long, such as
 * bringing a snapshot to the disk: done by a child of its own, a copy of this
 * process, which ends with it.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"

struct background_task {
    struct event_loop *loop;
    pid_t pid; /* 0: no work */
    int fd;    /* from the child: its error */
    void (*done)(void *context, const struct error *error);
    void *context;
    const char *why; /* it was abandoned */
};

#define BACKGROUND_TASK_INIT { .pid = 0, .fd = -1 }

/*
 * WORK with CONTEXT, in the child; then, on LOOP in this process, DONE with what
 * came of it: error->number is 0 where all went well.
 */
int background_task_start(struct background_task *task, struct event_loop *loop,
                int (*work)(void *context, struct error *error),
                void (*done)(void *context, const struct error *error), void *context,
                struct error *error);

static inline bool background_task_works(const struct background_task *task)
{
    return task->pid != 0;
}

/* Kills the child, if there is one: DONE follows with the error WHY, a text that stays. */
void background_task_abandon(struct background_task *task, const char *why);

/* Kills it and waits for its end; DONE does not follow. */
void background_task_end(struct background_task *task);

#endif
