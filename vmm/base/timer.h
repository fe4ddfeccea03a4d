/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TIMER_H
#define MOTE_TIMER_H

/* A timer of an event loop (CLOCK_MONOTONIC), whose handler is called on the loop's thread. */

#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"

struct timer {
    struct event_loop *loop;
    int fd; /* for a child to close that was just forked */
    void (*rang)(void *context);
    void *context;
};

#define TIMER_INIT { .fd = -1 }

/* It stays where it is and is not set yet. */
int timer_open(struct timer *timer, struct event_loop *loop, void (*rang)(void *context),
               void *context, struct error *error);

/* Rings once, MS milliseconds from now; 0: no more.  Another time that it was set to is forgotten. */
void timer_set(const struct timer *timer, uint64_t ms);

/* One that was never opened is fine. */
void timer_close(struct timer *timer);

#endif
