/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_VIRTIO_H
#define MOTE_PAYLOAD_VIRTIO_H

/*
 * A virtio-mmio driver (virtio 1.2, 4.2) that keeps to no rule unless its caller
 * does: one queue at a time, whose rings and descriptors anyone may write to.
 */

#include "payload.h"

#define VIRTIO_WINDOWS 0xd0000000ull
#define VIRTIO_WINDOW_SIZE 0x1000ull
#define QUEUE_SIZE 64

enum {
    REG_MAGIC = 0x00, REG_DEVICE_ID = 0x08, REG_FEATURES = 0x10, REG_FEATURES_SEL = 0x14,
    REG_DRIVER_FEATURES = 0x20, REG_DRIVER_FEATURES_SEL = 0x24, REG_QUEUE_SEL = 0x30,
    REG_QUEUE_SIZE_MAX = 0x34, REG_QUEUE_SIZE = 0x38, REG_QUEUE_READY = 0x44, REG_NOTIFY = 0x50,
    REG_INTERRUPT = 0x60, REG_ACK = 0x64, REG_STATUS = 0x70, REG_DESC = 0x80, REG_AVAIL = 0x90,
    REG_USED = 0xa0, REG_CONFIG = 0x100,
};

enum { ID_NET = 1, ID_BLOCK = 2, ID_CONSOLE = 3, ID_ENTROPY = 4, ID_BALLOON = 5, ID_VSOCK = 19 };

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64 };
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

#define FEATURE_INDIRECT (1u << 28)
#define FEATURES_OF_DISKS (1u << 9 | 1u << 13 | 1u << 14) /* flush, discard, write zeroes */
#define FEATURE_VERSION_1 1u /* in the upper half */

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

struct rings {
    struct descriptor desc[QUEUE_SIZE];
    struct {
        uint16_t flags, index, ring[QUEUE_SIZE], event;
    } avail __attribute__((aligned(64)));
    struct {
        volatile uint16_t flags, index;
        struct { uint32_t id, length; } ring[QUEUE_SIZE];
        uint16_t event;
    } used __attribute__((aligned(64)));
};

static struct rings rings __attribute__((aligned(4096)));
static uint8_t buffers[8][4096] __attribute__((aligned(4096), unused));
static struct descriptor table[QUEUE_SIZE] __attribute__((aligned(4096), unused));

struct virtio {
    uint64_t base;
    uint32_t id, queue;
};

static inline void set_register(const struct virtio *v, uint64_t offset, uint32_t value)
{
    write32(v->base + offset, value);
}

static inline uint32_t get_register(const struct virtio *v, uint64_t offset)
{
    return read32(v->base + offset);
}

static inline void set_address(const struct virtio *v, uint64_t offset, uint64_t address)
{
    set_register(v, offset, (uint32_t)address);
    set_register(v, offset + 4, (uint32_t)(address >> 32));
}

static inline void clear(void *memory, size_t size)
{
    __asm__ volatile("rep stosb" : "+D"(memory), "+c"(size) : "a"(0) : "memory");
}

/* To where features are agreed on and queues may be set up. */
static inline void negotiate(const struct virtio *v)
{
    set_register(v, REG_STATUS, 0);
    clear(&rings, sizeof(rings));
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER);
    set_register(v, REG_DRIVER_FEATURES_SEL, 1);
    set_register(v, REG_DRIVER_FEATURES, FEATURE_VERSION_1);
    set_register(v, REG_DRIVER_FEATURES_SEL, 0);
    set_register(v, REG_FEATURES_SEL, 0);
    set_register(v, REG_DRIVER_FEATURES,
                 get_register(v, REG_FEATURES) &
                     (FEATURE_INDIRECT | (v->id == ID_BLOCK ? FEATURES_OF_DISKS : 0)));
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    set_register(v, REG_QUEUE_SEL, v->queue);
}

static inline void offer_queue(const struct virtio *v, uint32_t size, uint64_t desc, uint64_t avail,
                               uint64_t used)
{
    set_register(v, REG_QUEUE_SIZE, size);
    set_address(v, REG_DESC, desc);
    set_address(v, REG_AVAIL, avail);
    set_address(v, REG_USED, used);
    set_register(v, REG_QUEUE_READY, 1);
}

static inline void offer_own_queue(const struct virtio *v)
{
    offer_queue(v, QUEUE_SIZE, (uint64_t)rings.desc, (uint64_t)&rings.avail, (uint64_t)&rings.used);
}

static inline void drive(const struct virtio *v)
{
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

/* Everything right, no buffer offered. */
static inline void start(const struct virtio *v)
{
    negotiate(v);
    offer_own_queue(v);
    drive(v);
}

static inline void describe(unsigned int index, uint64_t address, uint32_t length, uint16_t flags,
                            uint16_t next)
{
    rings.desc[index] = (struct descriptor){ address, length, flags, next };
}

static inline void offer(uint16_t head)
{
    rings.avail.ring[rings.avail.index % QUEUE_SIZE] = head;
    __asm__ volatile("" : : : "memory");
    rings.avail.index++;
}

static inline void notify(const struct virtio *v)
{
    set_register(v, REG_NOTIFY, v->queue);
}

#define TICKS_PER_MS 2500000ull

/* Until COUNT buffers came back or the device gave up; true for the former. */
static inline bool await(const struct virtio *v, uint16_t count, unsigned int milliseconds)
{
    uint64_t end = rdtsc() + milliseconds * TICKS_PER_MS;

    while ((int64_t)(end - rdtsc()) > 0) {
        if (rings.used.index == count)
            return true;
        if (get_register(v, REG_STATUS) & NEEDS_RESET)
            return false;
    }
    return false;
}

#endif
