/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/block_internal.h"
#include "vmm/base/cleanup.h"

/* virtio 1.2, 5.2.6 */
enum {
    TYPE_IN = 0,
    TYPE_OUT = 1,
    TYPE_FLUSH = 4,
    TYPE_GET_ID = 8,
    TYPE_DISCARD = 11,
    TYPE_WRITE_ZEROES = 13,
};

enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2 };

struct request_header {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};
_Static_assert(sizeof(struct request_header) == 16, "virtio 1.2, 5.2.6");

/* Of discard and write-zeroes. */
struct range_descriptor {
    uint64_t sector;
    uint32_t sector_count;
    uint32_t flags;
};
_Static_assert(sizeof(struct range_descriptor) == 16, "virtio 1.2, 5.2.6");
#define RANGE_UNMAP 1u

/* What becomes of a chain: on to the engine, or a status at once. */
#define TO_ENGINE (-1)

/* ---- slots -------------------------------------------------------------- */

bool block_has_slot(const struct block *block)
{
    return block->free || block->slots_in_working_set < DISK_IN_FLIGHT_MAX;
}

static struct block_slot *take_slot(struct block *block)
{
    struct block_slot *slot = block->free;

    if (slot)
        block->free = slot->next_free;
    else
        slot = &block->slots[block->slots_in_working_set++];
    return slot;
}

/* The request is over: status byte, used ring, slot. */
static void answer(struct block *block, struct block_slot *slot, uint8_t status)
{
    *slot->status = status;
    virtqueue_push(&block->virtio.queues[slot->queue], slot->head,
                   status == STATUS_OK ? slot->written + 1 : 1);
    slot->next_free = block->free;
    block->free = slot;
}

/* ---- results ------------------------------------------------------------ */

static const char *operation_name(enum disk_operation operation)
{
    static const char *const names[] = {
        [DISK_READ] = "read", [DISK_WRITE] = "write", [DISK_FLUSH] = "flush",
        [DISK_DISCARD] = "discard", [DISK_ZERO] = "write of zeroes",
    };

    return names[operation];
}

/* In the user's words. */
static const char *reason(int number)
{
    return number == ENODATA ? "its file has become shorter" : strerror(number);
}

/* Once: what it means, and what ends it. */
static void tell_loss(struct block *block)
{
    if (block->loss_told || !disk_sync_has_failed(&block->file.sync))
        return;
    block->loss_told = true;
    log_warn(block->file.log, "disk %s: the host could not keep all that was written, and what is lost "
             "cannot be told: every flush fails until the VM has ended; mend the host's disk, check this "
             "one, and start the VM anew", block->file.path);
}

void block_completed(void *context, struct disk_request *request)
{
    struct block *block = context;
    struct block_slot *slot = (struct block_slot *)request;

    if (request == &block->settling) {
        tell_loss(block);
        return;
    }
    if (request->result == 0) {
        answer(block, slot, STATUS_OK);
        return;
    }
    log_limited(block->file.log, &block->file.failures, LOG_WARN,
                "disk %s: a %s failed: %s; the guest was told", block->file.path,
                operation_name(request->operation), reason(-request->result));
    tell_loss(block);
    answer(block, slot, request->result == -EOPNOTSUPP ? STATUS_UNSUPP : STATUS_IOERR);
}

/* ---- checks ------------------------------------------------------------- */

/* Whether COUNT bytes from SECTOR on lie on the disk; neither is trusted. */
static bool on_disk(const struct block *block, uint64_t sector, uint64_t bytes)
{
    uint64_t sectors = block->file.size / DISK_SECTOR;

    return bytes % DISK_SECTOR == 0 && sector <= sectors &&
           bytes / DISK_SECTOR <= sectors - sector;
}

/* ---- the kinds of requests; each returns a status or TO_ENGINE ---------- */

static int take_transfer(struct block *block, struct disk_request *request, uint64_t sector,
                         struct chain_cursor *data, uint64_t bytes)
{
    int count;

    if (!on_disk(block, sector, bytes) ||
        (request->operation == DISK_WRITE && block->file.read_only))
        return STATUS_IOERR;
    count = chain_slice(data, bytes, request->segments, DISK_SEGMENTS_MAX);
    if (count < 0)
        return STATUS_IOERR;
    request->offset = sector * DISK_SECTOR;
    request->length = bytes;
    request->count = (uint16_t)count;
    return TO_ENGINE;
}

static int take_in(struct block *block, struct block_slot *slot, uint64_t sector,
                   const struct virtio_chain *chain)
{
    struct chain_cursor data = chain_writable(chain);
    uint64_t bytes = chain->writable_bytes - 1;

    slot->request.operation = DISK_READ;
    slot->written = (uint32_t)bytes;
    return take_transfer(block, &slot->request, sector, &data, bytes);
}

static int take_out(struct block *block, struct block_slot *slot, uint64_t sector,
                    struct chain_cursor *data)
{
    slot->request.operation = DISK_WRITE;
    return take_transfer(block, &slot->request, sector, data, chain_left(data));
}

