/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_RING_H
#define MOTE_DISK_RING_H

/*
 * The io_uring of a disk.  Who opens the disk makes it, before it forks who serves
 * the disk (disk_engine_uring.c); both then have the ring's descriptor and memory.
 *
 * The ring does what disk_request.c asks for, with the disk's files, and nothing
 * else, whoever writes into it: io_uring could also open files and make sockets,
 * past the sandbox's lists of system calls.  Which files these are is set by its
 * maker alone: a monitor in its jail has no io_uring_register().
 *
 *   slot 0 and 1   the disk's file, in one of them, and its successor in the other
 *   slot 2         its overlay
 *
 * Kernels before 5.10 cannot restrict a ring; there descriptors are used as they are.
 */

#include <liburing.h>
#include <stdbool.h>

#include "devices/backend/disk_file.h"

#define DISK_RING_FILES 2
#define DISK_RING_OVERLAY 2

/* At a time, of one disk. */
#define DISK_IN_FLIGHT_MAX 128

struct disk_ring {
    struct io_uring ring;
    bool has_slots; /* files are named by them; without, by descriptors */
};

/* HOST's file gets SLOT.  A negative errno: the host has no io_uring for us. */
int disk_ring_create(struct disk_ring **ring, const struct disk_host *host, unsigned int slot);

/* The file that SLOT leads to is FD's from now on; -1: none. */
int disk_ring_set_file(struct disk_ring *ring, unsigned int slot, int fd);

/* NULL is fine. */
void disk_ring_destroy(struct disk_ring *ring);

#endif
