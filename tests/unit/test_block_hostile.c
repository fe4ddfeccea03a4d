/* SPDX-License-Identifier: Apache-2.0 */
/* The block device as bad drivers meet it. */
#include "tests/support/disk_bench.h"

#include <string.h>
#include <unistd.h>

static void test_sector_arithmetic_does_not_overflow(void **state)
{
    struct disk_bench *bench = *state;
    static const struct { uint64_t sector; uint32_t length; } bad[] = {
        { BENCH_SECTORS, 512 }, { BENCH_SECTORS - 1, 1024 }, { UINT64_MAX, 512 },
        { UINT64_MAX / 512, 512 }, { UINT64_MAX / 512 + 1, 512 }, { 1ull << 55, 512 },
        { UINT64_MAX - 1, 1024 }, { 1ull << 63, 4096 }, { 0, 511 }, { 0, 513 }, { 0, 1 },
        { BENCH_SECTORS + 1, 0 },
    };

    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint32_t written;

        assert_int_equal(disk_bench_request(bench, BLK_IN, bad[i].sector, bad[i].length,
                                            &written), BLK_IOERR);
        assert_int_equal(written, 1);
        assert_int_equal(disk_bench_request(bench, BLK_OUT, bad[i].sector, bad[i].length,
                                            NULL), BLK_IOERR);
    }
    assert_false(fake_driver_needs_reset(&bench->driver));
    assert_int_equal(disk_bench_request(bench, BLK_IN, 0, 512, NULL), BLK_OK);
}

static void test_discard_arithmetic_does_not_overflow(void **state)
{
    struct disk_bench *bench = *state;
    static const struct bench_range bad[] = {
        { BENCH_SECTORS, 1, 0 }, { BENCH_SECTORS - 1, 2, 0 }, { UINT64_MAX, 1, 0 },
        { UINT64_MAX - 1, UINT32_MAX, 0 }, { 0, UINT32_MAX, 0 }, { 1ull << 55, 8, 0 },
        { 0, 0, 0 }, { 0, BLOCK_RANGE_SECTORS_MAX + 1, 0 },
    };
    const struct bench_range flags[] = { { 0, 8, 1 }, { 0, 8, 2 }, { 0, 8, 0x80000000 } };
    struct bench_range many[DISK_RANGES_MAX + 1];

    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(disk_bench_ranges(bench, BLK_DISCARD, 1, &bad[i]), BLK_IOERR);
        assert_int_equal(disk_bench_ranges(bench, BLK_ZEROES, 1, &bad[i]), BLK_IOERR);
    }
    assert_int_equal(disk_bench_ranges(bench, BLK_DISCARD, 1, &flags[0]), BLK_UNSUPP);
    assert_int_equal(disk_bench_ranges(bench, BLK_DISCARD, 1, &flags[1]), BLK_UNSUPP);
    assert_int_equal(disk_bench_ranges(bench, BLK_ZEROES, 1, &flags[1]), BLK_UNSUPP);
    assert_int_equal(disk_bench_ranges(bench, BLK_ZEROES, 1, &flags[2]), BLK_UNSUPP);
    for (size_t i = 0; i <= DISK_RANGES_MAX; i++)
        many[i] = (struct bench_range){ 8 * i, 1, 0 };
    assert_int_equal(disk_bench_ranges(bench, BLK_DISCARD, DISK_RANGES_MAX + 1, many), BLK_IOERR);
    assert_int_equal(disk_bench_request(bench, BLK_DISCARD, 0, 15, NULL), BLK_IOERR);
    assert_int_equal(disk_bench_request(bench, BLK_DISCARD, 0, 0, NULL), BLK_IOERR);
    /* One bad range among good ones: nothing is done at all. */
    many[1].sector = UINT64_MAX;
    assert_int_equal(disk_bench_ranges(bench, BLK_ZEROES, 2, many), BLK_IOERR);
    assert_int_equal(disk_bench_file_byte(bench, 0), disk_bench_byte(0));
}

static void test_unknown_requests_are_unsupported(void **state)
{
    struct disk_bench *bench = *state;
    static const uint32_t types[] = { 2, 3, 5, 6, 7, 9, 10, 12, 14, 0x80000000, UINT32_MAX };
    uint32_t written;

    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        assert_int_equal(disk_bench_request(bench, types[i], 0, 512, &written), BLK_UNSUPP);
        assert_int_equal(written, 1);
    }
}

static void test_what_was_not_negotiated_is_unsupported(void **state)
{
    struct disk_bench *bench = *state;
    const struct bench_range range = { 8, 8, 0 };

    disk_bench_start(bench, "", 0, 1);
    assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_UNSUPP);
    assert_int_equal(disk_bench_ranges(bench, BLK_DISCARD, 1, &range), BLK_UNSUPP);
    assert_int_equal(disk_bench_ranges(bench, BLK_ZEROES, 1, &range), BLK_UNSUPP);
}

