/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_CHAIN_H
#define MOTE_VIRTIO_CHAIN_H

/*
 * Descriptor chains: the one place that walks them, and cursors to read and
 * write the buffer that they make up, however it is split.
 */

#include <stddef.h>

#include "devices/virtio/queue.h"

/*
 * Follows the chain from HEAD into CHAIN's segments.  -EPROTO when it breaks a
 * rule: an index out of range, more descriptors than the queue has (a loop),
 * readable after writable, an indirect table that is nested, empty, of odd
 * length or continued, a buffer outside of RAM, too many segments, or 4 GiB and
 * more in all.  Descriptors of length 0 are left out.
 */
int chain_walk(const struct virtqueue *queue, uint16_t head, struct virtio_chain *chain);

/* A place in the readable or in the writable part of a chain. */
struct chain_cursor {
    const struct virtio_chain *chain;
    uint16_t segment;
    uint16_t end; /* the first segment that is not part of it */
    size_t offset; /* inside SEGMENT */
};

struct chain_cursor chain_readable(const struct virtio_chain *chain);
struct chain_cursor chain_writable(const struct virtio_chain *chain);

/* Copies out of the readable part and moves on; returns how much there was. */
size_t chain_read(struct chain_cursor *cursor, void *bytes, size_t length);

/* Copies into the writable part and moves on; returns how much fitted. */
size_t chain_write(struct chain_cursor *cursor, const void *bytes, size_t length);

/* Moves on; returns by how much. */
size_t chain_skip(struct chain_cursor *cursor, size_t length);

/* Bytes from the cursor to the end of its part. */
uint64_t chain_left(const struct chain_cursor *cursor);

/*
 * Segments of the next LENGTH bytes, for readv(2) and its like; the cursor
 * moves on.  Returns their number, at most CAPACITY, or -ENOBUFS; fewer bytes
 * than LENGTH only where the part ends.
 */
int chain_slice(struct chain_cursor *cursor, size_t length, struct iovec *segments,
                size_t capacity);

#endif
