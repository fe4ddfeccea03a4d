/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_BLOCK_INTERNAL_H
#define MOTE_VIRTIO_BLOCK_INTERNAL_H

/*
 * The block device (virtio 1.2, 5.2), its parts among themselves:
 *
 *   block_request.c   a chain becomes a disk request, and its result a status
 *   block_state.c     saving and loading
 *   block.c           configuration space, queues, life
 *
 * A chain is a header of 16 readable bytes, the data, and as the last writable
 * byte the status; the driver may split these over descriptors as it likes.
 * Each request in flight has a slot.  Their number is ours, and so is the size
 * of everything in them: a guest decides which of them are used, no more.
 *
 * When there is no slot, or the rate limit says no, a queue is left as it is
 * and marked in WAITING; completions and the limit's timer take it up again.
 */

#include "devices/backend/disk_engine.h"
#include "devices/rate_limit.h"
#include "devices/virtio/block.h"
#include "devices/virtio/device.h"

#define BLOCK_QUEUE_SIZE 256
_Static_assert(BLOCK_QUEUE_SIZE <= DISK_SEGMENTS_MAX, "a chain fits into a request");

/* 5.2.3 */
#define VIRTIO_BLK_F_SEG_MAX (1ull << 2)
#define VIRTIO_BLK_F_RO (1ull << 5)
#define VIRTIO_BLK_F_BLK_SIZE (1ull << 6)
#define VIRTIO_BLK_F_FLUSH (1ull << 9)
#define VIRTIO_BLK_F_TOPOLOGY (1ull << 10)
#define VIRTIO_BLK_F_CONFIG_WCE (1ull << 11)
#define VIRTIO_BLK_F_MQ (1ull << 12)
#define VIRTIO_BLK_F_DISCARD (1ull << 13)
#define VIRTIO_BLK_F_WRITE_ZEROES (1ull << 14)

/* 5.2.4; little-endian. */
struct block_config {
    uint64_t capacity; /* sectors of 512 bytes */
    uint32_t size_max;
    uint32_t seg_max;
    uint16_t cylinders;
    uint8_t heads;
    uint8_t sectors;
    uint32_t blk_size;
    uint8_t physical_block_exp; /* physical block = blk_size << this */
    uint8_t alignment_offset;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t writeback;
    uint8_t unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors;
    uint32_t max_discard_seg;
    uint32_t discard_sector_alignment;
    uint32_t max_write_zeroes_sectors;
    uint32_t max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap;
    uint8_t unused1[3];
};
_Static_assert(sizeof(struct block_config) == 64, "with the tail that aligns it");
#define BLOCK_CONFIG_SIZE 60 /* of it, the driver sees so much */
_Static_assert(offsetof(struct block_config, writeback) == 32, "virtio 1.2, 5.2.4");
_Static_assert(offsetof(struct block_config, write_zeroes_may_unmap) == 56, "virtio 1.2, 5.2.4");

/* A range of discard and write-zeroes may have up to 2 GiB. */
#define BLOCK_RANGE_SECTORS_MAX (4u << 20)

struct block_slot {
    struct disk_request request; /* first: the engine gives its address back */
    uint16_t head;
    uint16_t queue;
    uint32_t written; /* bytes that a success writes, the status byte aside */
    uint8_t *status;  /* in guest memory */
    struct block_slot *next_free;
};

struct block {
    struct virtio_device virtio;
    struct block_config config;
    const struct block_options *options;
    struct disk_file file;
    struct disk_engine *engine;
    struct rate_limit *rate;
    bool unsynced;    /* write-back writes were taken up since the last settling */
    struct disk_request settling; /* the sync before a save; it has no slot */
    bool loss_told;   /* the user knows that flushes fail from now on */
    uint32_t waiting; /* a bit for each queue to take up again */
    struct block_slot *slots;
    unsigned int slots_in_working_set; /* slots from here on were never used */
    struct block_slot *free;
    struct iovec scratch[DISK_SEGMENTS_MAX]; /* of the chain just popped */
};

bool block_has_slot(const struct block *block);

/* Takes up a chain: into the engine, or answered at once.  Needs a free slot. */
void block_take(struct block *block, uint16_t queue, const struct virtio_chain *chain);

/* The class's, see device.h. */
#define BLOCK_STATE_VERSION 1
void block_state(struct virtio_device *virtio, struct state *state);

/* The engine's. */
void block_completed(void *context, struct disk_request *request);

#endif
