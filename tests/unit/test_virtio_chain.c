/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor chains: every rule that a driver can break, and what is fetched once. */
#include "tests/support/chain_bench.h"
#include "tests/support/fetch_watch.h"

#include <errno.h>
#include <string.h>

/* ---- rules -------------------------------------------------------------- */

static void test_descriptor_loop(void **state)
{
    (void)state;
    set(0, 0x100, 1, N, 0);
    assert_breaks();
    set(0, 0x100, 1, N, 1);
    set(1, 0x100, 1, N, 2);
    set(2, 0x100, 1, N, 1);
    assert_breaks();
    for (uint16_t i = 0; i < SIZE; i++)
        set(i, 0x100, 1, N, (uint16_t)((i + 1) % SIZE));
    assert_breaks();
}

static void test_a_loop_of_empty_descriptors(void **state)
{
    (void)state;
    set(0, 0x100, 0, N, 1);
    set(1, 0x100, 0, N, 0);
    assert_breaks();
    set(0, TABLE, 32, I, 0);
    set_indirect(0, 0, 0, N, 1);
    set_indirect(1, 0, 0, N, 0);
    assert_breaks();
}

static void test_the_longest_chain(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < SIZE; i++)
        set(i, 0x100, 1, i + 1 < SIZE ? N : 0, (uint16_t)(i + 1));
    assert_int_equal(pop(), 1);
    assert_int_equal(chain.count, SIZE);
    start(VIRTIO_F_INDIRECT_DESC, SIZE);
    set(0, TABLE, 16 * SIZE, I, 0);
    for (uint16_t i = 0; i < SIZE; i++)
        set_indirect(i, 0x100, 1, i + 1 < SIZE ? N : 0, (uint16_t)(i + 1));
    assert_int_equal(pop(), 1);
    assert_int_equal(chain.count, SIZE);
}

static void test_next_beyond_the_queue(void **state)
{
    static const uint16_t nexts[] = { SIZE, SIZE + 1, 256, 1024, 65535 };

    (void)state;
    for (size_t i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
        set(0, 0x100, 1, N, nexts[i]);
        assert_breaks();
        /* An index is the indirect table's own there. */
        set(0, TABLE, 32, I, 0);
        set_indirect(0, 0x100, 1, N, nexts[i]);
        assert_breaks();
    }
    set(0, TABLE, 32, I, 0);
    set_indirect(0, 0x100, 1, N, 2);
    assert_breaks();
}

static void test_nested_indirect_tables(void **state)
{
    (void)state;
    set(0, TABLE, 32, I, 0);
    set_indirect(0, TABLE + 0x100, 32, I, 0);
    assert_breaks();
    set(0, TABLE, 32, I, 0);
    set_indirect(0, 0x100, 1, N, 1);
    set_indirect(1, TABLE, 32, I | W, 0);
    assert_breaks();
}

static void test_indirect_together_with_next(void **state)
{
    (void)state;
    set(0, TABLE, 16, I | N, 1);
    set_indirect(0, 0x100, 1, 0, 0);
    set(1, 0x100, 1, 0, 0);
    assert_breaks();
}

static void test_indirect_tables_of_a_wrong_length(void **state)
{
    static const uint32_t lengths[] = {
        0, 1, 15, 17, 24, 31, 16 * SIZE + 1, 16 * SIZE + 16, 16 * 65536, 0x80000000, UINT32_MAX,
        UINT32_MAX - 15,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        set(0, TABLE, lengths[i], I, 0);
        set_indirect(0, 0x100, 1, 0, 0);
        assert_breaks();
    }
}

static void test_indirect_tables_outside_of_memory(void **state)
{
    static const uint64_t wrong[] = {
        FIXTURE_LOW_SIZE - 16, FIXTURE_LOW_SIZE, FIXTURE_HIGH_BASE - 16,
        FIXTURE_HIGH_BASE + FIXTURE_HIGH_SIZE - 16, 1ull << 63, UINT64_MAX - 15, UINT64_MAX,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        set(0, wrong[i], 32, I, 0);
        assert_breaks();
    }
}

static void test_indirect_that_was_not_negotiated(void **state)
{
    (void)state;
    start(0, SIZE);
    set(0, TABLE, 16, I, 0);
    set_indirect(0, 0x100, 1, 0, 0);
    assert_breaks();
}

