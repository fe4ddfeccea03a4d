/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_ENGINE_INTERNAL_H
#define MOTE_DISK_ENGINE_INTERNAL_H

/* Between the engines' common part and each of them. */

#include "devices/backend/disk_engine.h"

struct disk_engine_ops {
    enum disk_engine_kind kind;
    /* Sets engine->state.  From then on a write of engine->event_fd, or the engine's own
     * source in the loop, leads to disk_engine_reap(). */
    int (*open)(struct disk_engine *engine);
    void (*close)(struct disk_engine *engine);
    void (*submit)(struct disk_engine *engine, struct disk_request *request);
    void (*start)(struct disk_engine *engine);
    /* Calls disk_engine_completed() for what is done. */
    void (*reap)(struct disk_engine *engine);
    /* Until all that was started is done; reap() then reports it. */
    void (*wait)(struct disk_engine *engine);
    void (*cancel)(struct disk_engine *engine);
};

struct disk_engine {
    struct disk_engine_options options;
    const struct disk_engine_ops *ops; /* NULL before the first request */
    void *state;
    int event_fd; /* in the loop; -1 before the first request */
};

static inline void disk_engine_completed(struct disk_engine *engine, struct disk_request *request)
{
    engine->options.completed(engine->options.context, request);
}

/* The loop's turn: reaps, and ends the turn. */
void disk_engine_reap(struct disk_engine *engine);

extern const struct disk_engine_ops disk_engine_sync;
extern const struct disk_engine_ops disk_engine_uring;

#endif
