/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_MMIO_H
#define MOTE_VIRTIO_MMIO_H

/*
 * The virtio-mmio transport, register layout version 2 (virtio 1.2, 4.2): a window
 * of registers and one interrupt line for all queues.
 *
 * A device that interrupts often takes a shortcut by which its driver's handler no
 * longer leaves the kernel (mmio_internal.h).
 */

#include "devices/virtio/transport.h"

#define VIRTIO_MMIO_SIZE 0x1000

/* What the VM has KVM do at the window, for queues and devices that are busy. */
struct virtio_mmio_window {
    /* Writes EVENT_FD when VALUE (32 bits) is written to guest ADDRESS.  NULL: never. */
    int (*attach)(void *context, uint64_t address, uint32_t value, int event_fd);
    void (*detach)(void *context, uint64_t address, uint32_t value, int event_fd);
    /* Answers reads of the window at ADDRESS from PAGE, which has VIRTIO_MMIO_SIZE bytes, stays
     * in place and is aligned so; writes come as before.  Optional. */
    int (*show)(void *context, uint64_t address, void *page);
    void (*hide)(void *context, uint64_t address);
    void *context;
};

struct virtio_mmio_options {
    struct virtio_transport_options virtio;
    uint64_t base; /* the window's guest address */
    struct virtio_mmio_window window;
};

extern const struct device_ops virtio_mmio_ops;

#endif
