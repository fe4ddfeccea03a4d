/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of threads: the loop puts requests into a queue, workers take them
 * out, make the host's calls, and put them into another queue that the loop
 * empties.  Workers come as they are needed, up to a few.  They never take the
 * disk's lock, so that a reset may wait for them while it holds it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/backend/disk_engine_internal.h"
#include "vmm/base/fault_signals.h"

#define WORKERS_MAX 4

struct sync {
    struct disk_engine *engine;
    pthread_mutex_t lock; /* guards what follows; inside of the disk's */
    pthread_cond_t work;  /* QUEUED or STOPPING */
    pthread_cond_t quiet; /* RUNNING became 0 */
    struct request_list queued;
    struct request_list done;
    unsigned int running;
    unsigned int waiting; /* workers without work */
    bool stopping;
    atomic_bool cancelling; /* steps that have not begun are left out */

    /* The loop's thread alone, or under the disk's lock. */
    struct request_list batch;
    unsigned int worker_count;
    pthread_t workers[WORKERS_MAX];
};

static int64_t call_host(const struct disk_file *file, const struct disk_step *step)
{
    int fd = disk_file_fd(file, step->in_overlay);
    int64_t result = -1;

    switch (step->call) {
    case DISK_CALL_READ:
        result = preadv(fd, step->segments, (int)step->count, (off_t)step->offset);
        break;
    case DISK_CALL_WRITE:
        result = pwritev(fd, step->segments, (int)step->count, (off_t)step->offset);
        break;
    case DISK_CALL_SYNC:
        result = fdatasync(fd);
        break;
    case DISK_CALL_ALLOCATE:
        result = fallocate(fd, step->mode, (off_t)step->offset, (off_t)step->length);
        break;
    }
    return result < 0 ? -errno : result;
}

/* What can be done of it now; then it is done, or waits for another one's sync. */
static void carry_out(struct sync *sync, struct disk_request *request, struct request_list *done,
                      struct request_list *released)
{
    struct disk_file *file = sync->engine->options.file;
    enum disk_step_kind kind = DISK_STEP_FINISHED;

    while (!atomic_load(&sync->cancelling) &&
           (kind = disk_request_step(request, file)) == DISK_STEP_CALL)
        disk_request_stepped(request, file, call_host(file, &request->step));
    if (kind == DISK_STEP_WAIT)
        return;
    *released = request->released;
    request_list_add(done, request);
}

/* With the lock held. */
static void report_done(struct sync *sync, struct request_list *done)
{
    bool wake = !sync->done.head && done->head;
    struct disk_request *request;

    while ((request = request_list_take(done)))
        request_list_add(&sync->done, request);
    if (wake)
        eventfd_write(sync->engine->event_fd, 1);
}

/* Takes the lock for what is done, and nothing else. */
static void carry_out_with_released(struct sync *sync, struct disk_request *request)
{
    while (request) {
        struct request_list done = { .head = NULL }, released = { .head = NULL };
        struct disk_request *next_leader = NULL;

        carry_out(sync, request, &done, &released);
        while ((request = request_list_take(&released)))
            if (request->finished)
                request_list_add(&done, request);
            else
                next_leader = request;
        pthread_mutex_lock(&sync->lock);
        report_done(sync, &done);
        pthread_mutex_unlock(&sync->lock);
        request = next_leader;
    }
}

static void *worker_main(void *context)
{
    struct sync *sync = context;
    struct disk_request *request;

    pthread_mutex_lock(&sync->lock);
    for (;;) {
        while (!sync->queued.head && !sync->stopping) {
            sync->waiting++;
            pthread_cond_wait(&sync->work, &sync->lock);
            sync->waiting--;
        }
        if (sync->stopping)
            break;
        request = request_list_take(&sync->queued);
        sync->running++;
        pthread_mutex_unlock(&sync->lock);
        carry_out_with_released(sync, request);
        pthread_mutex_lock(&sync->lock);
        if (--sync->running == 0)
            pthread_cond_broadcast(&sync->quiet);
    }
    pthread_mutex_unlock(&sync->lock);
    return NULL;
}

