/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SIGNALS_H
#define MOTE_SIGNALS_H

/* Signals as events of a loop: no code runs inside a handler. */

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"

struct signals {
    struct event_loop *loop;
    int fd; /* for a child to close that was just forked */
    void (*arrived)(void *context, int number);
    void *context;
    bool tells_stop; /* SIGNALS_STOP arrives as that, not as SIGTERM */
};

/* What `mote stop` sends: a SIGTERM with this value, for who wants to tell it from one that is for its job. */
#define SIGNALS_STOP 1000

/* Of a name with or without SIG, in any case, such as QUIT or RTMIN+3, or of a number; 0: none. */
int signal_number(const char *text);

#define SIGNALS_INIT { .fd = -1 }

/*
 * Blocks the COUNT signals NUMBERS, and SIGHUP where that is WANTED or was not ignored from the start: whoever runs
 * us under nohup wants to be left alone by it.  *SIGNALS has its ARRIVED and CONTEXT, and stays where it is.
 */
int signals_open(struct signals *signals, struct event_loop *loop, const int *numbers, size_t count,
                 bool hangup_wanted, struct error *error);

/* Those that were never opened are fine; they stay blocked. */
void signals_close(struct signals *signals);

#endif
