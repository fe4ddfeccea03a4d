/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's account of its memory (virtio 1.2, 5.5.6.3): see balloon.c. */
#include <endian.h>
#include <string.h>

#include "devices/virtio/balloon_internal.h"

/* 5.5.6.4 */
struct balloon_stat_record {
    uint16_t tag;
    uint64_t value;
} __attribute__((packed));
_Static_assert(sizeof(struct balloon_stat_record) == 10, "virtio 1.2, 5.5.6.4");

void balloon_stats_forget(struct balloon *balloon)
{
    memset(balloon->stats, 0xff, sizeof(balloon->stats));
}

static void read_stats(struct balloon *balloon, const struct virtio_chain *chain)
{
    struct chain_cursor cursor = chain_readable(chain);
    struct balloon_stat_record record;

    balloon_stats_forget(balloon);
    /* One of each, and room for tags of later versions. */
    for (unsigned int i = 0; i < 2 * BALLOON_STAT_COUNT; i++) {
        if (chain_read(&cursor, &record, sizeof(record)) < sizeof(record))
            return;
        if (le16toh(record.tag) < BALLOON_STAT_COUNT)
            balloon->stats[le16toh(record.tag)] = le64toh(record.value);
    }
}

/* Keeps the last buffer: giving it back asks for the next account. */
void balloon_take_stats(struct balloon *balloon)
{
    struct virtqueue *queue = &balloon->virtio.queues[balloon->stats_queue];
    struct iovec segments[BALLOON_QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = BALLOON_QUEUE_SIZE };
    int result = 1;

    for (uint32_t i = 0; i < queue->size; i++) {
        result = virtqueue_pop(queue, &chain);
        if (result <= 0)
            break;
        read_stats(balloon, &chain);
        if (balloon->stats_held)
            virtqueue_push(queue, balloon->stats_head, 0);
        balloon->stats_held = true;
        balloon->stats_head = chain.head;
    }
    if (result < 0) {
        virtio_needs_reset(&balloon->virtio, "the balloon's statistics");
        return;
    }
    virtio_notify(&balloon->virtio, balloon->stats_queue);
    if (virtqueue_enable_notify(queue))
        virtio_kick_again(&balloon->virtio, balloon->stats_queue);
}

void balloon_release_stats(struct balloon *balloon)
{
    if (!balloon->stats_held)
        return;
    /* It is the last that was popped. */
    virtqueue_unpop(&balloon->virtio.queues[balloon->stats_queue], balloon->stats_head);
    balloon->stats_held = false;
    virtio_kick_again(&balloon->virtio, balloon->stats_queue);
}

static void stats_are_due(void *context)
{
    struct balloon *balloon = context;

    timer_set(&balloon->timer, balloon->stats_period * 1000);
    if (!balloon->stats_held)
        return;
    balloon->stats_held = false;
    virtqueue_push(&balloon->virtio.queues[balloon->stats_queue], balloon->stats_head, 0);
    virtio_notify(&balloon->virtio, balloon->stats_queue);
}

int balloon_stats_open(struct balloon *balloon, struct error *error)
{
    int result = timer_open_locked(&balloon->timer, balloon->virtio.env.loop,
                                   balloon->virtio.env.lock, stats_are_due, balloon);

    return result < 0 ? error_system(error, -result, "--balloon: its timer") : 0;
}
