/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_EVENT_LOOP_H
#define MOTE_EVENT_LOOP_H

/*
 * One thread that waits on many descriptors (epoll, level-triggered unless a
 * source says EPOLLET) and calls a handler for each that is ready.  Handlers run on the thread that called
 * event_loop_run() and must not block.
 *
 * A source may name the lock of the device that it serves; the loop holds it
 * around the handler, as the bus does around reads and writes, so a device
 * never locks anything itself.
 */

#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "vmm/base/error.h"

struct event_loop;

typedef void (*event_handler)(void *context, uint32_t events);

struct event_source {
    int fd;          /* stays the caller's; remove it from the loop before closing it */
    uint32_t events; /* EPOLLIN, EPOLLOUT, EPOLLET; 0 waits for errors and hang-up alone */
    event_handler handler;
    void *context;
    pthread_mutex_t *lock; /* held around the handler; NULL for none */
};

int event_loop_create(struct event_loop **loop, struct error *error);
void event_loop_destroy(struct event_loop *loop);

/* -EPERM: a regular file, which is always ready and cannot be waited for. */
int event_loop_add(struct event_loop *loop, const struct event_source *source);

/* Waits for EVENTS on FD from now on.  Any thread. */
int event_loop_modify(struct event_loop *loop, int fd, uint32_t events);

/* Forgets FD.  On the loop's thread, or while the loop is not running. */
void event_loop_remove(struct event_loop *loop, int fd);

/* Runs until event_loop_stop(), which any thread and any handler may call. */
int event_loop_run(struct event_loop *loop, struct error *error);
void event_loop_stop(struct event_loop *loop);

#endif
