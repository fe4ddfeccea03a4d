/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_MMIO_H
#define MOTE_VIRTIO_MMIO_H

/*
 * The virtio-mmio transport, register layout version 2 (virtio 1.2, 4.2).
 *
 * Notifications.  A driver's write to QueueNotify comes as a plain exit first:
 * the transport writes an eventfd, and the I/O loop serves the queue.  A queue
 * that is notified often gets an ioeventfd: KVM then writes the same eventfd
 * without leaving the kernel.  Registering it at once would cost every VM its
 * start and, through an SRCU grace period, its end (docs/start-time.md).
 *
 * Interrupts.  A device that interrupts often takes a shortcut by which its
 * driver's handler no longer leaves the kernel either (mmio_internal.h).
 */

#include "devices/device.h"
#include "devices/virtio/device.h"

#define VIRTIO_MMIO_SIZE 0x1000

/* What KVM does in the transport's place, for queues and devices that are busy. */
struct virtio_doorbell {
    /* Writes EVENT_FD when VALUE (32 bits) is written to guest ADDRESS. */
    int (*attach)(void *context, uint64_t address, uint32_t value, int event_fd);
    void (*detach)(void *context, uint64_t address, uint32_t value, int event_fd);
    /* Answers reads of the window at ADDRESS from PAGE, which has VIRTIO_MMIO_SIZE bytes, stays
     * in place and is aligned so; writes come as before.  Optional. */
    int (*show)(void *context, uint64_t address, void *page);
    void (*hide)(void *context, uint64_t address);
    void *context;
};

struct virtio_mmio_options {
    const struct virtio_device_class *class;
    const void *device_options;
    uint64_t base;                   /* the window's guest address */
    uint32_t index;                  /* among the VM's virtio devices, for its saved state */
    struct virtio_doorbell doorbell; /* attach NULL: plain exits for ever */
};

extern const struct device_ops virtio_mmio_ops;

/* The device behind the transport, for control messages; its lock is the transport's. */
struct virtio_device *virtio_mmio_device(struct device *device);

#endif
