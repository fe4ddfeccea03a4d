/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_BALLOON_H
#define MOTE_VIRTIO_BALLOON_H

/* What a balloon may be told, and what control messages may ask of it; with the device's lock held. */

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/device.h"

/* Plain values. */
struct balloon_options {
    uint64_t size; /* bytes */
    bool deflate_on_oom;
    bool reporting;
    uint64_t stats; /* seconds between accounts, 0 for none */
};

/* The guest's own account of its memory, in bytes or events; UINT64_MAX where it gave none. */
enum balloon_stat { /* virtio 1.2, 5.5.6.4: the tags */
    BALLOON_SWAP_IN,
    BALLOON_SWAP_OUT,
    BALLOON_MAJOR_FAULTS,
    BALLOON_MINOR_FAULTS,
    BALLOON_FREE,
    BALLOON_TOTAL,
    BALLOON_AVAILABLE,
    BALLOON_DISK_CACHES,
    BALLOON_HUGETLB_SUCCESSES,
    BALLOON_HUGETLB_FAILURES,
    BALLOON_STAT_COUNT,
};

struct balloon_state {
    uint64_t target; /* bytes that the guest shall give */
    uint64_t actual; /* bytes that it says it gave */
    uint64_t stats[BALLOON_STAT_COUNT];
};

/* Another target: more makes the guest give memory, less lets it take some back. */
int virtio_balloon_set_target(struct virtio_device *device, uint64_t bytes, struct error *error);

void virtio_balloon_state(const struct virtio_device *device, struct balloon_state *state);

extern const struct virtio_device_class balloon_class;

#endif
