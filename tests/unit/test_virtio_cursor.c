/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor chains, however they are split: cursors read and write the same. */
#include "tests/support/chain_bench.h"

#include <errno.h>
#include <string.h>

#define PAYLOAD 4000

/* Cuts LENGTH bytes at ADDRESS at random places into at most COUNT buffers. */
static size_t split(uint64_t address, uint32_t length, bool writable, size_t count,
                    struct fake_buffer *buffers, uint64_t *random)
{
    size_t used = 0;

    while (used + 1 < count && length > 0) {
        uint32_t piece = (uint32_t)(next_random(random) % (length + 1));

        buffers[used++] = (struct fake_buffer){ address, piece, writable };
        address += piece;
        length -= piece;
    }
    buffers[used++] = (struct fake_buffer){ address, length, writable };
    return used;
}

/* Reads by steps of all kinds what stands at FROM. */
static void check_reading(const uint8_t *from, uint32_t length, uint64_t *random)
{
    struct chain_cursor cursor = chain_readable(&chain);
    uint8_t bytes[PAYLOAD];
    struct iovec slices[ECHO_QUEUE_SIZE];
    size_t at = 0;

    while (at < length) {
        size_t step = next_random(random) % 700 + 1;
        size_t there = step < length - at ? step : length - at;

        assert_int_equal(chain_left(&cursor), length - at);
        if (next_random(random) % 3 == 0) {
            assert_int_equal(chain_skip(&cursor, step), there);
        } else if (next_random(random) % 2) {
            assert_int_equal(chain_read(&cursor, bytes, step), there);
            assert_memory_equal(bytes, from + at, there);
        } else {
            int count = chain_slice(&cursor, step, slices, ECHO_QUEUE_SIZE);
            size_t sum = 0;

            for (int i = 0; i < count; i++) {
                assert_memory_equal(slices[i].iov_base, from + at + sum, slices[i].iov_len);
                sum += slices[i].iov_len;
            }
            assert_int_equal(sum, there);
        }
        at += there;
    }
    assert_int_equal(chain_left(&cursor), 0);
    assert_int_equal(chain_read(&cursor, bytes, 1), 0);
    assert_int_equal(chain_slice(&cursor, 1, slices, 1), 0);
}

static void check_writing(uint8_t *to, uint32_t length, uint64_t *random)
{
    struct chain_cursor cursor = chain_writable(&chain);
    uint8_t bytes[PAYLOAD + 1];
    size_t at = 0;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)next_random(random);
    memset(to - 1, 0, PAYLOAD + 2);
    while (at < length) {
        size_t step = next_random(random) % 700 + 1;

        if (step > length - at)
            step = length - at;
        assert_int_equal(chain_write(&cursor, bytes + at, step), step);
        at += step;
    }
    assert_int_equal(chain_write(&cursor, bytes, 1), 0);
    assert_memory_equal(to, bytes, length);
    assert_int_equal(to[-1], 0);
    assert_int_equal(to[length], 0);
}

static void test_any_split_reads_and_writes_the_same(void **state)
{
    const uint64_t from = 0x2000, to = FIXTURE_HIGH_BASE + 0x100;
    struct fake_buffer buffers[24];
    uint64_t random = 77;

    (void)state;
    for (unsigned int round = 0; round < 400; round++) {
        uint32_t readable = (uint32_t)(next_random(&random) % PAYLOAD) + 1;
        uint32_t writable = (uint32_t)(next_random(&random) % PAYLOAD) + 1;
        uint8_t *bytes = fake_memory(&driver, from, PAYLOAD);
        size_t count;

        start(VIRTIO_F_INDIRECT_DESC, 32);
        for (size_t i = 0; i < PAYLOAD; i++)
            bytes[i] = (uint8_t)next_random(&random);
        count = split(from, readable, false, 1 + next_random(&random) % 12, buffers, &random);
        count += split(to, writable, true, 1 + next_random(&random) % 12, buffers + count,
                       &random);
        fake_driver_add(&driver, 0, round % 2 ? FAKE_INDIRECT : FAKE_DIRECT, count, buffers);
        assert_int_equal(virtqueue_pop(queue, &chain), 1);
        assert_int_equal(chain.readable_bytes, readable);
        assert_int_equal(chain.writable_bytes, writable);
        check_reading(bytes, readable, &random);
        check_writing(fake_memory(&driver, to, PAYLOAD), writable, &random);
    }
}

static void test_a_slice_with_too_little_room(void **state)
{
    const struct fake_buffer buffers[] = { { 0x100, 4 }, { 0x200, 4 }, { 0x300, 4 } };
    struct chain_cursor cursor;
    struct iovec slices[2];

    (void)state;
    fake_driver_add(&driver, 0, FAKE_DIRECT, 3, buffers);
    assert_int_equal(virtqueue_pop(queue, &chain), 1);
    cursor = chain_readable(&chain);
    assert_int_equal(chain_slice(&cursor, 8, slices, 2), 2);
    cursor = chain_readable(&chain);
    assert_int_equal(chain_slice(&cursor, 9, slices, 2), -ENOBUFS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_split_reads_and_writes_the_same, set_up_started,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_slice_with_too_little_room, set_up_started,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
