/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IO_THREAD_H
#define MOTE_IO_THREAD_H

/*
 * An event loop with a thread of its own.  Virtio queues are served here, so
 * that neither a vCPU nor the console ever waits for a disk.
 */

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/jail/sandbox.h"

struct io_thread;

int io_thread_create(struct io_thread **io, struct error *error);

struct event_loop *io_thread_loop(struct io_thread *io);

/* The thread enters SANDBOX, NULL for none, before it serves anything. */
int io_thread_start(struct io_thread *io, struct sandbox *sandbox, struct error *error);

/* Ends the thread and waits for it.  NULL, not started and already stopped are fine. */
void io_thread_stop(struct io_thread *io);

/* After the devices whose sources are in the loop. */
void io_thread_destroy(struct io_thread *io);

#endif
