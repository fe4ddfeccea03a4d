/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_ENGINE_H
#define MOTE_DISK_ENGINE_H

/*
 * What carries out a disk's requests: worker threads (sync) or the kernel's
 * submission ring (io_uring), where there is one.  Both have one shape; which one it
 * is shows only in speed.  The threads come to life at the first request: a disk that
 * is not used costs none.
 *
 * A disk submits a batch and starts it.  Some requests may complete within
 * disk_engine_start(), the others later on the loop's thread; completed() is
 * called for each, and turn_ended() after those of one turn of the loop.
 * Every call comes with the disk's lock held.
 *
 * At most DISK_IN_FLIGHT_MAX requests at a time.  A request and what its
 * segments lead to stay in place until it completes or disk_engine_cancel()
 * returns.
 */

#include <pthread.h>

#include "devices/backend/disk_file.h"
#include "devices/backend/disk_request.h"
#include "devices/backend/disk_ring.h"
#include "vmm/base/event_loop.h"

enum disk_engine_kind { DISK_ENGINE_URING, DISK_ENGINE_SYNC };

struct disk_engine;

struct disk_engine_options {
    struct disk_ring *ring; /* the engine's; NULL: threads do the work */
    unsigned int slot;      /* of FILE, in it */
    struct disk_file *file;
    struct event_loop *loop;
    pthread_mutex_t *lock;
    void (*completed)(void *context, struct disk_request *request);
    void (*turn_ended)(void *context);
    void *context;
};

/* The options' ring becomes the engine's, also on an error. */
int disk_engine_create(struct disk_engine **engine, const struct disk_engine_options *options,
                       struct error *error);
void disk_engine_destroy(struct disk_engine *engine);

/* A negative errno when no engine can be had at all; then REQUEST was not taken. */
int disk_engine_submit(struct disk_engine *engine, struct disk_request *request);
void disk_engine_start(struct disk_engine *engine);

/*
 * Returns when nothing touches any request or its memory any more; none of
 * them is reported after this.  Requests may or may not have been carried out.
 */
void disk_engine_cancel(struct disk_engine *engine);

/* Returns when all requests have completed and were reported; turn_ended() is not called. */
void disk_engine_drain(struct disk_engine *engine);

/* FILE was replaced, and its successor has SLOT of the ring; nothing is in flight. */
void disk_engine_file_replaced(struct disk_engine *engine, unsigned int slot);

/* What is at work now; for messages and tests. */
enum disk_engine_kind disk_engine_kind(const struct disk_engine *engine);

#endif
