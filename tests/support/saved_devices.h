/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SAVED_DEVICES_H
#define MOTE_SAVED_DEVICES_H

/*
 * One device of each kind that has a state, which can be made as new any number
 * of times, one at a time, and put to some work before it is saved: for those
 * who alter what was saved.
 */

#include "tests/support/saved.h"

struct saved_world {
    struct fixture fixture;
    struct fake_driver driver; /* of a virtio device */
    struct device *device;
    void *options;
    struct console *console;
    int fds[2]; /* of the host's side; -1 */
};

struct saved_kind {
    const char *name;
    const struct virtio_device_class *class; /* NULL: OPS */
    const struct device_ops *ops;
    uint64_t features;
    unsigned int queues;
    void (*prepare)(struct saved_world *world); /* what the device is made from */
    void (*work)(struct saved_world *world);    /* a virtio device is started by then */
};

const struct saved_kind *saved_kinds(size_t *count);

void saved_world_open(struct saved_world *world, const struct saved_kind *kind);
void saved_world_close(struct saved_world *world, const struct saved_kind *kind);

/* The device, as new; and its end. */
void saved_world_make(struct saved_world *world, const struct saved_kind *kind);
void saved_world_end(struct saved_world *world, const struct saved_kind *kind);

/* Makes one, has it work, saves it and ends it. */
void saved_world_save(struct saved_world *world, const struct saved_kind *kind,
                      struct saved *saved);

#endif
