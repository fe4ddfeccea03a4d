/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_HOST_SIDE_H
#define MOTE_HOST_SIDE_H

/*
 * What a supervisor opens for a device, where a test is both the supervisor and the device's process: the device gets
 * copies of the descriptors, as by fork(2).
 */

#include "devices/virtio/device.h"
#include "vmm/supervisor/host_disk.h"

struct host_side {
    struct block_options *disk; /* whose `host` is GIVEN; NULL: no disk */
    struct block_host kept;     /* the supervisor's */
    struct block_host given;    /* the device's from its creation on */
};

/* For a device of CLASS with OPTIONS; of one that opens nothing, nothing.  Negative: ERROR tells. */
int host_side_open(struct host_side *side, const struct virtio_device_class *class, const void *options,
                   struct log *log, struct error *error);
/* The device is gone. */
void host_side_close(struct host_side *side);

/* A disk's file alone, which is nobody else's: its lock ends by disk_file_close(). */
int host_side_open_file(struct disk_file *file, const struct block_options *options, struct log *log,
                        struct error *error);

#endif
