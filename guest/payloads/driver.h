/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_DRIVER_H
#define MOTE_PAYLOAD_DRIVER_H

/* A driver that keeps to the rules: finds its device, and waits for it without an exit. */

#include "virtio.h"

/* The first device of this kind, or a base of 0. */
static inline struct virtio find_device(uint32_t id)
{
    for (uint64_t window = 0; window < 16; window++) {
        struct virtio v = { .base = VIRTIO_WINDOWS + window * VIRTIO_WINDOW_SIZE, .id = id };

        if (get_register(&v, REG_MAGIC) == 0x74726976 && get_register(&v, REG_DEVICE_ID) == id)
            return v;
    }
    return (struct virtio){ .base = 0 };
}

/* Until the device has used COUNT buffers of RING; false where it gave up. */
static inline bool wait_used(const struct virtio *v, const struct rings *ring, uint16_t count)
{
    for (uint32_t i = 1; ring->used.index != count; i++) {
        __asm__ volatile("pause");
        if (i % 1024 == 0 && get_register(v, REG_STATUS) & NEEDS_RESET)
            return false;
    }
    return true;
}

/* A word for whoever reads the monitor's log: "sleep type NUMBER", which there is not. */
static inline void mark(uint8_t number)
{
    out8(0x600, (uint8_t)(0x20 | number << 2));
}

#endif