static int add_worker(struct sync *sync)
{
    sigset_t all, before;
    int result;

    fill_but_faults(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&sync->workers[sync->worker_count], NULL, worker_main, sync);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result == 0)
        sync->worker_count++;
    return -result;
}

static void sync_close(struct disk_engine *engine)
{
    struct sync *sync = engine->state;

    pthread_mutex_lock(&sync->lock);
    sync->stopping = true;
    pthread_cond_broadcast(&sync->work);
    pthread_mutex_unlock(&sync->lock);
    for (unsigned int i = 0; i < sync->worker_count; i++)
        pthread_join(sync->workers[i], NULL);
    pthread_cond_destroy(&sync->work);
    pthread_cond_destroy(&sync->quiet);
    pthread_mutex_destroy(&sync->lock);
    free(sync);
    engine->state = NULL;
}

static int sync_open(struct disk_engine *engine)
{
    struct sync *sync = calloc(1, sizeof(*sync));
    int result;

    if (!sync)
        return -ENOMEM;
    sync->engine = engine;
    engine->state = sync;
    pthread_mutex_init(&sync->lock, NULL);
    pthread_cond_init(&sync->work, NULL);
    pthread_cond_init(&sync->quiet, NULL);
    /* With one worker all goes on, should no other be had. */
    result = add_worker(sync);
    if (result < 0)
        sync_close(engine);
    return result;
}

static void sync_submit(struct disk_engine *engine, struct disk_request *request)
{
    struct sync *sync = engine->state;

    request_list_add(&sync->batch, request);
}

static void sync_start(struct disk_engine *engine)
{
    struct sync *sync = engine->state;
    struct disk_request *request;
    bool more;

    if (!sync->batch.head)
        return;
    pthread_mutex_lock(&sync->lock);
    while ((request = request_list_take(&sync->batch))) {
        request_list_add(&sync->queued, request);
        pthread_cond_signal(&sync->work);
    }
    more = sync->queued.count > sync->waiting;
    pthread_mutex_unlock(&sync->lock);
    if (more && sync->worker_count < WORKERS_MAX)
        add_worker(sync); /* where it fails the others do the work */
}

static void sync_reap(struct disk_engine *engine)
{
    struct sync *sync = engine->state;
    struct request_list done;
    struct disk_request *request;

    pthread_mutex_lock(&sync->lock);
    done = sync->done;
    sync->done = (struct request_list){ .head = NULL };
    pthread_mutex_unlock(&sync->lock);
    while ((request = request_list_take(&done)))
        disk_engine_completed(engine, request);
}

static void sync_wait(struct disk_engine *engine)
{
    struct sync *sync = engine->state;

    pthread_mutex_lock(&sync->lock);
    while (sync->running > 0 || sync->queued.head)
        pthread_cond_wait(&sync->quiet, &sync->lock);
    pthread_mutex_unlock(&sync->lock);
}

static void sync_cancel(struct disk_engine *engine)
{
    struct sync *sync = engine->state;

    atomic_store(&sync->cancelling, true);
    pthread_mutex_lock(&sync->lock);
    sync->batch = sync->queued = (struct request_list){ .head = NULL };
    while (sync->running > 0)
        pthread_cond_wait(&sync->quiet, &sync->lock);
    sync->done = (struct request_list){ .head = NULL };
    disk_sync_cancel(&engine->options.file->sync);
    pthread_mutex_unlock(&sync->lock);
    atomic_store(&sync->cancelling, false);
}

const struct disk_engine_ops disk_engine_sync = {
    .kind = DISK_ENGINE_SYNC,
    .open = sync_open,
    .close = sync_close,
    .submit = sync_submit,
    .start = sync_start,
    .reap = sync_reap,
    .wait = sync_wait,
    .cancel = sync_cancel,
};
