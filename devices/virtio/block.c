/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/block_internal.h"

static struct block *of_virtio(struct virtio_device *virtio)
{
    return (struct block *)virtio;
}

/* ---- configuration space ------------------------------------------------ */

static uint64_t offered_features(const struct block *block)
{
    uint64_t features = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_TOPOLOGY |
                        VIRTIO_BLK_F_FLUSH;

    if (block->options->queues > 1)
        features |= VIRTIO_BLK_F_MQ;
    if (block->file.read_only)
        return features | VIRTIO_BLK_F_RO;
    features |= VIRTIO_BLK_F_CONFIG_WCE | VIRTIO_BLK_F_WRITE_ZEROES;
    if (block->file.can_discard)
        features |= VIRTIO_BLK_F_DISCARD;
    return features;
}

/*
 * The rate counts zeroes and discards, too: a range that is larger than the bucket
 * would keep the disk in debt for as long as the rate needs for it.
 */
static uint32_t range_sectors_max(const struct block *block)
{
    uint64_t bucket = block->options->rate.bytes.size / DISK_SECTOR;
    uint64_t least = block->file.physical_size / DISK_SECTOR;

    if (bucket == 0 || bucket > BLOCK_RANGE_SECTORS_MAX)
        return BLOCK_RANGE_SECTORS_MAX;
    return (uint32_t)(bucket > least ? bucket - bucket % least : least);
}

static void fill_config(struct block *block)
{
    const struct disk_file *file = &block->file;
    uint32_t ratio = file->physical_size / file->block_size;
    uint8_t exponent = 0;

    while (ratio >> (exponent + 1))
        exponent++;
    block->config = (struct block_config){
        .capacity = file->size / DISK_SECTOR,
        .seg_max = BLOCK_QUEUE_SIZE - 2, /* header and status take one each */
        .blk_size = file->block_size,
        .physical_block_exp = exponent,
        .min_io_size = (uint16_t)(1u << exponent),
        .writeback = 1,
        .num_queues = block->options->queues,
        .max_discard_sectors = range_sectors_max(block),
        .max_discard_seg = DISK_RANGES_MAX,
        .discard_sector_alignment = file->physical_size / DISK_SECTOR,
        .max_write_zeroes_sectors = range_sectors_max(block),
        .max_write_zeroes_seg = DISK_RANGES_MAX,
        .write_zeroes_may_unmap = file->can_discard,
    };
}

static void block_config_write(struct virtio_device *virtio, uint32_t offset,
                               const uint8_t *bytes, size_t length)
{
    struct block *block = of_virtio(virtio);

    /* 5.2.5: the only field that a driver may write. */
    if (offset == offsetof(struct block_config, writeback) && length == 1 &&
        virtio_has(virtio, VIRTIO_BLK_F_CONFIG_WCE | VIRTIO_BLK_F_FLUSH))
        block->config.writeback = bytes[0] != 0;
}

static void block_refresh(struct virtio_device *virtio)
{
    struct block *block = of_virtio(virtio);
    struct disk_file *file = &block->file;
    int result = disk_file_refresh(file);

    if (result < 0)
        log_warn(file->log, "disk %s: its size cannot be read again (%s); it stays %llu bytes",
                 file->path, strerror(-result), (unsigned long long)file->size);
    if (result <= 0)
        return;
    log_info(file->log, "disk %s: has %llu bytes now", file->path, (unsigned long long)file->size);
    block->config.capacity = file->size / DISK_SECTOR;
    virtio_config_changed(virtio);
}

/* ---- queues ------------------------------------------------------------- */

/* At most one round of the queue: then others have their turn. */
static void drain(struct block *block, uint16_t index)
{
    struct virtqueue *queue = &block->virtio.queues[index];

    virtqueue_disable_notify(queue);
    for (uint32_t left = queue->size; left > 0; left--) {
        struct virtio_chain chain = {
            .segments = block->scratch, .capacity = DISK_SEGMENTS_MAX,
        };
        int result;

        if (!block_has_slot(block) || !rate_limit_allows(block->rate)) {
            block->waiting |= 1u << index;
            return;
        }
        result = virtqueue_pop(queue, &chain);
        if (result < 0) {
            virtio_needs_reset(&block->virtio, "a chain or an index is wrong");
            return;
        }
        if (result > 0)
            block_take(block, index, &chain);
        else if (!virtqueue_enable_notify(queue))
            return;
    }
    virtio_kick_again(&block->virtio, index);
}

static void notify_all(struct block *block)
{
    for (uint16_t i = 0; i < block->virtio.queue_count; i++)
        virtio_notify(&block->virtio, i);
}

/* Slots or tokens came: the queues that waited for them have their turn. */
static void wake_waiting(struct block *block)
{
    if (!block->waiting || !block_has_slot(block) || !rate_limit_allows(block->rate))
        return;
    for (uint16_t i = 0; i < block->virtio.queue_count; i++)
        if (block->waiting & 1u << i)
            virtio_kick_again(&block->virtio, i);
    block->waiting = 0;
}

static void block_kick(struct virtio_device *virtio, unsigned int queue)
{
    struct block *block = of_virtio(virtio);

    drain(block, (uint16_t)queue);
    disk_engine_start(block->engine);
    notify_all(block);
    /* Requests of any queue may have completed within the start. */
    wake_waiting(block);
}

static void resume_queues(void *context)
{
    struct block *block = context;

    notify_all(block);
    wake_waiting(block);
}

/*
 * A saved guest continues from here in another process, whose flush cannot report
 * that the host lost earlier writes.  So they are flushed now, and a failure is saved
 * with the disk.
 */
