/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/disk_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/backend/disk_engine_internal.h"
#include "vmm/base/cleanup.h"

void disk_engine_reap(struct disk_engine *engine)
{
    engine->ops->reap(engine);
    engine->options.turn_ended(engine->options.context);
}

static void requests_done(void *context, uint32_t events)
{
    struct disk_engine *engine = context;
    eventfd_t count;

    (void)events;
    eventfd_read(engine->event_fd, &count);
    disk_engine_reap(engine);
}

static int open_event(struct disk_engine *engine)
{
    struct event_source source = {
        .events = EPOLLIN, .handler = requests_done, .context = engine,
        .lock = engine->options.lock,
    };
    cleanup_fd int fd = -1;
    int result;

    if (engine->event_fd >= 0)
        return 0;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    source.fd = fd;
    result = event_loop_add(engine->options.loop, &source);
    if (result == 0)
        engine->event_fd = steal_fd(&fd);
    return result;
}

static int open_ops(struct disk_engine *engine, const struct disk_engine_ops *ops)
{
    int result = ops->open(engine);

    if (result == 0)
        engine->ops = ops;
    return result;
}

int disk_engine_create(struct disk_engine **engine, const struct disk_engine_options *options,
                       struct error *error)
{
    struct disk_engine *created = calloc(1, sizeof(*created));
    int result = created ? 0 : -ENOMEM;

    if (created) {
        created->options = *options;
        created->event_fd = -1;
    }
    if (result == 0 && options->ring && (result = open_event(created)) == 0)
        result = open_ops(created, &disk_engine_uring);
    if (result < 0) {
        if (created)
            disk_engine_destroy(created);
        else
            disk_ring_destroy(options->ring);
        return error_system(error, -result, "disk %s", options->file->path);
    }
    *engine = created;
    return 0;
}

/* At the first request: the workers are threads of the I/O thread's, and jailed as it is. */
static int open_threads(struct disk_engine *engine)
{
    int result = open_event(engine);

    return result < 0 ? result : open_ops(engine, &disk_engine_sync);
}

int disk_engine_submit(struct disk_engine *engine, struct disk_request *request)
{
    int result = engine->ops ? 0 : open_threads(engine);

    if (result < 0)
        return result;
    disk_request_begin(request, engine->options.file);
    engine->ops->submit(engine, request);
    return 0;
}

void disk_engine_start(struct disk_engine *engine)
{
    if (engine->ops)
        engine->ops->start(engine);
}

void disk_engine_cancel(struct disk_engine *engine)
{
    if (engine->ops)
        engine->ops->cancel(engine);
}

void disk_engine_drain(struct disk_engine *engine)
{
    if (!engine->ops)
        return;
    engine->ops->start(engine);
    engine->ops->wait(engine);
    engine->ops->reap(engine);
}

void disk_engine_destroy(struct disk_engine *engine)
{
    if (!engine)
        return;
    if (engine->ops) {
        engine->ops->cancel(engine);
        engine->ops->close(engine);
    }
    if (engine->event_fd >= 0) {
        event_loop_remove(engine->options.loop, engine->event_fd);
        close(engine->event_fd);
    }
    disk_ring_destroy(engine->options.ring);
    free(engine);
}

void disk_engine_file_replaced(struct disk_engine *engine, unsigned int slot)
{
    engine->options.slot = slot;
}

enum disk_engine_kind disk_engine_kind(const struct disk_engine *engine)
{
    return engine->options.ring ? DISK_ENGINE_URING : DISK_ENGINE_SYNC;
}
