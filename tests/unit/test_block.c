/* SPDX-License-Identifier: Apache-2.0 */
/* The block device as drivers meet it, good ones and bad ones. */
#include "tests/support/disk_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int set_up(void **state)
{
    struct disk_bench *bench = calloc(1, sizeof(*bench));

    disk_bench_init(bench, BENCH_SECTORS);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    disk_bench_release(*state);
    free(*state);
    return 0;
}

static void assert_bytes(const uint8_t *bytes, uint64_t offset, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != disk_bench_byte(offset + i))
            fail_msg("byte %zu is %u, not %u", i, bytes[i], disk_bench_byte(offset + i));
}

static uint8_t file_byte(struct disk_bench *bench, uint64_t at)
{
    uint8_t byte;

    assert_int_equal(pread(bench->fd, &byte, 1, (off_t)at), 1);
    return byte;
}

/* ---- good drivers ------------------------------------------------------- */

static void check_reading_and_writing(struct disk_bench *bench, const char *settings)
{
    uint8_t *data;
    uint32_t written;

    disk_bench_start(bench, settings, BENCH_ALL_FEATURES, 1);
    data = disk_bench_data(bench);
    assert_int_equal(disk_bench_request(bench, BLK_IN, 8, 4096, &written), BLK_OK);
    assert_int_equal(written, 4097);
    assert_bytes(data, 8 * 512, 4096);
    memset(data, 0x5a, 4096);
    assert_int_equal(disk_bench_request(bench, BLK_OUT, 16, 4096, &written), BLK_OK);
    assert_int_equal(written, 1);
    assert_int_equal(file_byte(bench, 16 * 512), 0x5a);
    assert_int_equal(file_byte(bench, 24 * 512 - 1), 0x5a);
    assert_int_equal(file_byte(bench, 24 * 512), disk_bench_byte(24 * 512));
    assert_int_equal(file_byte(bench, 16 * 512 - 1), disk_bench_byte(16 * 512 - 1));
    assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, &written), BLK_OK);
    assert_int_equal(written, 1);
    /* The last sector, and nothing at all. */
    assert_int_equal(disk_bench_request(bench, BLK_IN, BENCH_SECTORS - 1, 512, NULL), BLK_OK);
    assert_int_equal(disk_bench_request(bench, BLK_IN, 0, 0, &written), BLK_OK);
    assert_int_equal(written, 1);
}

static void test_reading_and_writing_by_uring(void **state)
{
    struct disk_bench *bench = *state;

    check_reading_and_writing(bench, ",engine=uring");
}

static void test_reading_and_writing_by_threads(void **state)
{
    struct disk_bench *bench = *state;

    check_reading_and_writing(bench, ",engine=sync");
    assert_int_equal(disk_engine_kind(bench->block->engine), DISK_ENGINE_SYNC);
}

static void test_the_configuration_space(void **state)
{
    struct disk_bench *bench = *state;
    struct block_config config;
    uint64_t features;

    disk_bench_create(bench, ",queues=4");
    features = fake_driver_reset(&bench->driver);
    assert_int_equal(features & BENCH_ALL_FEATURES, BENCH_ALL_FEATURES);
    assert_true(features & VIRTIO_BLK_F_MQ);
    assert_false(features & VIRTIO_BLK_F_RO);
    fake_driver_config(&bench->driver, 0, &config, BLOCK_CONFIG_SIZE);
    assert_int_equal(config.capacity, BENCH_SECTORS);
    assert_int_equal(config.seg_max, BLOCK_QUEUE_SIZE - 2);
    assert_int_equal(config.blk_size, 512);
    assert_int_equal(config.num_queues, 4);
    assert_int_equal(config.writeback, 1);
    assert_int_equal(config.max_discard_seg, DISK_RANGES_MAX);
    assert_int_equal(512u << config.physical_block_exp,
                     config.discard_sector_alignment * DISK_SECTOR);
}

static void test_the_block_size_is_the_users(void **state)
{
    struct disk_bench *bench = *state;
    struct block_config config;

    disk_bench_create(bench, ",block-size=4096");
    fake_driver_config(&bench->driver, 0, &config, BLOCK_CONFIG_SIZE);
    assert_int_equal(config.blk_size, 4096);
    assert_int_equal(config.physical_block_exp, 0);
}