static void settle(struct block *block)
{
    if (!block->unsynced)
        return;
    block->unsynced = false;
    block->settling.operation = DISK_FLUSH;
    if (disk_engine_submit(block->engine, &block->settling) == 0)
        disk_engine_drain(block->engine);
}

static void block_drain(struct virtio_device *virtio)
{
    struct block *block = of_virtio(virtio);

    disk_engine_drain(block->engine);
    settle(block);
    resume_queues(block);
}

/* ---- another file, another rate ----------------------------------------- */

/* A failure is told once: who asks again gives up what the old file has lost. */
static int finish_old(struct block *block, struct error *error)
{
    bool had_failed = disk_sync_has_failed(&block->file.sync);

    disk_engine_drain(block->engine);
    settle(block);
    if (had_failed || !disk_sync_has_failed(&block->file.sync))
        return 0;
    return error_set(error, EIO, "disk %s: what the guest wrote last could not be kept, so the file stays in use; to "
                     "give that up, ask again", block->file.path);
}

int virtio_block_replace(struct virtio_device *virtio, const struct block_host *host, const char *path,
                         struct error *error)
{
    struct block *block = of_virtio(virtio);
    int result = finish_old(block, error);

    if (result == 0)
        result = disk_file_replace(&block->file, &host->disk, path, error);
    if (result == 0) {
        disk_engine_file_replaced(block->engine, host->slot);
        block->unsynced = block->loss_told = false;
        block->config.capacity = block->file.size / DISK_SECTOR;
        virtio_config_changed(virtio);
    }
    resume_queues(block);
    return result;
}

static struct rate_limit_options rate_options(struct block *block, const struct virtio_env *env,
                                              const struct rate_limit_config *config)
{
    return (struct rate_limit_options){
        .config = *config, .loop = env->loop, .lock = env->lock, .ready = resume_queues, .context = block,
    };
}

int virtio_block_set_rate(struct virtio_device *virtio, const struct rate_limit_config *rate, int *timer_fd,
                          struct error *error)
{
    struct block *block = of_virtio(virtio);
    struct rate_limit_options options = rate_options(block, &virtio->env, rate);

    return rate_limit_change(&block->rate, &options, timer_fd, error);
}

/* ---- life --------------------------------------------------------------- */

static void block_activate(struct virtio_device *virtio, bool loaded)
{
    struct block *block = of_virtio(virtio);

    /* 5.2.5.2: without FLUSH there is no cache to write back.  A loaded disk keeps the driver's choice. */
    if (!loaded)
        block->config.writeback = virtio_has(virtio, VIRTIO_BLK_F_FLUSH);
}

static void block_reset(struct virtio_device *virtio)
{
    struct block *block = of_virtio(virtio);

    disk_engine_cancel(block->engine);
    rate_limit_cancel(block->rate);
    block->waiting = 0;
    block->config.writeback = 1;
    /* All slots are free again; each keeps its bounce buffer. */
    block->free = NULL;
    for (unsigned int i = 0; i < block->slots_in_working_set; i++) {
        block->slots[i].next_free = block->free;
        block->free = &block->slots[i];
    }
}

static void block_destroy(struct virtio_device *virtio)
{
    struct block *block = of_virtio(virtio);

    disk_engine_destroy(block->engine);
    disk_request_release(&block->settling);
    rate_limit_destroy(block->rate);
    for (unsigned int i = 0; i < block->slots_in_working_set; i++)
        disk_request_release(&block->slots[i].request);
    free(block->slots);
    disk_file_close(&block->file);
    free(block);
}

static int open_parts(struct block *block, const struct virtio_env *env, struct error *error)
{
    const struct block_options *options = block->options;
    struct rate_limit_options rate = rate_options(block, env, &options->rate);
    struct disk_engine_options engine = {
        .ring = options->host->ring,
        .slot = options->host->slot,
        .file = &block->file,
        .loop = env->loop,
        .lock = env->lock,
        .completed = block_completed,
        .turn_ended = resume_queues,
        .context = block,
    };
    int result = disk_file_open(&block->file, &options->host->disk, options->path, options->overlay, env->log,
                                error);

    if (result == 0)
        result = rate_limit_create(&block->rate, &rate, error);
    if (result == 0)
        result = disk_engine_create(&block->engine, &engine, error);
    return result;
}

static int block_create(struct virtio_device **device, const struct virtio_env *env,
                        const void *options, struct error *error)
{
    struct block *block = calloc(1, sizeof(*block));
    int result;

    if (!block)
        return error_system(error, ENOMEM, "--disk");
    block->file.fd = -1;
    block->options = options;
    /* Untouched pages of it cost nothing. */
    block->slots = calloc(DISK_IN_FLIGHT_MAX, sizeof(*block->slots));
    result = block->slots ? open_parts(block, env, error) : error_system(error, ENOMEM, "--disk");
    if (result < 0) {
        block_destroy(&block->virtio);
        return result;
    }
    fill_config(block);
    virtio_device_init(&block->virtio, &block_class, env, block->options->queues,
                       offered_features(block), (uint8_t *)&block->config);
    *device = &block->virtio;
    return 0;
}

const struct virtio_device_class block_class = {
    .name = "disk",
    .id = VIRTIO_ID_BLOCK,
    .queue_size = BLOCK_QUEUE_SIZE,
    .config_size = BLOCK_CONFIG_SIZE,
    .create = block_create,
    .destroy = block_destroy,
    .activate = block_activate,
    .reset = block_reset,
    .kick = block_kick,
    .config_write = block_config_write,
    .state = block_state,
    .state_version = BLOCK_STATE_VERSION,
    .drain = block_drain,
    .refresh = block_refresh,
};
