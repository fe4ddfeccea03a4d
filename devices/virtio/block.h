/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_BLOCK_H
#define MOTE_VIRTIO_BLOCK_H

/* What a disk may be told: plain values, whose texts are the configuration's. */

#include <stdbool.h>
#include <stdint.h>

#include "devices/backend/disk_engine.h"
#include "devices/backend/disk_overlay.h"
#include "devices/rate_limit.h"
#include "devices/virtio/device.h"

/* More than a guest has CPUs for, and few enough to keep a device small. */
#define BLOCK_QUEUES_MAX 16

/* Of the answer to GET_ID (virtio 1.2, 5.2.6). */
#define BLOCK_SERIAL_SIZE 20

/* What was opened for a disk; the device's from create() on, as if it had opened it itself. */
struct block_host {
    struct disk_host disk;
    struct disk_ring *ring; /* NULL: threads do the work */
    unsigned int slot;      /* of the disk's file, in it */
};

struct block_options {
    const char *path;
    int fd; /* the disk, which PATH only names, and stays the user's; -1: PATH is opened */
    bool read_only;
    bool direct;
    const char *overlay; /* where writes go, so that PATH stays as it is, DISK_OVERLAY_TEMPORARY among others; or NULL */
    char serial[BLOCK_SERIAL_SIZE + 1];
    enum disk_engine_kind engine; /* uring becomes sync where the host has none */
    uint16_t queues;
    uint32_t block_size; /* 512, 4096, or 0 for what suits the file */
    struct rate_limit_config rate;
    struct block_host *host; /* no value of the user's: set when it is open */
};

/*
 * For a driver that runs the disk, or none yet: what is in flight is finished and flushed to the old file, which is closed;
 * HOST's is the disk from now on, PATH its name, which outlives the device, and the driver is told of its size.  Where that
 * fails HOST stays the caller's, and the old file the disk.
 */
int virtio_block_replace(struct virtio_device *device, const struct block_host *host, const char *path,
                         struct error *error);

/* *TIMER_FD as rate_limit_change() has it. */
int virtio_block_set_rate(struct virtio_device *device, const struct rate_limit_config *rate, int *timer_fd,
                          struct error *error);

extern const struct virtio_device_class block_class;

#endif
