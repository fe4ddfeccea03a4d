/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of io_uring: a batch of requests goes to the kernel in one call,
 * and the loop waits for the ring's own descriptor, which is readable while there
 * are completions.  What the page cache holds completes within the call already,
 * and is reaped at once: then the loop finds nothing to wake up for.
 *
 * A request has at most one submission in flight, so neither ring overflows:
 * both have room for all requests of a disk.  The ring was made by who opened the
 * disk (disk_ring.h).
 */
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "devices/backend/disk_engine_internal.h"

struct uring {
    struct disk_ring *ring;
    unsigned int in_flight; /* submissions prepared or in the kernel */
    struct request_list done;
};

static void prepare(const struct disk_engine *engine, struct io_uring_sqe *sqe,
                    const struct disk_step *step)
{
    const struct uring *uring = engine->state;
    bool slots = uring->ring->has_slots;
    int fd = !slots ? disk_file_fd(engine->options.file, step->in_overlay)
                    : step->in_overlay ? DISK_RING_OVERLAY : (int)engine->options.slot;

    switch (step->call) {
    case DISK_CALL_READ:
        if (step->count == 1)
            io_uring_prep_read(sqe, fd, step->segments->iov_base,
                               (unsigned int)step->segments->iov_len, step->offset);
        else
            io_uring_prep_readv(sqe, fd, step->segments, step->count, step->offset);
        break;
    case DISK_CALL_WRITE:
        if (step->count == 1)
            io_uring_prep_write(sqe, fd, step->segments->iov_base,
                                (unsigned int)step->segments->iov_len, step->offset);
        else
            io_uring_prep_writev(sqe, fd, step->segments, step->count, step->offset);
        break;
    case DISK_CALL_SYNC:
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
        break;
    case DISK_CALL_ALLOCATE:
        io_uring_prep_fallocate(sqe, fd, step->mode, (off_t)step->offset, (off_t)step->length);
        break;
    }
    if (slots)
        io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
}

/* Prepares the request's next step: nothing else is to be done for it now. */
static enum disk_step_kind prepare_next(struct disk_engine *engine, struct disk_request *request)
{
    struct uring *uring = engine->state;
    enum disk_step_kind kind;
    struct io_uring_sqe *sqe;

    while ((kind = disk_request_step(request, engine->options.file)) == DISK_STEP_CALL) {
        sqe = io_uring_get_sqe(&uring->ring->ring);
        if (sqe) {
            prepare(engine, sqe, &request->step);
            io_uring_sqe_set_data(sqe, request);
            uring->in_flight++;
            break;
        }
        /* Not with DISK_IN_FLIGHT_MAX kept; the tries are bounded all the same. */
        disk_request_stepped(request, engine->options.file, -EAGAIN);
    }
    return kind;
}

/* Goes on with the request, and with those that its end released; a leader is the last of them. */
static void advance(struct disk_engine *engine, struct disk_request *request)
{
    struct uring *uring = engine->state;

    while (request && prepare_next(engine, request) == DISK_STEP_FINISHED) {
        struct request_list released = request->released;

        request_list_add(&uring->done, request);
        while ((request = request_list_take(&released)) && request->finished)
            request_list_add(&uring->done, request);
    }
}

static void completions_ready(void *context, uint32_t events)
{
    (void)events;
    disk_engine_reap(context);
}

static int uring_open(struct disk_engine *engine)
{
    struct uring *uring = calloc(1, sizeof(*uring));
    struct event_source source = {
        .fd = engine->options.ring->ring.ring_fd, .events = EPOLLIN, .handler = completions_ready,
        .context = engine, .lock = engine->options.lock,
    };
    int result;

    if (!uring)
        return -ENOMEM;
    result = event_loop_add(engine->options.loop, &source);
    if (result < 0) {
        free(uring);
        return result;
    }
    uring->ring = engine->options.ring;
    engine->state = uring;
    return 0;
}

static void uring_close(struct disk_engine *engine)
{
    struct uring *uring = engine->state;

    event_loop_remove(engine->options.loop, uring->ring->ring.ring_fd);
    free(uring);
    engine->state = NULL;
}

static void uring_submit(struct disk_engine *engine, struct disk_request *request)
{
    advance(engine, request);
}

/* Hands what is prepared to the kernel; what it does not take now, soon. */
static void hand_over(struct disk_engine *engine)
{
    struct uring *uring = engine->state;
    int result;

    if (io_uring_sq_ready(&uring->ring->ring) == 0)
        return;
    do
        result = io_uring_submit(&uring->ring->ring);
    while (result == -EINTR);
    if (io_uring_sq_ready(&uring->ring->ring) > 0)
        eventfd_write(engine->event_fd, 1);
}

/* Takes the completions that are there now, and prepares what follows of them. */
static void collect(struct disk_engine *engine)
{
    struct uring *uring = engine->state;
    struct io_uring_cqe *cqe;

    for (unsigned int i = io_uring_cq_ready(&uring->ring->ring); i > 0; i--) {
        struct disk_request *request;
        int result;

        if (io_uring_peek_cqe(&uring->ring->ring, &cqe) != 0)
            break;
        request = io_uring_cqe_get_data(cqe);
        result = cqe->res;
        io_uring_cqe_seen(&uring->ring->ring, cqe);
        uring->in_flight--;
        disk_request_stepped(request, engine->options.file, result);
        advance(engine, request);
    }
}

static void report(struct disk_engine *engine)
{
    struct uring *uring = engine->state;
    struct disk_request *request;

    while ((request = request_list_take(&uring->done)))
        disk_engine_completed(engine, request);
}

static void uring_start(struct disk_engine *engine)
{
    hand_over(engine);
    collect(engine);
    /* Of requests with several steps: these complete by the loop. */
    hand_over(engine);
    report(engine);
}

static void uring_reap(struct disk_engine *engine)
{
    collect(engine);
    hand_over(engine);
    report(engine);
}

static void uring_wait(struct disk_engine *engine)
{
    struct uring *uring = engine->state;

    while (uring->in_flight > 0) {
        int result = io_uring_submit_and_wait(&uring->ring->ring, 1);

        if (result < 0 && result != -EINTR)
            sched_yield();
        collect(engine);
    }
}

static void uring_cancel(struct disk_engine *engine)
{
    struct uring *uring = engine->state;
    struct io_uring_cqe *cqe;

    /* File I/O that the kernel has begun cannot be called back: it is waited for. */
    while (uring->in_flight > 0) {
        int result = io_uring_submit_and_wait(&uring->ring->ring, 1);

        if (result < 0 && result != -EINTR)
            sched_yield();
        while (io_uring_peek_cqe(&uring->ring->ring, &cqe) == 0) {
            disk_request_abandoned(io_uring_cqe_get_data(cqe), engine->options.file, cqe->res);
            io_uring_cqe_seen(&uring->ring->ring, cqe);
            uring->in_flight--;
        }
    }
    uring->done = (struct request_list){ .head = NULL };
    disk_sync_cancel(&engine->options.file->sync);
}

const struct disk_engine_ops disk_engine_uring = {
    .kind = DISK_ENGINE_URING,
    .open = uring_open,
    .close = uring_close,
    .submit = uring_submit,
    .start = uring_start,
    .reap = uring_reap,
    .wait = uring_wait,
    .cancel = uring_cancel,
};
