/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_QUEUE_BENCH_H
#define MOTE_QUEUE_BENCH_H

/* Queue 0 of the echoing device, which the tests pop themselves. */

#include "tests/support/echo_bench.h"

static struct iovec segments[ECHO_QUEUE_SIZE];
static struct virtio_chain chain = { .segments = segments, .capacity = ECHO_QUEUE_SIZE };

/* Up to DRIVER_OK with queue 0 of SIZE entries, which the tests pop themselves. */
static inline struct virtqueue *start_queue(uint64_t ring_features, uint16_t size)
{
    struct virtio_device *device = virtio_device_of(driver.device);

    ((struct echo_device *)device)->hold = true;
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1 | ring_features));
    fake_driver_queue(&driver, 0, size);
    fake_driver_ready(&driver);
    return &device->queues[0];
}

/* Takes both ends of the queue to index AT by whole requests. */
static inline void advance(struct virtqueue *queue, uint32_t at)
{
    const struct fake_buffer buffer = { 0x100, 1, true };
    struct virtq_used_element used;

    for (uint32_t i = 0; i < at; i++) {
        fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
        assert_int_equal(virtqueue_pop(queue, &chain), 1);
        virtqueue_push(queue, chain.head, 1);
        assert_true(fake_driver_used(&driver, 0, &used));
    }
    virtqueue_wants_interrupt(queue);
}

#endif
