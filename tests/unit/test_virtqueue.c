/* SPDX-License-Identifier: Apache-2.0 */
/* The device's end of a queue, against a driver's end that shares no code with it. */
#include "tests/support/queue_bench.h"

#include <errno.h>

#define REQUESTS 70000u

/* ---- property: any number of requests, in any order --------------------- */

struct flight {
    uint16_t heads[ECHO_QUEUE_SIZE]; /* popped, not yet pushed */
    uint16_t count;
    uint16_t pushed[ECHO_QUEUE_SIZE]; /* pushed, not yet collected, oldest first */
    uint16_t pushed_count;
};

static void pop_one(struct virtqueue *queue, struct flight *flight, uint16_t offered)
{
    int result = virtqueue_pop(queue, &chain);

    assert_int_equal(result, offered > 0);
    if (result == 1)
        flight->heads[flight->count++] = chain.head;
}

/* Any of those in flight; the number written says which. */
static void push_one(struct virtqueue *queue, struct flight *flight, uint64_t *random)
{
    uint16_t at;

    if (flight->count == 0)
        return;
    at = (uint16_t)(next_random(random) % flight->count);
    virtqueue_push(queue, flight->heads[at], flight->heads[at] + 1000u);
    flight->pushed[flight->pushed_count++] = flight->heads[at];
    flight->heads[at] = flight->heads[--flight->count];
}

static void collect_all(struct flight *flight)
{
    struct virtq_used_element used;

    for (uint16_t i = 0; i < flight->pushed_count; i++) {
        assert_true(fake_driver_used(&driver, 0, &used));
        assert_int_equal(used.id, flight->pushed[i]);
        assert_int_equal(used.length, flight->pushed[i] + 1000u);
    }
    assert_false(fake_driver_used(&driver, 0, &used));
    flight->pushed_count = 0;
}

static void run_requests(uint64_t features, uint16_t size, uint64_t seed)
{
    const struct fake_buffer buffer = { 0x100, 16, true };
    struct virtqueue *queue = start_queue(features, size);
    struct flight flight = { .count = 0 };
    uint64_t random = seed;
    uint32_t added = 0, popped = 0;

    while (popped < REQUESTS || flight.count > 0) {
        uint16_t out = (uint16_t)(added - popped + flight.count + flight.pushed_count);

        switch (next_random(&random) % 4) {
        case 0:
            if (out < size && added < REQUESTS) {
                fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
                added++;
            }
            break;
        case 1:
            pop_one(queue, &flight, (uint16_t)(added - popped));
            popped += added > popped;
            break;
        case 2:
            push_one(queue, &flight, &random);
            break;
        case 3:
            collect_all(&flight);
        }
        assert_int_equal(queue->in_use, flight.count);
        assert_int_equal(virtqueue_has_chain(queue), added > popped);
    }
    collect_all(&flight);
    assert_int_equal(fake_used_index(&driver, 0), (uint16_t)REQUESTS);
    assert_false(queue->broken);
}

static void test_70000_requests_wrap_the_used_index(void **state)
{
    (void)state;
    run_requests(0, ECHO_QUEUE_SIZE, 1);
    run_requests(VIRTIO_F_EVENT_IDX, 8, 2);
    run_requests(VIRTIO_F_EVENT_IDX, 1, 3);
}

static void test_both_indices_wrap_at_65535(void **state)
{
    struct virtqueue *queue = start_queue(0, 4);

    (void)state;
    advance(queue, 65535);
    assert_int_equal(fake_used_index(&driver, 0), 65535);
    advance(queue, 1);
    assert_int_equal(fake_used_index(&driver, 0), 0);
    advance(queue, 5);
    assert_int_equal(fake_used_index(&driver, 0), 5);
    assert_int_equal(queue->last_avail, 5);
}

/* ---- interrupts and notifications --------------------------------------- */

/* 2.7.10.2 in its own words: the entry with index EVENT is among those just written. */
static bool event_passed(uint16_t before, uint16_t count, uint16_t event)
{
    for (uint16_t i = 0; i < count; i++)
        if ((uint16_t)(before + i) == event)
            return true;
    return false;
}

static void test_event_idx_boundaries(void **state)
{
    static const uint16_t starts[] = { 0, 1, 3, 32767, 65533, 65534, 65535 };
    struct virtqueue *queue = start_queue(VIRTIO_F_EVENT_IDX, 8);

    (void)state;
    for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
        for (uint16_t count = 0; count <= 8; count++) {
            for (int delta = -10; delta <= 10; delta++) {
                uint16_t event = (uint16_t)(starts[s] + delta);

                queue->notified_used = starts[s];
                queue->used_index = (uint16_t)(starts[s] + count);
                fake_set_used_event(&driver, 0, event);
                assert_int_equal(virtqueue_wants_interrupt(queue),
                                 event_passed(starts[s], count, event));
                /* Asked again, nothing is new. */
                assert_false(virtqueue_wants_interrupt(queue));
            }
        }
    }
}

static void test_the_first_push_interrupts_as_the_event_says(void **state)
{
    const struct fake_buffer buffer = { 0x100, 1, true };
    struct virtqueue *queue = start_queue(VIRTIO_F_EVENT_IDX, 8);

    (void)state;
    assert_false(virtqueue_wants_interrupt(queue));
    fake_set_used_event(&driver, 0, 1);
    for (unsigned int i = 0; i < 2; i++) {
        fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
        assert_int_equal(virtqueue_pop(queue, &chain), 1);
        virtqueue_push(queue, chain.head, 0);
        assert_int_equal(virtqueue_wants_interrupt(queue), i == 1);
    }
}

