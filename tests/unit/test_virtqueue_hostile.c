/* SPDX-License-Identifier: Apache-2.0 */
/* The device's end of a queue: drivers that break the rules, and queues that cannot be. */
#include "tests/support/queue_bench.h"

#include <errno.h>

/* ---- drivers that break the rules --------------------------------------- */

/* Popping says so, and from then on the queue stands still. */
static void assert_breaks(struct virtqueue *queue)
{
    uint16_t used = fake_used_index(&driver, 0);

    assert_int_equal(virtqueue_pop(queue, &chain), -EPROTO);
    assert_true(queue->broken);
    assert_int_equal(virtqueue_pop(queue, &chain), 0);
    for (uint16_t head = 0; head < 8; head++)
        virtqueue_push(queue, head, 1);
    assert_int_equal(fake_used_index(&driver, 0), used);
    assert_false(virtqueue_has_chain(queue));
    assert_false(virtqueue_enable_notify(queue));
    assert_false(virtqueue_wants_interrupt(queue));
}

static void test_avail_index_jumps(void **state)
{
    static const uint16_t jumps[] = { 9, 10, 256, 32768, 65535 };

    (void)state;
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct virtqueue *queue = start_queue(0, 8);

        fake_set_avail_index(&driver, 0, jumps[i]);
        assert_breaks(queue);
    }
}

static void test_avail_index_goes_back(void **state)
{
    struct virtqueue *queue = start_queue(0, 8);

    (void)state;
    advance(queue, 3);
    fake_set_avail_index(&driver, 0, 2);
    assert_breaks(queue);
}

static void test_a_head_beyond_the_queue(void **state)
{
    static const uint16_t heads[] = { 8, 9, 255, 256, 1024, 65535 };

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct virtqueue *queue = start_queue(0, 8);

        fake_offer(&driver, 0, heads[i]);
        assert_breaks(queue);
    }
}

static void test_the_same_head_twice(void **state)
{
    const struct fake_buffer buffer = { 0x100, 1, true };
    struct virtqueue *queue = start_queue(0, 8);
    uint16_t head = fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);

    (void)state;
    assert_int_equal(virtqueue_pop(queue, &chain), 1);
    fake_offer(&driver, 0, head);
    assert_breaks(queue);
}

static void test_a_head_is_pushed_only_once(void **state)
{
    const struct fake_buffer buffer = { 0x100, 1, true };
    struct virtqueue *queue = start_queue(0, 8);

    (void)state;
    fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    assert_int_equal(virtqueue_pop(queue, &chain), 1);
    for (unsigned int i = 0; i < 3; i++)
        virtqueue_push(queue, chain.head, 1);
    virtqueue_push(queue, (uint16_t)(chain.head + 1), 1);
    virtqueue_push(queue, 8, 1);
    virtqueue_push(queue, 65535, 1);
    assert_int_equal(fake_used_index(&driver, 0), 1);
    assert_int_equal(queue->in_use, 0);
}

static void test_a_push_after_the_reset_does_nothing(void **state)
{
    const struct fake_buffer buffer = { 0x100, 1, true };
    struct virtqueue *queue = start_queue(0, 8);
    uint64_t used = driver.queues[0].used;

    (void)state;
    fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    assert_int_equal(virtqueue_pop(queue, &chain), 1);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
    virtqueue_push(queue, chain.head, 1);
    virtqueue_unpop(queue, chain.head);
    assert_int_equal(virtqueue_pop(queue, &chain), 0);
    assert_int_equal(*(uint16_t *)fake_memory(&driver, used + 2, 2), 0);
}

/* ---- set-up ------------------------------------------------------------- */

static int enable(uint32_t size, uint64_t desc, uint64_t avail, uint64_t used)
{
    struct virtqueue queue;
    int result;

    virtqueue_init(&queue, fixture.env.memory, 256);
    queue.size = size;
    queue.desc_address = desc;
    queue.avail_address = avail;
    queue.used_address = used;
    result = virtqueue_enable(&queue);
    assert_int_equal(queue.ready, result == 0);
    return result;
}

static void test_queue_sizes(void **state)
{
    (void)state;
    for (uint32_t size = 0; size < 1100; size++) {
        bool valid = size == 1 || size == 2 || size == 4 || size == 8 || size == 16 ||
                     size == 32 || size == 64 || size == 128 || size == 256;

        assert_int_equal(enable(size, 0x1000, 0x3000, 0x4000), valid ? 0 : -EINVAL);
    }
    assert_int_equal(enable(0x10000, 0x1000, 0x3000, 0x4000), -EINVAL);
    assert_int_equal(enable(0x80000000, 0x1000, 0x3000, 0x4000), -EINVAL);
    assert_int_equal(enable(UINT32_MAX, 0x1000, 0x3000, 0x4000), -EINVAL);
}

static void test_ring_alignment(void **state)
{
    (void)state;
    for (uint64_t off = 0; off < 32; off++) {
        assert_int_equal(enable(8, 0x1000 + off, 0x3000, 0x4000), off % 16 ? -EINVAL : 0);
        assert_int_equal(enable(8, 0x1000, 0x3000 + off, 0x4000), off % 2 ? -EINVAL : 0);
        assert_int_equal(enable(8, 0x1000, 0x3000, 0x4000 + off), off % 4 ? -EINVAL : 0);
    }
}

static void test_rings_outside_of_memory(void **state)
{
    static const uint64_t wrong[] = {
        FIXTURE_LOW_SIZE - 16, /* ends in the hole */
        FIXTURE_LOW_SIZE,
        FIXTURE_HIGH_BASE - 16,
        FIXTURE_HIGH_BASE + FIXTURE_HIGH_SIZE - 16,
        FIXTURE_HIGH_BASE + FIXTURE_HIGH_SIZE,
        0xd0000000,
        1ull << 32,
        1ull << 63,
        UINT64_MAX - 15, /* wraps */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(enable(8, wrong[i], 0x3000, 0x4000), -EINVAL);
        assert_int_equal(enable(8, 0x1000, wrong[i], 0x4000), -EINVAL);
        assert_int_equal(enable(8, 0x1000, 0x3000, wrong[i]), -EINVAL);
    }
    /* The last byte of RAM may be the last of a ring. */
    assert_int_equal(enable(8, FIXTURE_LOW_SIZE - 128, FIXTURE_LOW_SIZE - 22, 0x4000), 0);
    assert_int_equal(enable(8, 0x1000, 0x3000, FIXTURE_LOW_SIZE - 72), 0);
    assert_int_equal(enable(8, 0x1000, 0x3000, FIXTURE_LOW_SIZE - 68), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_avail_index_jumps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_avail_index_goes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_head_beyond_the_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_same_head_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_head_is_pushed_only_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_push_after_the_reset_does_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_queue_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ring_alignment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rings_outside_of_memory, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
