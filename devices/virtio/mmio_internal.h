/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_MMIO_INTERNAL_H
#define MOTE_VIRTIO_MMIO_INTERNAL_H

/*
 * The virtio-mmio transport, its parts among themselves:
 *
 *   mmio.c            registers and interrupts
 *   mmio_shortcut.c   a busy device's accesses that KVM answers in our place
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
    struct virtio_transport transport;
    uint64_t base;
    struct virtio_mmio_window window;
    struct irq_line irq;
    struct shortcut shortcut;
};

/* What the guest reads at OFFSET below CONFIG; changes nothing. */
uint32_t mmio_register(const struct virtio_mmio *mmio, uint64_t offset);

/* The driver read InterruptStatus by an exit: after enough of them the shortcut begins. */
void shortcut_status_read(struct virtio_mmio *mmio);
/* InterruptStatus has changed. */
void shortcut_show_status(struct virtio_mmio *mmio);
/* Another register is about to change. */
void shortcut_end(struct virtio_mmio *mmio);
void shortcut_release(struct virtio_mmio *mmio);

#endif
