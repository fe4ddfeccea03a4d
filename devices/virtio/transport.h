/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_TRANSPORT_H
#define MOTE_VIRTIO_TRANSPORT_H

/*
 * The transport of a virtio device: what stands between driver and device, and
 * is the same whatever registers the driver sees.
 *
 *   device status, and the order of its bits    virtio 1.2, 2.1 and 3.1
 *   feature negotiation                          2.2
 *   notifications in both directions             2.3
 *   reset, DEVICE_NEEDS_RESET                    2.4, 2.1.1
 *   configuration space and its generation       2.5
 *   the queues' set-up                           2.6
 *   saving and loading
 *
 * A kind of transport (mmio.c) adds two things:
 *
 *   registers           where each enum virtio_field is; its device_ops read and write
 *                       look that up and decide nothing themselves
 *   a way to interrupt  struct virtio_transport_ops; an interrupt names its queue,
 *                       so that each queue can have a vector
 *
 * A transport is a device on the bus: struct virtio_transport is the first member
 * of its struct, and struct device is the first member of that.  So device_ops may
 * take virtio_transport_state() and virtio_transport_drain() as they are.  A
 * transport with a state of its own, such as vectors, saves it in a section of its own
 * before it calls virtio_transport_state(): loading may interrupt soon after.
 * tests/support/vector_transport.c is a whole one in little.
 *
 * Every number that a driver writes may be any number; it is checked here, once.
 * All calls are made with the device's lock held.
 *
 * Notifications by the driver.  One comes as a plain exit first: the transport
 * writes the queue's eventfd, and the I/O loop serves the queue.  A queue that is
 * notified often gets an ioeventfd: KVM then writes the same eventfd without
 * leaving the kernel.  Registering it at once would cost every VM its start and,
 * through an SRCU grace period, its end (docs/start-time.md).
 */

#include "devices/device.h"
#include "devices/virtio/device.h"

/* 2.1, the device status field. */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER 2u
#define VIRTIO_STATUS_DRIVER_OK 4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED 128u

/* Reasons for an interrupt, as both kinds of registers show them (4.1.4.5, 4.2.2). */
#define VIRTIO_INTERRUPT_USED 1u
#define VIRTIO_INTERRUPT_CONFIG 2u

/* So many accesses of one kind that left the kernel make a queue or a device busy. */
#define VIRTIO_BUSY 64

/* Called between DRIVER_OK and the next reset, never while the device is loaded. */
struct virtio_transport_ops {
    /* The device used buffers of QUEUE, and the driver wants to be told. */
    void (*interrupt)(struct virtio_transport *transport, unsigned int queue);
    /* The configuration space or the device status changed. */
    void (*config_changed)(struct virtio_transport *transport);
    /*
     * Has KVM write EVENT_FD when the driver notifies the device of QUEUE, from here to
     * detach(), or returns a negative errno.  Both optional: then by plain exits for ever.
     */
    int (*attach)(struct virtio_transport *transport, unsigned int queue, int event_fd);
    void (*detach)(struct virtio_transport *transport, unsigned int queue, int event_fd);
};

struct virtio_transport_options {
    const struct virtio_device_class *class;
    const void *device_options;
    uint32_t index; /* among the VM's virtio devices, for its saved state */
};

/* A queue's way to the loop. */
struct virtio_doorbell {
    struct virtio_transport *transport;
    int event_fd; /* -1 until the device was activated for the first time */
    unsigned int kicks;
    bool attached;
};

struct virtio_transport {
    struct device device;
    const struct virtio_transport_ops *ops;
    struct virtio_device *virtio;

    uint32_t status;
    uint32_t generation; /* of the configuration space; outlives resets */
    uint32_t device_features_sel;
    uint32_t driver_features_sel;
    uint32_t queue_sel;
    uint32_t interrupt_status; /* for registers that show the reasons; a reset clears it */

    uint64_t driver_features;
    bool unknown_features; /* among those that the driver chose, of pages that do not exist */
    bool loading;
    bool owed_config;     /* interrupts that came up while loading, for the loop */
    uint64_t owed_queues; /* a bit each */

    uint32_t index;
    struct event_loop *loop;
    struct log *log;
    struct log_limit misbehaviour;
    struct virtio_doorbell doorbells[VIRTIO_QUEUES_MAX];
};
_Static_assert(VIRTIO_QUEUES_MAX <= 64, "owed_queues has a bit for each");

/* ---- life ---- */

/*
 * Makes the device by its class, and TRANSPORT, zeroed, around it.  DEVICE_OPS are those
 * of this kind of transport.  On failure nothing is left to release.
 */
int virtio_transport_init(struct virtio_transport *transport, const struct device_ops *device_ops,
                          const struct virtio_transport_ops *ops, const struct device_env *env,
                          const struct virtio_transport_options *options, struct error *error);
/* Resets and destroys the device; TRANSPORT's memory is its owner's. */
void virtio_transport_release(struct virtio_transport *transport);

/* As device_ops have them. */
void virtio_transport_state(struct device *device, struct state *state);
void virtio_transport_drain(struct device *device);

/* The device behind DEVICE, which is a transport, for control messages; the lock is DEVICE's. */
struct virtio_device *virtio_device_of(struct device *device);

/* ---- what registers are made of ---- */

/* What every kind of transport has somewhere in its registers (4.1.4.3, 4.2.2); 64 bits are in two halves. */
enum virtio_field {
    VIRTIO_FIELD_NONE, /* reads as 0 */
    VIRTIO_DEVICE_FEATURES_SEL,
    VIRTIO_DEVICE_FEATURES, /* the 32 bits that DEVICE_FEATURES_SEL names; read-only */
    VIRTIO_DRIVER_FEATURES_SEL,
    VIRTIO_DRIVER_FEATURES,
    VIRTIO_DEVICE_STATUS,
    VIRTIO_CONFIG_GENERATION, /* read-only */
    VIRTIO_QUEUE_SEL,         /* the queue that those below are of */
    VIRTIO_QUEUE_SIZE_MAX,    /* 0: there is no such queue; read-only */
    VIRTIO_QUEUE_SIZE,
    VIRTIO_QUEUE_READY,
    VIRTIO_QUEUE_DESC_LOW,
    VIRTIO_QUEUE_DESC_HIGH,
    VIRTIO_QUEUE_DRIVER_LOW, /* the available ring */
    VIRTIO_QUEUE_DRIVER_HIGH,
    VIRTIO_QUEUE_DEVICE_LOW, /* the used ring */
    VIRTIO_QUEUE_DEVICE_HIGH,
    VIRTIO_FIELD_COUNT,
};

/* Changes nothing. */
uint32_t virtio_transport_read(const struct virtio_transport *transport, enum virtio_field field);
void virtio_transport_write(struct virtio_transport *transport, enum virtio_field field,
                            uint32_t value);

/* The driver notifies the device of QUEUE, any number. */
void virtio_transport_notified(struct virtio_transport *transport, uint32_t queue);

/* The configuration space, in any width; beyond it are zeroes, and nothing is written. */
void virtio_transport_read_config(const struct virtio_transport *transport, uint64_t offset,
                                  uint8_t *bytes, size_t length);
void virtio_transport_write_config(struct virtio_transport *transport, uint64_t offset,
                                   const uint8_t *bytes, size_t length);

#endif