static void test_indirect_after_direct_ones(void **state)
{
    (void)state;
    set(0, 0x100, 1, N, 1);
    set(1, TABLE, 32, I, 0);
    set_indirect(0, 0x200, 2, N, 1);
    set_indirect(1, 0x300, 3, W, 0);
    assert_int_equal(pop(), 1);
    assert_int_equal(chain.count, 3);
    assert_int_equal(chain.readable_bytes, 3);
    assert_int_equal(chain.writable_bytes, 3);
}

static void test_readable_after_writable(void **state)
{
    (void)state;
    set(0, 0x100, 1, N | W, 1);
    set(1, 0x100, 1, 0, 0);
    assert_breaks();
}

static void test_zero_length_descriptors(void **state)
{
    (void)state;
    set(0, UINT64_MAX, 0, N, 1);
    set(1, 0x100, 4, N, 2);
    set(2, 0x300000, 0, N | W, 3);
    set(3, 0x100, 4, W, 0);
    assert_int_equal(pop(), 1);
    assert_int_equal(chain.count, 2);
    assert_int_equal(chain.readable, 1);
    start(0, SIZE);
    set(0, 0, 0, 0, 0);
    assert_int_equal(pop(), 1);
    assert_int_equal(chain.count, 0);
}

static void test_a_chain_that_crosses_the_end_of_memory(void **state)
{
    static const struct virtq_desc wrong[] = {
        { FIXTURE_LOW_SIZE - 1, 2, 0, 0 },
        { FIXTURE_LOW_SIZE, 1, 0, 0 },
        { FIXTURE_LOW_SIZE - 1, FIXTURE_HIGH_BASE - FIXTURE_LOW_SIZE + 2, 0, 0 },
        { FIXTURE_HIGH_BASE - 1, 1, 0, 0 },
        { FIXTURE_HIGH_BASE - 1, 2, 0, 0 },
        { FIXTURE_HIGH_BASE, FIXTURE_HIGH_SIZE + 1, 0, 0 },
        { FIXTURE_HIGH_BASE + FIXTURE_HIGH_SIZE, 1, 0, 0 },
        { 0, UINT32_MAX, 0, 0 },
        { UINT64_MAX, 1, 0, 0 },
        { UINT64_MAX, 2, 0, 0 },
        { UINT64_MAX - UINT32_MAX + 1, UINT32_MAX, 0, 0 },
        { 0xd0000000, 4096, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        set(0, wrong[i].address, wrong[i].length, i % 2 ? W : 0, 0);
        assert_breaks();
    }
    set(0, FIXTURE_LOW_SIZE - 1, 1, N, 1);
    set(1, FIXTURE_HIGH_BASE, FIXTURE_HIGH_SIZE, W, 0);
    assert_int_equal(pop(), 1);
}

static void test_more_segments_than_the_device_takes(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 4; i++)
        set(i, 0x100, 1, i < 3 ? N : 0, (uint16_t)(i + 1));
    chain.capacity = 4;
    assert_int_equal(pop(), 1);
    start(0, SIZE);
    for (uint16_t i = 0; i < 4; i++)
        set(i, 0x100, 1, i < 3 ? N : 0, (uint16_t)(i + 1));
    chain.capacity = 3;
    assert_int_equal(pop(), -EPROTO);
}

/* Overlapping descriptors make 4 GiB of a small guest: more than used.len can say. */
static void test_the_sum_of_lengths_overflows(void **state)
{
    const struct guest_range range = { 0, 64u << 20 };
    struct guest_memory *memory;
    struct virtqueue large;
    struct virtq_desc *table;
    struct guest_slice slice;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(guest_memory_create(&memory, &range, 1, &error), 0);
    for (uint32_t last = 0; last < 2; last++) {
        virtqueue_init(&large, memory, 128);
        large.size = 128;
        large.avail_address = 0x2000;
        large.used_address = 0x3000;
        assert_int_equal(virtqueue_enable(&large), 0);
        assert_int_equal(guest_memory_slice(memory, 0, 128 * sizeof(*table), &slice), 0);
        table = (struct virtq_desc *)(void *)slice.bytes;
        for (uint16_t i = 0; i < 64; i++)
            table[i] = (struct virtq_desc){ 0, 64u << 20, i < 63 ? N : 0, (uint16_t)(i + 1) };
        table[63].length -= 1 - last; /* 4 GiB - 1, then 4 GiB */
        assert_int_equal(chain_walk(&large, 0, &chain), last ? -EPROTO : 0);
    }
    guest_memory_destroy(memory);
}