static void test_no_interrupt_flag(void **state)
{
    const struct fake_buffer buffer = { 0x100, 1, true };
    struct virtqueue *queue = start_queue(0, 8);

    (void)state;
    assert_false(virtqueue_wants_interrupt(queue)); /* nothing was pushed */
    for (uint16_t flag = 0; flag < 2; flag++) {
        fake_set_avail_flags(&driver, 0, flag);
        fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
        assert_int_equal(virtqueue_pop(queue, &chain), 1);
        virtqueue_push(queue, chain.head, 0);
        assert_int_equal(virtqueue_wants_interrupt(queue), flag == 0);
        assert_false(virtqueue_wants_interrupt(queue));
    }
}

static void test_notify_suppression(void **state)
{
    const struct fake_buffer buffer = { 0x100, 1, true };
    struct virtqueue *queue = start_queue(0, 8);

    (void)state;
    virtqueue_disable_notify(queue);
    assert_int_equal(fake_used_flags(&driver, 0), 1);
    assert_false(virtqueue_enable_notify(queue));
    assert_int_equal(fake_used_flags(&driver, 0), 0);
    virtqueue_disable_notify(queue);
    fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    /* It came while nobody asked for a notification: the device must look again. */
    assert_true(virtqueue_enable_notify(queue));
}

static void test_notify_suppression_with_event_idx(void **state)
{
    struct virtqueue *queue = start_queue(VIRTIO_F_EVENT_IDX, 8);

    (void)state;
    advance(queue, 65534);
    for (uint16_t i = 0; i < 4; i++) {
        uint16_t at = (uint16_t)(65534 + i), flags = fake_used_flags(&driver, 0);

        assert_false(virtqueue_enable_notify(queue));
        assert_int_equal(fake_avail_event(&driver, 0), at);
        virtqueue_disable_notify(queue);
        advance(queue, 1);
        assert_int_equal(fake_avail_event(&driver, 0), at); /* not moved on */
        assert_int_equal(fake_used_flags(&driver, 0), flags);
    }
}

/* The driver shall notify for the next chain, not for the next that comes back. */
/* Only where no chain waits is the driver asked to notify of the next. */
static void test_pop_or_enable_notify(void **state)
{
    const struct fake_buffer buffer = { 0x100, 8, true };
    struct virtqueue *queue = start_queue(0, 8);

    (void)state;
    virtqueue_disable_notify(queue);
    fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    assert_int_equal(virtqueue_pop_or_enable_notify(queue, &chain), 1);
    assert_int_equal(fake_used_flags(&driver, 0), 1);
    assert_int_equal(virtqueue_pop_or_enable_notify(queue, &chain), 0);
    assert_int_equal(fake_used_flags(&driver, 0), 0);
    fake_offer(&driver, 0, 5000);
    assert_int_equal(virtqueue_pop_or_enable_notify(queue, &chain), -EPROTO);
}

static void test_avail_event_counts_what_was_popped(void **state)
{
    const struct fake_buffer buffer = { 0x100, 1, true };
    struct virtqueue *queue = start_queue(VIRTIO_F_EVENT_IDX, 8);

    (void)state;
    fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    assert_int_equal(virtqueue_pop(queue, &chain), 1);
    assert_false(virtqueue_enable_notify(queue));
    assert_int_equal(fake_avail_event(&driver, 0), 1);
}

static void test_unpop(void **state)
{
    const struct fake_buffer buffer = { 0x100, 1, true };
    struct virtqueue *queue = start_queue(0, 4);
    uint16_t first, second;

    (void)state;
    advance(queue, 65535);
    first = fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    second = fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(virtqueue_pop(queue, &chain), 1);
        assert_int_equal(chain.head, first);
        assert_int_equal(virtqueue_pop(queue, &chain), 1);
        assert_int_equal(chain.head, second);
        assert_int_equal(queue->in_use, 2);
        virtqueue_unpop(queue, second);
        virtqueue_unpop(queue, first);
        assert_int_equal(queue->in_use, 0);
        assert_true(virtqueue_has_chain(queue));
    }
    virtqueue_unpop(queue, first); /* is not in use */
    assert_int_equal(queue->last_avail, 65535);
    assert_int_equal(fake_used_index(&driver, 0), 65535);
}

/* What belongs together is seen together: not a part of it before publish. */
static void test_filled_chains_are_seen_when_published(void **state)
{
    struct virtqueue *queue = start_queue(VIRTIO_F_EVENT_IDX, 8);
    const struct fake_buffer buffer = { 0x100, 16, true };
    struct virtq_used_element used;
    uint16_t heads[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
        assert_int_equal(virtqueue_pop(queue, &chain), 1);
        heads[i] = chain.head;
    }
    for (size_t i = 0; i < 3; i++) {
        virtqueue_fill(queue, heads[i], (uint32_t)i + 10);
        assert_int_equal(fake_used_index(&driver, 0), 0);
    }
    virtqueue_publish(queue);
    assert_true(virtqueue_wants_interrupt(queue));
    for (size_t i = 0; i < 3; i++) {
        assert_true(fake_driver_used(&driver, 0, &used));
        assert_int_equal(used.id, heads[i]);
        assert_int_equal(used.length, i + 10);
    }
    assert_false(fake_driver_used(&driver, 0, &used));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_70000_requests_wrap_the_used_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_both_indices_wrap_at_65535, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_event_idx_boundaries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_first_push_interrupts_as_the_event_says, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_no_interrupt_flag, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_notify_suppression, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_notify_suppression_with_event_idx, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pop_or_enable_notify, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_avail_event_counts_what_was_popped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unpop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_filled_chains_are_seen_when_published, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
