/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/chain.h"

#include <errno.h>
#include <string.h>

/* used.len has 32 bits: no chain may hold more. */
#define CHAIN_BYTES_MAX UINT32_MAX

/* A descriptor table: the queue's own or an indirect one. */
struct table {
    const uint8_t *descriptors;
    uint32_t count;
};

/*
 * Copies descriptor INDEX once: the guest may change it after this.  The empty
 * asm tells the compiler so, which might else read a field again in place of
 * keeping it.
 */
static struct virtq_desc read_descriptor(const struct table *table, uint32_t index)
{
    struct virtq_desc descriptor;

    memcpy(&descriptor, table->descriptors + sizeof(descriptor) * index, sizeof(descriptor));
    __asm__ volatile("" ::: "memory");
    return descriptor;
}

static int add_segment(const struct virtqueue *queue, const struct virtq_desc *descriptor,
                       struct virtio_chain *chain)
{
    bool writable = descriptor->flags & VIRTQ_DESC_F_WRITE;
    struct guest_slice slice;

    /* 2.7.4.2: all readable ones come first. */
    if (!writable && chain->writable_bytes > 0)
        return -EPROTO;
    if (descriptor->length == 0)
        return 0;
    if (chain->count == chain->capacity ||
        chain->readable_bytes + chain->writable_bytes + descriptor->length > CHAIN_BYTES_MAX ||
        guest_memory_slice(queue->memory, descriptor->address, descriptor->length, &slice) < 0)
        return -EPROTO;
    chain->segments[chain->count++] = (struct iovec){
        .iov_base = slice.bytes, .iov_len = slice.length,
    };
    if (writable) {
        chain->writable_bytes += descriptor->length;
    } else {
        chain->readable_bytes += descriptor->length;
        chain->readable++;
    }
    return 0;
}

/* 2.7.5.3: the table of an indirect descriptor takes the place of the queue's. */
static int enter_indirect(const struct virtqueue *queue, const struct virtq_desc *descriptor,
                          struct table *table)
{
    struct guest_slice slice;

    if (!queue->indirect || (descriptor->flags & VIRTQ_DESC_F_NEXT) || descriptor->length == 0 ||
        descriptor->length % sizeof(struct virtq_desc) ||
        descriptor->length / sizeof(struct virtq_desc) > queue->size ||
        guest_memory_slice(queue->memory, descriptor->address, descriptor->length, &slice) < 0)
        return -EPROTO;
    *table = (struct table){
        .descriptors = slice.bytes, .count = descriptor->length / sizeof(struct virtq_desc),
    };
    return 0;
}

int chain_walk(const struct virtqueue *queue, uint16_t head, struct virtio_chain *chain)
{
    struct table table = { .descriptors = queue->desc, .count = queue->size };
    uint32_t index = head;
    bool indirect = false;

    chain->head = head;
    chain->count = chain->readable = 0;
    chain->readable_bytes = chain->writable_bytes = 0;
    /* Each step uses up one of as many descriptors as there are: loops end. */
    for (uint32_t left = queue->size; left > 0; left--) {
        struct virtq_desc descriptor;

        if (index >= table.count)
            return -EPROTO;
        descriptor = read_descriptor(&table, index);
        if (descriptor.flags & VIRTQ_DESC_F_INDIRECT) {
            if (indirect || enter_indirect(queue, &descriptor, &table) < 0)
                return -EPROTO;
            indirect = true;
            index = 0;
            left = queue->size + 1;
            continue;
        }
        if (add_segment(queue, &descriptor, chain) < 0)
            return -EPROTO;
        if (!(descriptor.flags & VIRTQ_DESC_F_NEXT))
            return 0;
        index = descriptor.next;
    }
    return -EPROTO;
}

struct chain_cursor chain_readable(const struct virtio_chain *chain)
{
    return (struct chain_cursor){ .chain = chain, .segment = 0, .end = chain->readable };
}

struct chain_cursor chain_writable(const struct virtio_chain *chain)
{
    return (struct chain_cursor){
        .chain = chain, .segment = chain->readable, .end = chain->count,
    };
}

/* The rest of the segment at the cursor, at most LENGTH; empty at the end. */
static struct iovec next_piece(struct chain_cursor *cursor, size_t length)
{
    const struct iovec *segment;
    struct iovec piece;

    if (cursor->segment >= cursor->end || length == 0)
        return (struct iovec){ .iov_len = 0 };
    segment = &cursor->chain->segments[cursor->segment];
    piece.iov_base = (uint8_t *)segment->iov_base + cursor->offset;
    piece.iov_len = segment->iov_len - cursor->offset;
    if (piece.iov_len > length) {
        piece.iov_len = length;
        cursor->offset += length;
    } else {
        cursor->segment++;
        cursor->offset = 0;
    }
    return piece;
}

size_t chain_read(struct chain_cursor *cursor, void *bytes, size_t length)
{
    size_t done = 0;

    for (;;) {
        struct iovec piece = next_piece(cursor, length - done);

        if (piece.iov_len == 0)
            return done;
        memcpy((uint8_t *)bytes + done, piece.iov_base, piece.iov_len);
        done += piece.iov_len;
    }
}

size_t chain_write(struct chain_cursor *cursor, const void *bytes, size_t length)
{
    size_t done = 0;

    for (;;) {
        struct iovec piece = next_piece(cursor, length - done);

        if (piece.iov_len == 0)
            return done;
        memcpy(piece.iov_base, (const uint8_t *)bytes + done, piece.iov_len);
        done += piece.iov_len;
    }
}

size_t chain_skip(struct chain_cursor *cursor, size_t length)
{
    size_t done = 0;

    for (;;) {
        struct iovec piece = next_piece(cursor, length - done);

        if (piece.iov_len == 0)
            return done;
        done += piece.iov_len;
    }
}

uint64_t chain_left(const struct chain_cursor *cursor)
{
    uint64_t left = 0;

    for (uint16_t i = cursor->segment; i < cursor->end; i++)
        left += cursor->chain->segments[i].iov_len;
    return left - cursor->offset;
}

int chain_slice(struct chain_cursor *cursor, size_t length, struct iovec *segments,
                size_t capacity)
{
    size_t count = 0;

    while (length > 0) {
        struct iovec piece = next_piece(cursor, length);

        if (piece.iov_len == 0)
            break;
        if (count == capacity)
            return -ENOBUFS;
        segments[count++] = piece;
        length -= piece.iov_len;
    }
    return (int)count;
}
