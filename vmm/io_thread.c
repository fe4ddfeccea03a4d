/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/io_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct io_thread {
    struct event_loop *loop;
    pthread_mutex_t lock; /* guards what follows */
    pthread_t thread;
    bool started;
};

int io_thread_create(struct io_thread **io, struct error *error)
{
    struct io_thread *created = calloc(1, sizeof(*created));
    int result;

    if (!created)
        return error_system(error, ENOMEM, "I/O thread");
    result = event_loop_create(&created->loop, error);
    if (result < 0) {
        free(created);
        return result;
    }
    pthread_mutex_init(&created->lock, NULL);
    *io = created;
    return 0;
}

struct event_loop *io_thread_loop(struct io_thread *io)
{
    return io->loop;
}

static void *io_main(void *context)
{
    struct io_thread *io = context;
    struct error ignored = ERROR_INIT;

    /* epoll_wait() can fail only by a bug of ours; the devices then stand still. */
    event_loop_run(io->loop, &ignored);
    return NULL;
}

/* With the signals of the process blocked, which the main loop takes. */
static int create_thread(struct io_thread *io)
{
    sigset_t all, before;
    int result;

    sigfillset(&all);
    /* Faults are synchronous: blocked, they would kill without their handler. */
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&io->thread, NULL, io_main, io);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

int io_thread_start(struct io_thread *io, struct error *error)
{
    int result = 0;

    pthread_mutex_lock(&io->lock);
    if (!io->started)
        result = create_thread(io);
    if (result == 0)
        io->started = true;
    pthread_mutex_unlock(&io->lock);
    return result == 0 ? 0 : error_set(error, result, "I/O thread: %s", strerror(result));
}

void io_thread_stop(struct io_thread *io)
{
    if (!io || !io->started)
        return;
    event_loop_stop(io->loop);
    pthread_join(io->thread, NULL);
    io->started = false;
}

void io_thread_destroy(struct io_thread *io)
{
    if (!io)
        return;
    io_thread_stop(io);
    event_loop_destroy(io->loop);
    pthread_mutex_destroy(&io->lock);
    free(io);
}
