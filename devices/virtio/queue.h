/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTQUEUE_H
#define MOTE_VIRTQUEUE_H

/*
 * The device's end of a split virtqueue (virtio 1.2, 2.7).
 *
 * The driver offers buffers through the available ring; the device pops them
 * as chains, serves them in any order, and pushes each into the used ring with
 * the number of bytes written.  Everything in the rings is the guest's and may
 * change at any moment: an index or a descriptor is read once, copied, and only
 * the copy is checked and used.
 *
 * A queue that breaks the rules (an index out of range, a loop, a buffer
 * outside of RAM, more heads than the queue has) turns `broken`: nothing more
 * is popped or pushed until the driver resets the device.
 *
 * One thread at a time: the device's lock is held.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/machine/guest_memory.h"

struct state;

#define VIRTQUEUE_SIZE_MAX 1024

#define VIRTQ_DESC_F_NEXT 1u
#define VIRTQ_DESC_F_WRITE 2u
#define VIRTQ_DESC_F_INDIRECT 4u

/* virtio 1.2, 2.7.5 */
struct virtq_desc {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "virtio 1.2, 2.7.5");

/* virtio 1.2, 2.7.8 */
struct virtq_used_element {
    uint32_t id;
    uint32_t length;
};
_Static_assert(sizeof(struct virtq_used_element) == 8, "virtio 1.2, 2.7.8");

struct virtqueue {
    const struct guest_memory *memory;

    /* What the driver sets while the queue is not ready; unchecked until then. */
    uint16_t size_max;
    uint32_t size;
    uint64_t desc_address;
    uint64_t avail_address;
    uint64_t used_address;

    /* Valid while ready: the three areas, checked once for their whole length. */
    bool ready;
    bool broken;
    bool event_idx; /* VIRTIO_F_EVENT_IDX was negotiated */
    bool indirect;  /* VIRTIO_F_INDIRECT_DESC was negotiated */
    uint8_t *desc;
    uint8_t *avail;
    uint8_t *used;
    uint16_t last_avail;     /* heads popped, modulo 2^16 */
    uint16_t used_index;     /* heads pushed, modulo 2^16 */
    uint16_t notified_used;  /* used_index when virtqueue_wants_interrupt() was last asked */
    uint16_t in_use;         /* heads popped and not yet pushed */
    uint64_t heads[VIRTQUEUE_SIZE_MAX / 64]; /* a bit for each head in use */
};

/* A buffer: its segments, the device-readable ones first (2.7.4.2). */
struct virtio_chain {
    uint16_t head;
    uint16_t count;    /* segments in use */
    uint16_t capacity; /* of SEGMENTS; more make the queue broken */
    uint16_t readable; /* the first so many are device-readable, the others writable */
    uint64_t readable_bytes;
    uint64_t writable_bytes;
    struct iovec *segments; /* the caller's */
};

void virtqueue_init(struct virtqueue *queue, const struct guest_memory *memory, uint16_t size_max);

/* Forgets everything that the driver set (2.1.2). */
void virtqueue_reset(struct virtqueue *queue);

/*
 * The driver says that the queue is set up: checks size, alignment and that all
 * three areas lie in RAM.  -EINVAL leaves it not ready.
 */
int virtqueue_enable(struct virtqueue *queue);

/*
 * The next chain: 1, with CHAIN filled; 0, there is none; or -EPROTO, the
 * driver broke the rules and the queue is broken from now on.
 */
int virtqueue_pop(struct virtqueue *queue, struct virtio_chain *chain);

/*
 * Gives the chain with HEAD back, WRITTEN bytes of it being written by the
 * device.  Order is free.  On a broken or reset queue it does nothing.
 */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);

/*
 * The same in two steps, for chains that the driver must see together, as the
 * buffers of one frame: any number of fills, then they are all published.
 */
void virtqueue_fill(struct virtqueue *queue, uint16_t head, uint32_t written);
void virtqueue_publish(struct virtqueue *queue);

/* Takes the last popped chain back as if it had not been popped; before any other call. */
void virtqueue_unpop(struct virtqueue *queue, uint16_t head);

/* Whether the driver wants an interrupt for what was pushed since the last time it was asked. */
bool virtqueue_wants_interrupt(struct virtqueue *queue);

/*
 * Asks the driver not to notify while the device is at work anyway, and to
 * notify again.  Enabling returns true when a buffer came meanwhile: then
 * another round is due, for no notification will come.
 */
void virtqueue_disable_notify(struct virtqueue *queue);
bool virtqueue_enable_notify(struct virtqueue *queue);

/* virtqueue_pop(); where there is no chain, the driver is asked to notify of the next one. */
int virtqueue_pop_or_enable_notify(struct virtqueue *queue, struct virtio_chain *chain);

/*
 * Its fields for the section that stands open.  What is saved has no chain in
 * use, unless it is broken, which the caller sets before it loads.  What is
 * loaded is checked as if the driver had set it up; nothing in memory is read.
 */
void virtqueue_state(struct virtqueue *queue, struct state *state);

/* Whether a chain is waiting. */
bool virtqueue_has_chain(const struct virtqueue *queue);

#endif