static void test_get_id(void **state)
{
    struct disk_bench *bench = *state;
    uint8_t *data;
    uint32_t written;

    disk_bench_start(bench, ",serial=twenty-characters-id", BENCH_ALL_FEATURES, 1);
    data = disk_bench_data(bench);
    memset(data, 0xff, 64);
    assert_int_equal(disk_bench_request(bench, BLK_GET_ID, 0, 20, &written), BLK_OK);
    assert_int_equal(written, 21);
    assert_memory_equal(data, "twenty-characters-id", 20);
    assert_int_equal(data[20], 0xff);
    /* A buffer that is too small, and one that is too large. */
    assert_int_equal(disk_bench_request(bench, BLK_GET_ID, 0, 3, &written), BLK_OK);
    assert_int_equal(written, 4);
    memset(data, 0xff, 64);
    assert_int_equal(disk_bench_request(bench, BLK_GET_ID, 0, 64, &written), BLK_OK);
    assert_int_equal(written, 21);
    assert_int_equal(data[20], 0xff);
}

static void test_discard_gives_space_back(void **state)
{
    struct disk_bench *bench = *state;
    const struct bench_range ranges[] = { { 8, 1024, 0 }, { 1200, 800, 0 } };
    struct stat before, after;
    uint8_t *data;

    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    data = disk_bench_data(bench);
    fstat(bench->fd, &before);
    assert_int_equal(disk_bench_ranges(bench, BLK_DISCARD, 2, ranges), BLK_OK);
    fstat(bench->fd, &after);
    assert_true(after.st_blocks <= before.st_blocks - 1800);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(disk_bench_request(bench, BLK_IN, 8, 512, NULL), BLK_OK);
    for (int i = 0; i < 512; i++)
        assert_int_equal(data[i], 0);
    assert_int_equal(file_byte(bench, 1033 * 512), disk_bench_byte(1033 * 512));
}

static void test_zeroes_with_and_without_unmap(void **state)
{
    struct disk_bench *bench = *state;
    const struct bench_range ranges[] = { { 8, 800, 1 }, { 1001, 3, 0 } };
    struct stat before, after;

    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    fstat(bench->fd, &before);
    assert_int_equal(disk_bench_ranges(bench, BLK_ZEROES, 1, &ranges[1]), BLK_OK);
    fstat(bench->fd, &after);
    assert_int_equal(after.st_blocks, before.st_blocks);
    assert_int_equal(disk_bench_ranges(bench, BLK_ZEROES, 1, ranges), BLK_OK);
    fstat(bench->fd, &after);
    assert_true(after.st_blocks <= before.st_blocks - 760);
    assert_int_equal(file_byte(bench, 1001 * 512), 0);
    assert_int_equal(file_byte(bench, 1004 * 512 - 1), 0);
    assert_int_equal(file_byte(bench, 1004 * 512), disk_bench_byte(1004 * 512));
    assert_int_equal(file_byte(bench, 1001 * 512 - 1), disk_bench_byte(1001 * 512 - 1));
}

static void test_header_and_status_split_over_descriptors(void **state)
{
    struct disk_bench *bench = *state;
    struct virtq_used_element used;
    uint8_t *data, header[16] = { BLK_IN };
    /* The header in pieces of 3, 0, 12 and 1 bytes; data and status byte in one
     * buffer of 100, one of none and one of 413. */
    const struct fake_buffer buffers[] = {
        { 0x1000, 3, false }, { 0x1100, 0, false }, { 0x1200, 12, false }, { 0x1300, 1, false },
        { BENCH_DATA, 100, true }, { BENCH_DATA, 0, true }, { BENCH_DATA + 100, 413, true },
    };

    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    data = disk_bench_data(bench);
    for (int layout = FAKE_DIRECT; layout <= FAKE_INDIRECT; layout++) {
        memset(data, 0xee, 1024);
        header[8] = 5;
        memcpy(fake_memory(&bench->driver, 0x1000, 3), header, 3);
        memcpy(fake_memory(&bench->driver, 0x1200, 12), header + 3, 12);
        memcpy(fake_memory(&bench->driver, 0x1300, 1), header + 15, 1);
        fake_driver_send(&bench->driver, 0, (enum fake_layout)layout, 7, buffers);
        assert_true(fake_driver_wait(&bench->driver, 0, &used));
        assert_int_equal(used.length, 513);
        assert_bytes(data, 5 * 512, 512);
        assert_int_equal(data[512], BLK_OK);
        assert_int_equal(data[513], 0xee);
    }
}

