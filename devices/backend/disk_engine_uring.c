/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of io_uring: a batch of requests goes to the kernel in one call,
 * and the loop waits for the ring's own descriptor, which is readable while there
 * are completions.  What the page cache holds completes within the call already,
 * and is reaped at once: then the loop finds nothing to wake up for.
 *
 * A request has at most one submission in flight, so neither ring overflows:
 * both have room for all requests of a disk.
 */
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "devices/backend/disk_engine_internal.h"
#include "vmm/base/cleanup.h"

struct uring {
    struct io_uring ring;
    bool disabled;          /* until it is restricted */
    bool fixed_file;        /* the file has number 0 in the ring's table, its overlay 1 */
    unsigned int in_flight; /* submissions prepared or in the kernel */
    struct request_list done;
};

static void prepare(const struct disk_engine *engine, struct io_uring_sqe *sqe,
                    const struct disk_step *step)
{
    const struct uring *uring = engine->state;
    int fd = uring->fixed_file ? step->in_overlay
                               : disk_file_fd(engine->options.file, step->in_overlay);

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
    if (uring->fixed_file)
        io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
}

/* Prepares the request's next step: nothing else is to be done for it now. */
static enum disk_step_kind prepare_next(struct disk_engine *engine, struct disk_request *request)
{
    struct uring *uring = engine->state;
    enum disk_step_kind kind;
    struct io_uring_sqe *sqe;

    while ((kind = disk_request_step(request, engine->options.file)) == DISK_STEP_CALL) {
        sqe = io_uring_get_sqe(&uring->ring);
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

/*
 * The ring shall do what disk_request.c asks for, with the disk's files, and nothing
 * else, whoever writes into it: io_uring could also open files and make sockets,
 * past the sandbox's lists of system calls.  Kernels before 5.10 cannot.
 */
static int restrict_ring(struct uring *uring)
{
    static const uint8_t operations[] = {
        IORING_OP_READ, IORING_OP_READV, IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_FSYNC,
        IORING_OP_FALLOCATE,
    };
    struct io_uring_restriction rules[ARRAY_LENGTH(operations) + 2] = { { .opcode = 0 } };
    unsigned int count = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(operations); i++)
        rules[count++] = (struct io_uring_restriction){
            .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = operations[i],
        };
    rules[count++] = (struct io_uring_restriction){
        .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE,
    };
    if (uring->fixed_file)
        rules[count++] = (struct io_uring_restriction){
            .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE,
        };
    if (io_uring_register_restrictions(&uring->ring, rules, count) < 0)
        return -ENOSYS;
    return io_uring_enable_rings(&uring->ring);
}

/* Disabled, to be restricted first; where that is unknown, open to all. */
static int open_ring(struct uring *uring)
{
    int result = io_uring_queue_init(DISK_IN_FLIGHT_MAX, &uring->ring, IORING_SETUP_R_DISABLED);

    uring->disabled = result == 0;
    return result == -EINVAL ? io_uring_queue_init(DISK_IN_FLIGHT_MAX, &uring->ring, 0) : result;
}

static int uring_open(struct disk_engine *engine)
{
    struct uring *uring = calloc(1, sizeof(*uring));
    struct event_source source = {
        .events = EPOLLIN, .handler = completions_ready, .context = engine,
        .lock = engine->options.lock,
    };
    const struct disk_file *file = engine->options.file;
    const int files[] = { disk_file_fd(file, false), disk_file_fd(file, true) };
    int result;

    if (!uring)
        return -ENOMEM;
    result = open_ring(uring);
    if (result < 0) {
        free(uring);
        return result;
    }
    source.fd = uring->ring.ring_fd;
    result = event_loop_add(engine->options.loop, &source);
    if (result < 0) {
        io_uring_queue_exit(&uring->ring);
        free(uring);
        return result;
    }
    /* Saves the kernel some work a request; it works without as well. */
    uring->fixed_file = io_uring_register_files(&uring->ring, files, file->overlay ? 2 : 1) == 0;
    result = uring->disabled ? restrict_ring(uring) : 0;
    if (result < 0) {
        event_loop_remove(engine->options.loop, uring->ring.ring_fd);
        io_uring_queue_exit(&uring->ring);
        free(uring);
        return result;
    }
    engine->state = uring;
    return 0;
}

static void uring_close(struct disk_engine *engine)
{
    struct uring *uring = engine->state;

    event_loop_remove(engine->options.loop, uring->ring.ring_fd);
    io_uring_queue_exit(&uring->ring);
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

    if (io_uring_sq_ready(&uring->ring) == 0)
        return;
    do
        result = io_uring_submit(&uring->ring);
    while (result == -EINTR);
    if (io_uring_sq_ready(&uring->ring) > 0)
        eventfd_write(engine->event_fd, 1);
}

/* Takes the completions that are there now, and prepares what follows of them. */
static void collect(struct disk_engine *engine)
{
    struct uring *uring = engine->state;
    struct io_uring_cqe *cqe;

    for (unsigned int i = io_uring_cq_ready(&uring->ring); i > 0; i--) {
        struct disk_request *request;
        int result;

        if (io_uring_peek_cqe(&uring->ring, &cqe) != 0)
            break;
        request = io_uring_cqe_get_data(cqe);
        result = cqe->res;
        io_uring_cqe_seen(&uring->ring, cqe);
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
        int result = io_uring_submit_and_wait(&uring->ring, 1);

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
        int result = io_uring_submit_and_wait(&uring->ring, 1);

        if (result < 0 && result != -EINTR)
            sched_yield();
        while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
            disk_request_abandoned(io_uring_cqe_get_data(cqe), engine->options.file, cqe->res);
            io_uring_cqe_seen(&uring->ring, cqe);
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
