/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BYTE_RING_H
#define MOTE_BYTE_RING_H

/*
 * A queue of bytes in a buffer of fixed size.  It never grows: what has no
 * room is the caller's to keep or to drop.  No lock of its own.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct byte_ring {
    uint8_t *bytes;
    size_t size;
    size_t first; /* index of the oldest byte, below SIZE */
    size_t used;  /* at most SIZE */
};

static inline size_t byte_ring_room(const struct byte_ring *ring)
{
    return ring->size - ring->used;
}

/* Appends as much as there is room for; returns how much that was. */
static inline size_t byte_ring_push(struct byte_ring *ring, const uint8_t *bytes, size_t length)
{
    size_t at = (ring->first + ring->used) % ring->size;
    size_t straight = ring->size - at;

    if (length > byte_ring_room(ring))
        length = byte_ring_room(ring);
    if (straight > length)
        straight = length;
    memcpy(ring->bytes + at, bytes, straight);
    memcpy(ring->bytes, bytes + straight, length - straight);
    ring->used += length;
    return length;
}

/* Copies out up to LENGTH of the oldest bytes and leaves them in the ring. */
static inline size_t byte_ring_peek(const struct byte_ring *ring, uint8_t *bytes, size_t length)
{
    size_t straight = ring->size - ring->first;

    if (length > ring->used)
        length = ring->used;
    if (straight > length)
        straight = length;
    memcpy(bytes, ring->bytes + ring->first, straight);
    memcpy(bytes + straight, ring->bytes, length - straight);
    return length;
}

/* Forgets the LENGTH oldest bytes, or all of them. */
static inline void byte_ring_drop(struct byte_ring *ring, size_t length)
{
    if (length > ring->used)
        length = ring->used;
    ring->first = (ring->first + length) % ring->size;
    ring->used -= length;
}

#endif
