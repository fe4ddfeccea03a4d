/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TIMER_H
#define MOTE_TIMER_H

/* A timer of an event loop (CLOCK_MONOTONIC), whose handler is called on the loop's thread. */

#include <pthread.h>
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

/* It stays where it is and is not set yet.  On failure there is none to close. */
int timer_open(struct timer *timer, struct event_loop *loop, void (*rang)(void *context),
               void *context, struct error *error);
/* The same for a device, whose LOCK is held around RANG; or a negative errno. */
int timer_open_locked(struct timer *timer, struct event_loop *loop, pthread_mutex_t *lock,
                      void (*rang)(void *context), void *context);

/* And with FD, which timer_make_fd() made where this process may make none; it is the timer's, but for an error. */
int timer_open_fd(struct timer *timer, int fd, struct event_loop *loop, pthread_mutex_t *lock,
                  void (*rang)(void *context), void *context);
/* Or a negative errno. */
int timer_make_fd(void);

/*
 * Rings once, MS milliseconds from now; 0: no more.  Another time that it was set to is forgotten.
 * One that is not open never rings.
 */
void timer_set(const struct timer *timer, uint64_t ms);
void timer_set_ns(const struct timer *timer, uint64_t ns);

/* One that was never opened is fine. */
void timer_close(struct timer *timer);

#endif
