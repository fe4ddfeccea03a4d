/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_SHARED_H
#define MOTE_PAYLOAD_HOSTILE_SHARED_H

/* Several queues of a device at once: with the same rings, the same descriptors, or one in the other. */

#include "hostile_trial.h"

static void kick_all(struct virtio *v)
{
    for (uint32_t i = 0; i < QUEUES_MOST; i++)
        kick_queue(v, i);
}

static void keep_kicking_all(struct virtio *v)
{
    while (!other_cpu.stop)
        kick_all(v);
}

/* Both processors notify of all queues, COUNT times. */
static void both_kick_all(struct virtio *v, unsigned int count)
{
    other_begins(v, keep_kicking_all);
    while (count-- > 0)
        kick_all(v);
    other_stops();
    pass(QUIET_MS * 1000);
}

static const char *all_queues_empty(struct virtio *v)
{
    uint32_t count = begin_all(v, RING_FEATURES);

    both_kick_all(v, 20);
    for (uint32_t i = 0; i < count; i++)
        EXPECT_IS(rings_of(v, i)->used.index, 0, "a buffer came back that was not offered");
    EXPECT_IS(status_of(v), RUNNING, "it gave up");
    EXPECT(serves(v, 3), "it no longer serves");
    return NULL;
}

static const char *one_set_of_rings(struct virtio *v)
{
    uint32_t count;

    agree(v, 0);
    count = queue_count(v);
    for (uint32_t i = 0; i < count; i++)
        set_up(v, i, &rings);
    drive(v);
    request(v);
    both_kick_all(v, 20);
    await(v, 1, TAKE_MS);
    EXPECT(rings.used.index <= 1, "a queue used more than was offered");
    return NULL;
}

static const char *one_table_of_descriptors(struct virtio *v)
{
    uint32_t count;

    agree(v, 0);
    count = queue_count(v);
    for (uint32_t i = 0; i < count; i++) {
        struct rings *of = rings_of(v, i);

        set_register(v, REG_QUEUE_SEL, i);
        offer_queue(v, QUEUE_SIZE, (uint64_t)rings.desc, (uint64_t)&of->avail, (uint64_t)&of->used);
    }
    drive(v);
    describe_request(v);
    for (uint32_t i = 0; i < count; i++)
        offer_in(rings_of(v, i), 0);
    both_kick_all(v, 20);
    for (uint32_t i = 0; i < count; i++)
        EXPECT(rings_of(v, i)->used.index <= 1, "a queue used more than was offered");
    EXPECT(gave_up(v) || await(v, 1, WORK_MS), "the request was neither served nor refused");
    return NULL;
}

/* The used ring of each queue is the table, or the available ring, of the next one. */
static const char *used_rings_over(struct virtio *v, bool tables)
{
    uint32_t count;

    agree(v, 0);
    count = queue_count(v);
    for (uint32_t i = 0; i < count; i++) {
        struct rings *of = rings_of(v, i), *next = rings_of(v, (i + 1) % count);

        set_register(v, REG_QUEUE_SEL, i);
        offer_queue(v, 16, (uint64_t)of->desc, (uint64_t)&of->avail,
                    tables ? (uint64_t)next->desc : (uint64_t)&next->avail);
    }
    drive(v);
    describe_request(v);
    for (uint32_t i = 0; i < count; i++) {
        struct rings *of = rings_of(v, i);

        for (unsigned int d = 0; d < 3; d++)
            of->desc[d] = rings.desc[d];
        offer_in(of, 0);
    }
    both_kick_all(v, 20);
    for (uint32_t i = 0; i < count; i++)
        EXPECT_IS(rings_of(v, i)->used.index, 0, "it wrote where no ring is");
    return NULL;
}
static const char *used_rings_over_tables(struct virtio *v) { return used_rings_over(v, true); }
static const char *used_rings_over_available_rings(struct virtio *v) { return used_rings_over(v, false); }

/* Whatever the device writes goes into the rings of its other queues. */
static const char *buffers_over_other_rings(struct virtio *v)
{
    uint32_t count = begin_all(v, 0);

    describe_request(v);
    for (uint32_t i = 0; i < count; i++) {
        struct rings *of = rings_of(v, i), *next = rings_of(v, (i + 1) % count);

        for (unsigned int d = 0; d < 3; d++)
            of->desc[d] = rings.desc[d];
        for (unsigned int d = 0; d < 3; d++)
            if (of->desc[d].flags & DESC_WRITE && of->desc[d].length > 1)
                of->desc[d].address = (uint64_t)&next->avail;
        describe_in(of, 8, (uint64_t)&next->avail, sizeof(next->avail), DESC_WRITE, 0);
        offer_in(of, 0);
        offer_in(of, 8);
    }
    both_kick_all(v, 20);
    await(v, 2, TAKE_MS);
    for (uint32_t i = 0; i < count; i++)
        EXPECT(rings_of(v, i)->used.index <= QUEUE_SIZE, "a queue used more than it can hold");
    return NULL;
}

static const char *a_jump_in_each_queue(struct virtio *v)
{
    uint32_t count = begin_all(v, 0);

    for (uint32_t i = 0; i < count; i++)
        jump(rings_of(v, i));
    both_kick_all(v, 5);
    EXPECT(gives_up(v), "it did not ask for its reset");
    for (uint32_t i = 0; i < count; i++)
        EXPECT_IS(rings_of(v, i)->used.index, 0, "a broken queue used something");
    return NULL;
}

static const char *one_broken_queue_stops_all(struct virtio *v)
{
    uint32_t count = begin_all(v, 0);

    EXPECT(serves(v, 1), "it does not serve");
    jump(&rings);
    notify(v);
    EXPECT(gives_up(v), "it did not ask for its reset");
    describe_request(v);
    for (uint32_t i = 0; i < count; i++) {
        if (i == v->queue)
            continue;
        for (unsigned int d = 0; d < 3; d++)
            others[i].rings.desc[d] = rings.desc[d];
        offer_in(&others[i].rings, 0);
    }
    both_kick_all(v, 20);
    for (uint32_t i = 0; i < count; i++)
        if (i != v->queue)
            EXPECT_IS(others[i].rings.used.index, 0, "another queue goes on");
    return NULL;
}

/* A queue that nobody notified of is not looked into, whatever stands there. */
static const char *a_silent_queue_is_let_be(struct virtio *v)
{
    uint32_t count = begin_all(v, 0);

    EXPECT(serves(v, 1), "it does not serve");
    for (uint32_t i = 0; i < count; i++)
        if (i != v->queue)
            clear(others[i].rings.desc, sizeof(others[i].rings.desc));
    EXPECT(serves(v, 20), "it no longer serves");
    EXPECT_IS(status_of(v), RUNNING, "it gave up");
    return NULL;
}

static const struct trial shared_trials[] = {
    T(all_queues_empty), T(one_set_of_rings), T(one_table_of_descriptors), T(used_rings_over_tables),
    T(used_rings_over_available_rings), T(buffers_over_other_rings), T(a_jump_in_each_queue),
    T(one_broken_queue_stops_all), T(a_silent_queue_is_let_be),
};

#endif
