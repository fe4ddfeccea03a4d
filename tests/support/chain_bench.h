/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CHAIN_BENCH_H
#define MOTE_CHAIN_BENCH_H

/* Descriptor chains under test: a driver that writes them as it likes, a queue that pops them. */

#include "tests/support/queue_bench.h"

#include <errno.h>

#define N VIRTQ_DESC_F_NEXT
#define W VIRTQ_DESC_F_WRITE
#define I VIRTQ_DESC_F_INDIRECT
#define SIZE 8
#define TABLE 0x1000u /* an indirect table of the tests; a page of its own */

static struct virtqueue *queue;

static inline void start(uint64_t ring_features, uint16_t size)
{
    queue = start_queue(ring_features, size);
    chain = (struct virtio_chain){ .segments = segments, .capacity = ECHO_QUEUE_SIZE };
}

static inline int set_up_started(void **state)
{
    set_up(state);
    start(VIRTIO_F_INDIRECT_DESC, SIZE);
    return 0;
}

static inline void set(uint16_t index, uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
    *fake_descriptor(&driver, 0, index) = (struct virtq_desc){ address, length, flags, next };
}

static inline void set_indirect(uint16_t index, uint64_t address, uint32_t length, uint16_t flags,
                         uint16_t next)
{
    struct virtq_desc *table = fake_memory(&driver, TABLE, sizeof(*table) * 64);

    table[index] = (struct virtq_desc){ address, length, flags, next };
}

/* What popping the chain at 0 gives. */
static inline int pop(void)
{
    fake_offer(&driver, 0, 0);
    return virtqueue_pop(queue, &chain);
}

static inline void assert_breaks(void)
{
    assert_int_equal(pop(), -EPROTO);
    assert_true(queue->broken);
    start(VIRTIO_F_INDIRECT_DESC, SIZE);
}

#endif