static int take_range(const struct block *block, bool discard,
                      const struct range_descriptor *descriptor, struct disk_range *range)
{
    /* 5.2.6.2: discard knows no flag. */
    if (descriptor->flags & (discard ? UINT32_MAX : ~RANGE_UNMAP))
        return STATUS_UNSUPP;
    *range = (struct disk_range){
        .offset = descriptor->sector * DISK_SECTOR,
        .length = (uint64_t)descriptor->sector_count * DISK_SECTOR,
        .unmap = descriptor->flags & RANGE_UNMAP,
    };
    if (descriptor->sector_count == 0 || descriptor->sector_count > BLOCK_RANGE_SECTORS_MAX ||
        !on_disk(block, descriptor->sector, range->length))
        return STATUS_IOERR;
    return TO_ENGINE;
}

static int take_ranges(struct block *block, struct block_slot *slot, uint32_t type,
                       struct chain_cursor *data)
{
    struct range_descriptor descriptors[DISK_RANGES_MAX];
    bool discard = type == TYPE_DISCARD;
    uint64_t bytes = chain_left(data);

    if (!virtio_has(&block->virtio, discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES))
        return STATUS_UNSUPP;
    if (block->file.read_only || bytes == 0 || bytes % sizeof(descriptors[0]) ||
        bytes > sizeof(descriptors))
        return STATUS_IOERR;
    chain_read(data, descriptors, bytes);
    slot->request.operation = discard ? DISK_DISCARD : DISK_ZERO;
    slot->request.range_count = (uint16_t)(bytes / sizeof(descriptors[0]));
    for (unsigned int i = 0; i < slot->request.range_count; i++) {
        int result = take_range(block, discard, &descriptors[i], &slot->request.ranges[i]);

        if (result != TO_ENGINE) {
            slot->request.range_count = 0; /* nothing of it is done */
            return result;
        }
    }
    return TO_ENGINE;
}

static int take_flush(const struct block *block, struct block_slot *slot)
{
    if (!virtio_has(&block->virtio, VIRTIO_BLK_F_FLUSH))
        return STATUS_UNSUPP;
    slot->request.operation = DISK_FLUSH;
    return TO_ENGINE;
}

static int take_id(const struct block *block, struct block_slot *slot,
                   const struct virtio_chain *chain)
{
    struct chain_cursor data = chain_writable(chain);
    uint64_t room = chain->writable_bytes - 1;
    size_t length = room < BLOCK_SERIAL_SIZE ? (size_t)room : BLOCK_SERIAL_SIZE;

    /* Padded with NUL, and without one when all 20 are used. */
    slot->written = (uint32_t)chain_write(&data, block->options->serial, length);
    return STATUS_OK;
}

static int take_by_type(struct block *block, struct block_slot *slot,
                        const struct request_header *header, const struct virtio_chain *chain,
                        struct chain_cursor *data)
{
    switch (header->type) {
    case TYPE_IN:
        return take_in(block, slot, header->sector, chain);
    case TYPE_OUT:
        return take_out(block, slot, header->sector, data);
    case TYPE_FLUSH:
        return take_flush(block, slot);
    case TYPE_GET_ID:
        return take_id(block, slot, chain);
    case TYPE_DISCARD:
    case TYPE_WRITE_ZEROES:
        return take_ranges(block, slot, header->type, data);
    }
    return STATUS_UNSUPP;
}

/* What the host is asked for: bytes that are moved, zeroed or given back, and its calls. */
static void charge(struct block *block, const struct disk_request *request)
{
    uint64_t bytes = request->length, calls = request->range_count > 0 ? request->range_count : 1;

    for (unsigned int i = 0; i < request->range_count; i++)
        bytes += request->ranges[i].length;
    rate_limit_charge(block->rate, bytes, calls);
}

void block_take(struct block *block, uint16_t queue, const struct virtio_chain *chain)
{
    struct chain_cursor data = chain_readable(chain);
    const struct iovec *last;
    struct request_header header;
    struct block_slot *slot;
    int result;

    if (chain_read(&data, &header, sizeof(header)) < sizeof(header)) {
        virtio_needs_reset(&block->virtio, "a request without a whole header");
        return;
    }
    if (chain->writable_bytes == 0) {
        virtio_needs_reset(&block->virtio, "a request without a status byte");
        return;
    }
    last = &chain->segments[chain->count - 1];
    slot = take_slot(block);
    slot->head = chain->head;
    slot->queue = queue;
    slot->written = 0;
    slot->status = (uint8_t *)last->iov_base + last->iov_len - 1;
    /* 5.2.6.2: without FLUSH, or in write-through mode, a write is stable at its end. */
    slot->request.durable = !block->config.writeback;
    slot->request.offset = slot->request.length = 0;
    slot->request.count = slot->request.range_count = 0;
    result = take_by_type(block, slot, &header, chain, &data);
    charge(block, &slot->request);
    if (result == TO_ENGINE && slot->request.operation != DISK_READ)
        block->unsynced |= !slot->request.durable && slot->request.operation != DISK_FLUSH;
    if (result == TO_ENGINE && disk_engine_submit(block->engine, &slot->request) < 0)
        result = STATUS_IOERR;
    if (result != TO_ENGINE)
        answer(block, slot, (uint8_t)result);
}