static void test_a_header_and_its_data_in_one_descriptor(void **state)
{
    struct disk_bench *bench = *state;
    struct virtq_used_element used;
    const struct fake_buffer buffers[] = { { BENCH_DATA, 16 + 512, false }, { 0x1800, 1, true } };
    uint8_t *data;

    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    data = disk_bench_data(bench);
    memset(data, 0, 16);
    data[0] = BLK_OUT;
    data[8] = 7;
    memset(data + 16, 0x77, 512);
    fake_driver_send(&bench->driver, 0, FAKE_DIRECT, 2, buffers);
    assert_true(fake_driver_wait(&bench->driver, 0, &used));
    assert_int_equal(disk_bench_status(bench, 0), BLK_OK);
    assert_int_equal(file_byte(bench, 7 * 512), 0x77);
    assert_int_equal(file_byte(bench, 8 * 512 - 1), 0x77);
    assert_int_equal(file_byte(bench, 8 * 512), disk_bench_byte(8 * 512));
}

static void test_every_queue_serves(void **state)
{
    struct disk_bench *bench = *state;
    struct virtq_used_element used;

    disk_bench_start(bench, ",queues=4", BENCH_ALL_FEATURES | VIRTIO_BLK_F_MQ, 4);
    for (unsigned int queue = 0; queue < 4; queue++) {
        disk_bench_add(bench, queue, queue, BLK_IN, queue, 512 * queue, 512);
        fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    }
    for (unsigned int queue = 0; queue < 4; queue++) {
        assert_true(fake_driver_wait(&bench->driver, queue, &used));
        assert_int_equal(disk_bench_status(bench, queue), BLK_OK);
    }
    assert_bytes(disk_bench_data(bench), 0, 4 * 512);
}

static void test_read_only(void **state)
{
    struct disk_bench *bench = *state;
    const struct bench_range range = { 8, 8, 0 };
    uint64_t features;

    disk_bench_create(bench, ",ro");
    features = fake_driver_reset(&bench->driver);
    assert_true(features & VIRTIO_BLK_F_RO);
    assert_false(features & (VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES |
                             VIRTIO_BLK_F_CONFIG_WCE));
    fake_driver_start(&bench->driver, VIRTIO_BLK_F_FLUSH, 1);
    assert_int_equal(disk_bench_request(bench, BLK_IN, 8, 512, NULL), BLK_OK);
    assert_bytes(disk_bench_data(bench), 8 * 512, 512);
    memset(disk_bench_data(bench), 0, 512);
    assert_int_equal(disk_bench_request(bench, BLK_OUT, 8, 512, NULL), BLK_IOERR);
    assert_int_equal(disk_bench_ranges(bench, BLK_DISCARD, 1, &range), BLK_UNSUPP);
    assert_int_equal(disk_bench_ranges(bench, BLK_ZEROES, 1, &range), BLK_UNSUPP);
    assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_OK);
    assert_int_equal(file_byte(bench, 8 * 512), disk_bench_byte(8 * 512));
    /* The host was not even asked. */
    assert_int_equal(memory_log_lines(&bench->fixture.log), 0);
}

