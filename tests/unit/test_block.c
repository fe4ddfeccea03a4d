/* SPDX-License-Identifier: Apache-2.0 */
/* The block device as good drivers meet it. */
#include "tests/support/disk_bench.h"
#include "tests/support/device_options.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>


static void check_reading_and_writing(struct disk_bench *bench, const char *settings)
{
    uint8_t *data;
    uint32_t written;

    disk_bench_start(bench, settings, BENCH_ALL_FEATURES, 1);
    data = disk_bench_data(bench);
    assert_int_equal(disk_bench_request(bench, BLK_IN, 8, 4096, &written), BLK_OK);
    assert_int_equal(written, 4097);
    disk_bench_assert_bytes(data, 8 * 512, 4096);
    memset(data, 0x5a, 4096);
    assert_int_equal(disk_bench_request(bench, BLK_OUT, 16, 4096, &written), BLK_OK);
    assert_int_equal(written, 1);
    assert_int_equal(disk_bench_file_byte(bench, 16 * 512), 0x5a);
    assert_int_equal(disk_bench_file_byte(bench, 24 * 512 - 1), 0x5a);
    assert_int_equal(disk_bench_file_byte(bench, 24 * 512), disk_bench_byte(24 * 512));
    assert_int_equal(disk_bench_file_byte(bench, 16 * 512 - 1), disk_bench_byte(16 * 512 - 1));
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
    assert_int_equal(disk_bench_file_byte(bench, 1033 * 512), disk_bench_byte(1033 * 512));
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
    assert_int_equal(disk_bench_file_byte(bench, 1001 * 512), 0);
    assert_int_equal(disk_bench_file_byte(bench, 1004 * 512 - 1), 0);
    assert_int_equal(disk_bench_file_byte(bench, 1004 * 512), disk_bench_byte(1004 * 512));
    assert_int_equal(disk_bench_file_byte(bench, 1001 * 512 - 1), disk_bench_byte(1001 * 512 - 1));
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
        disk_bench_assert_bytes(data, 5 * 512, 512);
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
    assert_int_equal(disk_bench_file_byte(bench, 7 * 512), 0x77);
    assert_int_equal(disk_bench_file_byte(bench, 8 * 512 - 1), 0x77);
    assert_int_equal(disk_bench_file_byte(bench, 8 * 512), disk_bench_byte(8 * 512));
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
    disk_bench_assert_bytes(disk_bench_data(bench), 0, 4 * 512);
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
    disk_bench_assert_bytes(disk_bench_data(bench), 8 * 512, 512);
    memset(disk_bench_data(bench), 0, 512);
    assert_int_equal(disk_bench_request(bench, BLK_OUT, 8, 512, NULL), BLK_IOERR);
    assert_int_equal(disk_bench_ranges(bench, BLK_DISCARD, 1, &range), BLK_UNSUPP);
    assert_int_equal(disk_bench_ranges(bench, BLK_ZEROES, 1, &range), BLK_UNSUPP);
    assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_OK);
    assert_int_equal(disk_bench_file_byte(bench, 8 * 512), disk_bench_byte(8 * 512));
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

/* How many of COUNT requests are served at once; the others wait for the limit. */
static unsigned int served_at_once(struct disk_bench *bench, const char *limit, uint32_t type,
                                   unsigned int count, uint32_t sectors)
{
    struct bench_range ranges[16];
    struct virtq_used_element used;
    unsigned int served = 0;

    disk_bench_start(bench, limit, BENCH_ALL_FEATURES, 1);
    for (unsigned int i = 0; i < 16; i++)
        ranges[i] = (struct bench_range){ sectors * i, sectors, 0 };
    memcpy(disk_bench_data(bench), ranges, sizeof(ranges));
    for (unsigned int i = 0; i < count; i++)
        disk_bench_add(bench, 0, i, type, 0, 0, type == BLK_FLUSH ? 0 : type == BLK_GET_ID ? 20 : 256);
    fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    run_loop_for(bench->fixture.env.loop, 50);
    while (fake_driver_used(&bench->driver, 0, &used))
        served++;
    fake_driver_destroy(&bench->driver);
    device_options_release(bench->options);
    bench->options = NULL;
    bench->block = NULL;
    return served;
}

/* Zeroes and discards by the bytes that they name, each of their ranges as an operation; and all else. */
static void test_whatever_costs_the_host_counts(void **state)
{
    struct disk_bench *bench = *state;

    /* 16 ranges of 32 KiB are half a MiB: after two requests a MiB is used up. */
    assert_in_range(served_at_once(bench, ",rate=1M", BLK_ZEROES, 8, 64), 2, 4);
    assert_in_range(served_at_once(bench, ",rate=1M", BLK_DISCARD, 8, 64), 2, 4);
    assert_in_range(served_at_once(bench, ",ops=20", BLK_ZEROES, 8, 1), 2, 4);
    assert_in_range(served_at_once(bench, ",ops=20", BLK_DISCARD, 8, 1), 2, 4);
    assert_in_range(served_at_once(bench, ",ops=20", BLK_FLUSH, 40, 0), 20, 30);
    assert_in_range(served_at_once(bench, ",ops=20", BLK_GET_ID, 40, 0), 20, 30);
    assert_in_range(served_at_once(bench, ",ops=20", 99, 40, 0), 20, 30); /* no such request */
}

/* A driver that keeps to the limits of ranges is never in debt by more than a bucket. */
static void test_ranges_are_not_larger_than_the_bucket(void **state)
{
    struct disk_bench *bench = *state;
    uint32_t discard, zeroes;

    disk_bench_start(bench, ",rate=1M", BENCH_ALL_FEATURES, 1);
    fake_driver_config(&bench->driver, 36, &discard, 4);
    fake_driver_config(&bench->driver, 48, &zeroes, 4);
    assert_int_equal(discard, 2048);
    assert_int_equal(zeroes, 2048);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(test_reading_and_writing_by_uring),
        DISK_TEST(test_reading_and_writing_by_threads),
        DISK_TEST(test_the_configuration_space),
        DISK_TEST(test_the_block_size_is_the_users),
        DISK_TEST(test_get_id),
        DISK_TEST(test_discard_gives_space_back),
        DISK_TEST(test_zeroes_with_and_without_unmap),
        DISK_TEST(test_header_and_status_split_over_descriptors),
        DISK_TEST(test_a_header_and_its_data_in_one_descriptor),
        DISK_TEST(test_every_queue_serves),
        DISK_TEST(test_read_only),
        DISK_TEST(test_growing_is_told),
        DISK_TEST(test_the_rate_holds),
        DISK_TEST(test_whatever_costs_the_host_counts),
        DISK_TEST(test_ranges_are_not_larger_than_the_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
