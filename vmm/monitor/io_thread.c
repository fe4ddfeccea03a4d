/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/io_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/fault_signals.h"

struct io_thread {
    struct event_loop *loop;
    struct sandbox *sandbox;
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

    pthread_setname_np(pthread_self(), "mote-io");
    sandbox_thread(io->sandbox, SANDBOX_IO);
    /* epoll_wait() can fail only by a bug of ours; the devices then stand still. */
    event_loop_run(io->loop, &ignored);
    return NULL;
}

int io_thread_start(struct io_thread *io, struct sandbox *sandbox, struct error *error)
{
    sigset_t all, before;
    int result;

    io->sandbox = sandbox;
    fill_but_faults(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&io->thread, NULL, io_main, io);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        return error_set(error, result, "I/O thread: %s", strerror(result));
    io->started = true;
    return 0;
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
    free(io);
}