static void send_bad(struct disk_bench *bench, size_t count, const struct fake_buffer *buffers)
{
    struct virtq_used_element used;

    fake_driver_start(&bench->driver, BENCH_ALL_FEATURES, 1);
    fake_driver_send(&bench->driver, 0, FAKE_DIRECT, count, buffers);
    assert_true(fake_driver_needs_reset(&bench->driver));
    assert_false(fake_driver_used(&bench->driver, 0, &used));
    /* After a reset all is well. */
    fake_driver_start(&bench->driver, BENCH_ALL_FEATURES, 1);
    assert_int_equal(disk_bench_request(bench, BLK_IN, 0, 512, NULL), BLK_OK);
}

static void test_short_header_or_no_status_byte(void **state)
{
    struct disk_bench *bench = *state;
    const struct fake_buffer short_header[] = { { 0x1000, 15, false }, { 0x1800, 1, true } };
    const struct fake_buffer no_header[] = { { 0x1800, 513, true } };
    const struct fake_buffer no_status[] = { { 0x1000, 16, false }, { 0x2000, 512, false } };
    const struct fake_buffer empty_status[] = { { 0x1000, 16, false }, { 0x1800, 0, true } };
    const struct fake_buffer nothing[] = { { 0x1000, 0, false } };

    disk_bench_create(bench, "");
    send_bad(bench, 2, short_header);
    send_bad(bench, 1, no_header);
    send_bad(bench, 2, no_status);
    send_bad(bench, 2, empty_status);
    send_bad(bench, 1, nothing);
}

static void test_buffers_outside_of_ram(void **state)
{
    struct disk_bench *bench = *state;
    const struct fake_buffer hole[] = {
        { 0x1000, 16, false }, { FIXTURE_LOW_SIZE - 512, 1024, true }, { 0x1800, 1, true },
    };
    const struct fake_buffer far[] = {
        { 0x1000, 16, false }, { UINT64_MAX - 100, 512, true }, { 0x1800, 1, true },
    };

    disk_bench_create(bench, "");
    send_bad(bench, 3, hole);
    send_bad(bench, 3, far);
}

static void test_a_huge_read_is_bounded_by_the_disk(void **state)
{
    struct disk_bench *bench = *state;
    struct fake_buffer buffers[66] = { { BENCH_HEADERS, 16, false } };
    struct virtq_used_element used;

    /* 64 descriptors that all name the same 512 KiB: 32 MiB of a disk of one. */
    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    for (int i = 1; i <= 64; i++)
        buffers[i] = (struct fake_buffer){ 0x80000, 0x80000, true };
    buffers[65] = (struct fake_buffer){ BENCH_STATUS, 1, true };
    memset(fake_memory(&bench->driver, BENCH_HEADERS, 16), 0, 16);
    fake_driver_send(&bench->driver, 0, FAKE_INDIRECT, 66, buffers);
    assert_true(fake_driver_wait(&bench->driver, 0, &used));
    assert_int_equal(disk_bench_status(bench, 0), BLK_IOERR);
    assert_int_equal(used.length, 1);
}

static void test_the_driver_writes_configuration(void **state)
{
    struct disk_bench *bench = *state;
    struct block_config before, after;
    uint8_t bytes[8] = { 0 };

    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    fake_driver_config(&bench->driver, 0, &before, BLOCK_CONFIG_SIZE);
    for (uint64_t offset = 0; offset < 80; offset++)
        for (size_t length = 1; length <= 8; length *= 2)
            if (offset != 32 || length != 1)
                device_write(bench->driver.device, VIRTIO_MMIO_CONFIG + offset, bytes, length);
    fake_driver_config(&bench->driver, 0, &after, BLOCK_CONFIG_SIZE);
    assert_memory_equal(&before, &after, BLOCK_CONFIG_SIZE);
    device_write(bench->driver.device, VIRTIO_MMIO_CONFIG + 32, bytes, 1);
    assert_int_equal(bench->block->config.writeback, 0);
    bytes[0] = 0xff;
    device_write(bench->driver.device, VIRTIO_MMIO_CONFIG + 32, bytes, 1);
    assert_int_equal(bench->block->config.writeback, 1);
}

static void test_an_image_of_another_format_stays_raw(void **state)
{
    struct disk_bench *bench = *state;
    static const uint8_t magic[] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };
    char text[1024];

    assert_int_equal(pwrite(bench->fd, magic, sizeof(magic), 0), sizeof(magic));
    bench->fixture.log.level = LOG_INFO;
    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    assert_non_null(strstr(memory_log_text(&bench->fixture.log, text, sizeof(text)), "qemu-img"));
    assert_int_equal(disk_bench_request(bench, BLK_IN, 0, 512, NULL), BLK_OK);
    assert_memory_equal(disk_bench_data(bench), magic, sizeof(magic));
    disk_bench_assert_bytes(disk_bench_data(bench) + 8, 8, 504);
    assert_int_equal(bench->block->config.capacity, BENCH_SECTORS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(test_sector_arithmetic_does_not_overflow),
        DISK_TEST(test_discard_arithmetic_does_not_overflow),
        DISK_TEST(test_unknown_requests_are_unsupported),
        DISK_TEST(test_what_was_not_negotiated_is_unsupported),
        DISK_TEST(test_short_header_or_no_status_byte),
        DISK_TEST(test_buffers_outside_of_ram),
        DISK_TEST(test_a_huge_read_is_bounded_by_the_disk),
        DISK_TEST(test_the_driver_writes_configuration),
        DISK_TEST(test_an_image_of_another_format_stays_raw),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