/* ---- double fetches ----------------------------------------------------- */

static void spoil(void *context, uint8_t *page, size_t offset)
{
    (void)context;
    /* Every field of the descriptor just read turns into nonsense. */
    memset(page + offset / 16 * 16, 0xff, 16);
}

static void test_descriptors_are_fetched_once(void **state)
{
    uint8_t *page = fake_memory(&driver, TABLE, FETCH_WATCH_PAGE);

    (void)state;
    if (!fetch_watch_works())
        skip();
    for (unsigned int spoiling = 0; spoiling < 2; spoiling++) {
        start(VIRTIO_F_INDIRECT_DESC, SIZE);
        set(0, TABLE, 16 * 4, I, 0);
        for (uint16_t i = 0; i < 4; i++)
            set_indirect(i, 0x100, 16, (uint16_t)((i < 3 ? N : 0) | (i > 1 ? W : 0)),
                         (uint16_t)(i + 1));
        fake_offer(&driver, 0, 0);
        /* A descriptor read by two loads is torn by spoiling, which is fair play:
         * it is then refused.  It must not be taken in part. */
        fetch_watch_start(page, spoiling ? spoil : NULL, NULL);
        int result = virtqueue_pop(queue, &chain);
        fetch_watch_stop();
        assert_int_equal(fetch_watch_most(), 1);
        if (!spoiling || result == 1) {
            assert_int_equal(result, 1);
            assert_int_equal(chain.count, 4);
            for (uint16_t i = 0; i < 4; i++) {
                assert_ptr_equal(segments[i].iov_base, fake_memory(&driver, 0x100, 16));
                assert_int_equal(segments[i].iov_len, 16);
            }
        }
    }
}

static void spoil_ring(void *context, uint8_t *page, size_t offset)
{
    (void)context;
    memset(page + offset, 0xff, 2);
}

static void test_ring_entries_are_fetched_once(void **state)
{
    struct fake_queue *rings = &driver.queues[0];
    const uint64_t address = 0x2000;

    (void)state;
    if (!fetch_watch_works())
        skip();
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_NUM, SIZE);
    *rings = (struct fake_queue){ .size = SIZE, .desc = 0x4000, .avail = address, .used = 0x5000 };
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x4000);
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)address);
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_USED_LOW, 0x5000);
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_READY, 1);
    fake_driver_ready(&driver);
    set(0, 0x100, 1, 0, 0);
    fake_offer(&driver, 0, 0);
    fetch_watch_start(fake_memory(&driver, address, FETCH_WATCH_PAGE), spoil_ring, NULL);
    int result = virtqueue_pop(queue, &chain);
    fetch_watch_stop();
    assert_int_equal(result, 1);
    assert_int_equal(chain.head, 0);
    assert_int_equal(fetch_watch_count(2), 1);
    assert_int_equal(fetch_watch_count(4), 1);
    assert_int_equal(fetch_watch_most(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_descriptor_loop, set_up_started, tear_down),
        cmocka_unit_test_setup_teardown(test_a_loop_of_empty_descriptors, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_longest_chain, set_up_started, tear_down),
        cmocka_unit_test_setup_teardown(test_next_beyond_the_queue, set_up_started, tear_down),
        cmocka_unit_test_setup_teardown(test_nested_indirect_tables, set_up_started, tear_down),
        cmocka_unit_test_setup_teardown(test_indirect_together_with_next, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_indirect_tables_of_a_wrong_length, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_indirect_tables_outside_of_memory, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_indirect_that_was_not_negotiated, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_indirect_after_direct_ones, set_up_started, tear_down),
        cmocka_unit_test_setup_teardown(test_readable_after_writable, set_up_started, tear_down),
        cmocka_unit_test_setup_teardown(test_zero_length_descriptors, set_up_started, tear_down),
        cmocka_unit_test_setup_teardown(test_a_chain_that_crosses_the_end_of_memory, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_more_segments_than_the_device_takes, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_sum_of_lengths_overflows, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_descriptors_are_fetched_once, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_ring_entries_are_fetched_once, set_up_started,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
