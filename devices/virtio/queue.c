/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/queue.h"

#include <errno.h>
#include <string.h>

#include "devices/virtio/chain.h"

/* The avail ring: flags, idx, ring[size], used_event.  The used ring: flags,
 * idx, elements[size], avail_event.  (2.7.6, 2.7.8) */
#define RING_FLAGS 0
#define RING_INDEX 2
#define RING_ENTRIES 4
#define FLAG_NO_INTERRUPT 1u /* in avail.flags */
#define FLAG_NO_NOTIFY 1u    /* in used.flags */

static size_t avail_size(uint32_t size)
{
    return RING_ENTRIES + 2ul * size + 2;
}

static size_t used_size(uint32_t size)
{
    return RING_ENTRIES + sizeof(struct virtq_used_element) * size + 2;
}

/*
 * The rings' fields are shared with the guest's CPUs.  They are naturally
 * aligned, since the areas are; the guest decides what they hold.
 */
static uint16_t load_relaxed(const uint8_t *field)
{
    return __atomic_load_n((const uint16_t *)(const void *)field, __ATOMIC_RELAXED);
}

static uint16_t load_acquire(const uint8_t *field)
{
    return __atomic_load_n((const uint16_t *)(const void *)field, __ATOMIC_ACQUIRE);
}

static void store_relaxed(uint8_t *field, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)field, value, __ATOMIC_RELAXED);
}

static void store_release(uint8_t *field, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)field, value, __ATOMIC_RELEASE);
}

void virtqueue_init(struct virtqueue *queue, const struct guest_memory *memory, uint16_t size_max)
{
    *queue = (struct virtqueue){ .memory = memory, .size_max = size_max };
}

void virtqueue_reset(struct virtqueue *queue)
{
    virtqueue_init(queue, queue->memory, queue->size_max);
}

/* A power of two up to the maximum (2.7). */
static bool size_is_valid(const struct virtqueue *queue)
{
    return queue->size > 0 && queue->size <= queue->size_max &&
           (queue->size & (queue->size - 1)) == 0;
}

static uint8_t *find_area(const struct virtqueue *queue, uint64_t address, size_t length,
                          unsigned int alignment)
{
    struct guest_slice slice;

    if (address % alignment || guest_memory_slice(queue->memory, address, length, &slice) < 0)
        return NULL;
    return slice.bytes;
}

int virtqueue_enable(struct virtqueue *queue)
{
    if (!size_is_valid(queue))
        return -EINVAL;
    queue->desc = find_area(queue, queue->desc_address, sizeof(struct virtq_desc) * queue->size,
                            16);
    queue->avail = find_area(queue, queue->avail_address, avail_size(queue->size), 2);
    queue->used = find_area(queue, queue->used_address, used_size(queue->size), 4);
    if (!queue->desc || !queue->avail || !queue->used)
        return -EINVAL;
    queue->ready = true;
    return 0;
}

static int break_queue(struct virtqueue *queue)
{
    queue->broken = true;
    return -EPROTO;
}

static bool head_in_use(const struct virtqueue *queue, uint16_t head)
{
    return queue->heads[head / 64] >> (head % 64) & 1;
}

bool virtqueue_has_chain(const struct virtqueue *queue)
{
    return queue->ready && !queue->broken &&
           load_acquire(queue->avail + RING_INDEX) != queue->last_avail;
}

/* The head at LAST_AVAIL; as virtqueue_pop(). */
static int next_head(struct virtqueue *queue, uint16_t *head)
{
    uint16_t index, waiting;

    if (!queue->ready || queue->broken)
        return 0;
    index = load_acquire(queue->avail + RING_INDEX);
    waiting = (uint16_t)(index - queue->last_avail);
    if (waiting == 0)
        return 0;
    /* More heads than the queue has, or more than it has left. */
    if (waiting > queue->size || queue->in_use >= queue->size)
        return break_queue(queue);
    *head = load_relaxed(queue->avail + RING_ENTRIES + 2ul * (queue->last_avail % queue->size));
    if (*head >= queue->size || head_in_use(queue, *head))
        return break_queue(queue);
    return 1;
}

int virtqueue_pop(struct virtqueue *queue, struct virtio_chain *chain)
{
    uint16_t head;
    int result = next_head(queue, &head);

    if (result <= 0)
        return result;
    if (chain_walk(queue, head, chain) < 0)
        return break_queue(queue);
    queue->heads[head / 64] |= 1ull << (head % 64);
    queue->in_use++;
    queue->last_avail++;
    return 1;
}

static bool release_head(struct virtqueue *queue, uint16_t head)
{
    if (!queue->ready || queue->broken || head >= queue->size || !head_in_use(queue, head))
        return false;
    queue->heads[head / 64] &= ~(1ull << (head % 64));
    queue->in_use--;
    return true;
}

void virtqueue_unpop(struct virtqueue *queue, uint16_t head)
{
    if (release_head(queue, head))
        queue->last_avail--;
}

void virtqueue_fill(struct virtqueue *queue, uint16_t head, uint32_t written)
{
    struct virtq_used_element element = { .id = head, .length = written };
    size_t slot = queue->size ? queue->used_index % queue->size : 0;

    if (!release_head(queue, head))
        return;
    memcpy(queue->used + RING_ENTRIES + sizeof(element) * slot, &element, sizeof(element));
    queue->used_index++;
}

void virtqueue_publish(struct virtqueue *queue)
{
    /* The driver reads the elements after the index (2.7.8.2). */
    if (queue->ready && !queue->broken)
        store_release(queue->used + RING_INDEX, queue->used_index);
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
    virtqueue_fill(queue, head, written);
    virtqueue_publish(queue);
}

bool virtqueue_wants_interrupt(struct virtqueue *queue)
{
    uint16_t before = queue->notified_used, now = queue->used_index, event;

    if (!queue->ready || queue->broken || before == now)
        return false;
    /* The index must be visible before we read what the driver asks for: the driver
     * writes that first and reads the index after. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    queue->notified_used = now;
    if (!queue->event_idx)
        return !(load_relaxed(queue->avail + RING_FLAGS) & FLAG_NO_INTERRUPT);
    event = load_relaxed(queue->avail + RING_ENTRIES + 2ul * queue->size);
    /* 2.7.7.2: did the index pass used_event since the last interrupt? */
    return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

void virtqueue_disable_notify(struct virtqueue *queue)
{
    /* With EVENT_IDX the old avail_event does it: it is not advanced. */
    if (queue->ready && !queue->broken && !queue->event_idx)
        store_relaxed(queue->used + RING_FLAGS, FLAG_NO_NOTIFY);
}

bool virtqueue_enable_notify(struct virtqueue *queue)
{
    uint8_t *avail_event;

    if (!queue->ready || queue->broken)
        return false;
    avail_event = queue->used + RING_ENTRIES + sizeof(struct virtq_used_element) * queue->size;
    if (queue->event_idx)
        store_relaxed(avail_event, queue->last_avail);
    else
        store_relaxed(queue->used + RING_FLAGS, 0);
    /* The request must be visible before we look whether a buffer came. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return virtqueue_has_chain(queue);
}

int virtqueue_pop_or_enable_notify(struct virtqueue *queue, struct virtio_chain *chain)
{
    int result = virtqueue_pop(queue, chain);

    return result == 0 && virtqueue_enable_notify(queue) ? virtqueue_pop(queue, chain) : result;
}