static void test_growing_is_told(void **state)
{
    struct disk_bench *bench = *state;
    struct virtio_device *virtio;
    uint32_t generation;
    uint64_t capacity;

    disk_bench_start(bench, "", BENCH_ALL_FEATURES, 1);
    virtio = &bench->block->virtio;
    generation = fake_driver_read(&bench->driver, VIRTIO_MMIO_CONFIG_GENERATION);
    fake_driver_interrupts(&bench->driver);
    virtio->class->refresh(virtio);
    assert_int_equal(fake_driver_interrupts(&bench->driver), 0);
    assert_int_equal(disk_bench_request(bench, BLK_IN, BENCH_SECTORS, 512, NULL), BLK_IOERR);
    fake_driver_interrupts(&bench->driver);
    /* A tail that makes no sector is left out. */
    assert_int_equal(ftruncate(bench->fd, (BENCH_SECTORS + 8) * 512 + 100), 0);
    virtio->class->refresh(virtio);
    assert_int_equal(fake_driver_interrupts(&bench->driver), 1);
    assert_int_not_equal(fake_driver_read(&bench->driver, VIRTIO_MMIO_CONFIG_GENERATION),
                         generation);
    fake_driver_config(&bench->driver, 0, &capacity, sizeof(capacity));
    assert_int_equal(capacity, BENCH_SECTORS + 8);
    assert_int_equal(disk_bench_request(bench, BLK_IN, BENCH_SECTORS, 4096, NULL), BLK_OK);
}

static uint64_t milliseconds_between(const struct timespec *before, const struct timespec *after)
{
    return (uint64_t)((after->tv_sec - before->tv_sec) * 1000 +
                      (after->tv_nsec - before->tv_nsec) / 1000000);
}

static void test_the_rate_holds(void **state)
{
    struct disk_bench *bench = *state;
    struct virtq_used_element used;
    struct timespec before, after;
    unsigned int count = 0;

    /* 20 operations a second, of which one second's worth is there at once. */
    clock_gettime(CLOCK_MONOTONIC, &before);
    disk_bench_start(bench, ",ops=20", BENCH_ALL_FEATURES, 1);
    for (unsigned int i = 0; i < 24; i++)
        disk_bench_add(bench, 0, i, BLK_IN, i, 512 * i, 512);
    fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    run_loop_for(bench->fixture.env.loop, 20);
    while (fake_driver_used(&bench->driver, 0, &used))
        count++;
    clock_gettime(CLOCK_MONOTONIC, &after);
    /* A loaded machine may be late, and more is allowed by then. */
    assert_in_range(count, 20, 21 + 20 * milliseconds_between(&before, &after) / 1000);
    while (count < 24 && fake_driver_wait(&bench->driver, 0, &used))
        count++;
    assert_int_equal(count, 24);
}

/* ---- bad drivers -------------------------------------------------------- */

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
    assert_int_equal(file_byte(bench, 0), disk_bench_byte(0));
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
    assert_bytes(disk_bench_data(bench) + 8, 8, 504);
    assert_int_equal(bench->block->config.capacity, BENCH_SECTORS);
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(test_reading_and_writing_by_uring),
        WITH_BENCH(test_reading_and_writing_by_threads),
        WITH_BENCH(test_the_configuration_space),
        WITH_BENCH(test_the_block_size_is_the_users),
        WITH_BENCH(test_get_id),
        WITH_BENCH(test_discard_gives_space_back),
        WITH_BENCH(test_zeroes_with_and_without_unmap),
        WITH_BENCH(test_header_and_status_split_over_descriptors),
        WITH_BENCH(test_a_header_and_its_data_in_one_descriptor),
        WITH_BENCH(test_every_queue_serves),
        WITH_BENCH(test_read_only),
        WITH_BENCH(test_growing_is_told),
        WITH_BENCH(test_the_rate_holds),
        WITH_BENCH(test_sector_arithmetic_does_not_overflow),
        WITH_BENCH(test_discard_arithmetic_does_not_overflow),
        WITH_BENCH(test_unknown_requests_are_unsupported),
        WITH_BENCH(test_what_was_not_negotiated_is_unsupported),
        WITH_BENCH(test_short_header_or_no_status_byte),
        WITH_BENCH(test_buffers_outside_of_ram),
        WITH_BENCH(test_a_huge_read_is_bounded_by_the_disk),
        WITH_BENCH(test_the_driver_writes_configuration),
        WITH_BENCH(test_an_image_of_another_format_stays_raw),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
