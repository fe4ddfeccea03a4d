/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_MMIO_INTERNAL_H
#define MOTE_VIRTIO_MMIO_INTERNAL_H

/*
 * The virtio-mmio transport, its parts among themselves:
 *
 *   mmio.c            registers, life cycle, interrupts
 *   mmio_doorbell.c   the driver's notifications, each queue's way to the loop
 *   mmio_shortcut.c   a busy device's accesses that KVM answers in our place
 *   mmio_state.c      saving and loading
 */

#include "devices/virtio/mmio.h"

/* 4.2.2, the registers' offsets. */
enum {
    MAGIC_VALUE = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_SIZE_MAX = 0x034,
    QUEUE_SIZE = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC_LOW = 0x080,
    QUEUE_DESC_HIGH = 0x084,
    QUEUE_DRIVER_LOW = 0x090,
    QUEUE_DRIVER_HIGH = 0x094,
    QUEUE_DEVICE_LOW = 0x0a0,
    QUEUE_DEVICE_HIGH = 0x0a4,
    SHM_LENGTH_LOW = 0x0b0,
    SHM_BASE_HIGH = 0x0bc,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
};

/* 2.1, the device status field. */
#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER 2u
#define STATUS_DRIVER_OK 4u
#define STATUS_FEATURES_OK 8u
#define STATUS_NEEDS_RESET 64u
#define STATUS_FAILED 128u

/* So many accesses of one kind that left the kernel make a queue or a device busy. */
#define BUSY 64

struct doorbell {
    struct virtio_mmio *mmio;
    int event_fd; /* -1 until the device was activated for the first time */
    unsigned int kicks;
    bool attached;
};

/*
 * The interrupt handler of a driver reads InterruptStatus and writes what it read to
 * InterruptACK: two exits to this process for each interrupt.  For a busy device the
 * read ends in the guest: the window's page is shown to it for reading, a copy of all
 * registers.  InterruptStatus is kept in it as it changes, by the device's interrupts
 * and by the driver's acknowledgements, which still come by exits: only so does the
 * register read 0 right after one (4.2.2).  Before anything else changes, the page is
 * taken away (shortcut_end()), and drivers see each register as it is.
 */
struct shortcut {
    bool taken;
    unsigned int reads; /* of InterruptStatus, by exits */
    uint8_t *page;      /* NULL before the first time */
};

struct virtio_mmio {
    struct device device;
    struct virtio_transport transport;
    struct virtio_mmio_options options;
    struct irq_line irq;
    struct event_loop *loop;
    struct log *log;
    struct log_limit misbehaviour;
    struct virtio_device *virtio;

    uint32_t status;
    uint32_t device_features_sel;
    uint32_t driver_features_sel;
    uint64_t driver_features;
    bool unknown_features; /* among those that the driver chose, of pages that do not exist */
    uint32_t queue_sel;
    uint32_t interrupt_status;
    uint32_t generation;
    bool loading;
    uint32_t owed; /* reasons to interrupt that came up while loading, for the loop */
    struct doorbell doorbells[VIRTIO_QUEUES_MAX];
    struct shortcut shortcut;
};

/* What the guest reads at OFFSET below CONFIG; changes nothing. */
uint32_t mmio_register(struct virtio_mmio *mmio, uint64_t offset);

/* Whether each of the driver's features has those that it needs (2.2). */
bool mmio_features_are_whole(const struct virtio_mmio *mmio);
/* What the device and the ring offer. */
uint64_t mmio_offered(const struct virtio_mmio *mmio);
/* The features are final: the queues follow them and get their doorbells; or a negative errno. */
int mmio_open_queues(struct virtio_mmio *mmio);
/* As new. */
void mmio_reset(struct virtio_mmio *mmio);
/* Interrupts for what came up while loading, now that the loop runs. */
void mmio_interrupt_owed(struct virtio_mmio *mmio);

/* The device's operations, see device.h. */
void mmio_state(struct device *device, struct state *state);
void mmio_drain(struct device *device);

void doorbells_init(struct virtio_mmio *mmio);
void doorbells_release(struct virtio_mmio *mmio);
/* Gives QUEUE an eventfd in the loop, once. */
int doorbell_open(struct virtio_mmio *mmio, unsigned int queue);
/* Plain exits again. */
void doorbell_detach(struct virtio_mmio *mmio, unsigned int queue);
/* The driver wrote QUEUE, any number, to QueueNotify. */
void doorbell_notified(struct virtio_mmio *mmio, uint32_t queue);
/* Has the loop serve QUEUE. */
void doorbell_ring(struct virtio_mmio *mmio, unsigned int queue);

/* The driver read InterruptStatus by an exit: after enough of them the shortcut begins. */
void shortcut_status_read(struct virtio_mmio *mmio);
/* InterruptStatus has changed. */
void shortcut_show_status(struct virtio_mmio *mmio);
/* Another register is about to change. */
void shortcut_end(struct virtio_mmio *mmio);
void shortcut_release(struct virtio_mmio *mmio);

#endif
