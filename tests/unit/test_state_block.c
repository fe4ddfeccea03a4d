/* SPDX-License-Identifier: Apache-2.0 */
/* A disk saved amid requests, and loaded on the same file and on others. */
#include "tests/support/disk_bench.h"
#include "tests/support/device_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "devices/virtio/block.h"
#include "tests/support/saved.h"

static const char *const engines[] = { ",engine=uring,queues=2", ",engine=sync,queues=2" };

static void move(struct disk_bench *bench)
{
    fake_driver_move(&bench->driver, &block_class, bench->options);
    bench->block = (struct block *)virtio_device_of(bench->driver.device);
}

/* The device is over; the next one has other SETTINGS. */
static void exchange(struct disk_bench *bench, const char *settings)
{
    fake_driver_destroy(&bench->driver);
    device_options_release(bench->options);
    bench->options = NULL;
    disk_bench_create(bench, settings);
}

static int load_error(struct disk_bench *bench, const struct saved *saved, const char *why)
{
    struct error error = ERROR_INIT;
    int result = device_load(bench->driver.device, saved, &error);

    if (!strstr(error.message, why))
        fail_msg("%s", error.message);
    return result;
}

/* The answers of QUEUE, COUNT of them, each to a request of its own. */
static void collect(struct disk_bench *bench, unsigned int queue, unsigned int count)
{
    struct virtq_used_element used;
    bool seen[BLOCK_QUEUE_SIZE] = { false };

    for (unsigned int i = 0; i < count; i++) {
        assert_true(fake_driver_wait(&bench->driver, queue, &used));
        assert_true(used.id < BLOCK_QUEUE_SIZE && !seen[used.id]);
        seen[used.id] = true;
    }
    fake_driver_run(&bench->driver);
    assert_int_equal(fake_used_index(&bench->driver, queue),
                     bench->driver.queues[queue].used_index);
}

#define BATCH 40u /* of each queue: one in two writes */

/* Requests of both queues in every stage: unnoticed, popped, in the host, done. */
static void go_on_amid_requests(struct disk_bench *bench, const char *engine)
{
    uint8_t *data;
    uint8_t byte;

    disk_bench_start(bench, engine, BENCH_ALL_FEATURES | VIRTIO_BLK_F_MQ, 2);
    data = disk_bench_data(bench);
    for (unsigned int round = 0; round < 20; round++) {
        for (unsigned int i = 0; i < 2 * BATCH; i++) {
            memset(data + 512 * i, (int)(round + i), 512);
            disk_bench_add(bench, i % 2, i, i % 4 < 2 ? BLK_OUT : BLK_IN, i, 512 * i, 512);
            if (i % 8 == round % 8)
                fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, i % 2);
            if (i == 50)
                fake_driver_run(&bench->driver);
            if (i == 70)
                move(bench);
        }
        fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
        move(bench);
        collect(bench, 0, BATCH);
        collect(bench, 1, BATCH);
        for (unsigned int i = 0; i < 2 * BATCH; i++) {
            assert_int_equal(disk_bench_status(bench, i), BLK_OK);
            assert_int_equal(pread(bench->fd, &byte, 1, 512 * i), 1);
            assert_int_equal(byte, i % 4 < 2 ? (uint8_t)(round + i) : disk_bench_byte(512 * i));
            assert_int_equal(data[512 * i], byte);
        }
    }
}

static void test_requests_go_on_by_uring(void **state)
{
    go_on_amid_requests(*state, engines[0]);
}

static void test_requests_go_on_by_threads(void **state)
{
    go_on_amid_requests(*state, engines[1]);
}

static int64_t take_time(void *context, const struct disk_step *step, int64_t result)
{
    const struct timespec pause = { .tv_nsec = 20000000 };

    (void)context;
    (void)step;
    nanosleep(&pause, NULL);
    return result;
}

/* Once the device is saved, all that it had taken up is answered, and it goes on itself. */
static void test_saving_waits_for_the_host(void **state)
{
    struct disk_bench *bench = *state;
    struct saved saved, again;

    disk_bench_start(bench, engines[1], BENCH_ALL_FEATURES, 1);
    bench->block->file.fault = take_time;
    for (unsigned int i = 0; i < 8; i++)
        disk_bench_add(bench, 0, i, BLK_IN, i, 512 * i, 512);
    fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    fake_driver_run(&bench->driver);
    device_save(bench->driver.device, &saved);
    for (unsigned int i = 0; i < 8; i++)
        assert_int_equal(disk_bench_status(bench, i), BLK_OK);
    device_save(bench->driver.device, &again);
    assert_true(saved_equal(&saved, &again));
    saved_release(&saved);
    saved_release(&again);
    collect(bench, 0, 8);
    assert_int_equal(disk_bench_request(bench, BLK_OUT, 3, 512, NULL), BLK_OK);
}

static void test_the_mode_of_the_cache_stays(void **state)
{
    struct disk_bench *bench = *state;
    uint8_t writeback = 0;

    disk_bench_start(bench, engines[0], BENCH_ALL_FEATURES, 1);
    device_write(bench->driver.device, VIRTIO_MMIO_CONFIG + 32, &writeback, 1);
    move(bench);
    fake_driver_config(&bench->driver, 32, &writeback, 1);
    assert_int_equal(writeback, 0);
    assert_int_equal(disk_bench_request(bench, BLK_OUT, 3, 512, NULL), BLK_OK);
}

static int64_t fail_sync(void *context, const struct disk_step *step, int64_t result)
{
    (void)context;
    return step->call == DISK_CALL_SYNC ? -EIO : result;
}

/* What was lost is lost: no other process may promise that it is on the disk. */
static void test_a_lost_write_is_not_forgotten(void **state)
{
    struct disk_bench *bench = *state;

    disk_bench_start(bench, engines[0], BENCH_ALL_FEATURES, 1);
    bench->block->file.fault = fail_sync;
    assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
    move(bench);
    assert_null(bench->block->file.fault);
    assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
}

static void test_another_disk_is_refused(void **state)
{
    struct disk_bench *bench = *state;
    struct saved saved;

    disk_bench_start(bench, engines[0], BENCH_ALL_FEATURES, 1);
    device_save(bench->driver.device, &saved);
    exchange(bench, ",queues=2,ro");
    assert_int_equal(load_error(bench, &saved, "features that this disk does not offer"),
                     -ENOTSUP);
    exchange(bench, ",queues=2,block-size=4096");
    assert_int_equal(load_error(bench, &saved, "the disk's block size"), -EINVAL);
    exchange(bench, "");
    assert_int_equal(load_error(bench, &saved, "the number of queues"), -EINVAL);
    exchange(bench, ",queues=2,rate=1M");
    assert_int_equal(load_error(bench, &saved, "whether there is a rate limit"), -EINVAL);
    assert_int_equal(ftruncate(bench->fd, (BENCH_SECTORS - 1) * 512), 0);
    exchange(bench, ",queues=2");
    assert_int_equal(load_error(bench, &saved, "had 1048576 when the VM was saved"), -EINVAL);
    saved_release(&saved);
}

/* A file that grew is as large as the guest knows it, until somebody looks. */
static void test_a_larger_disk_is_told_later(void **state)
{
    struct disk_bench *bench = *state;
    struct block_config config;

    disk_bench_start(bench, engines[0], BENCH_ALL_FEATURES, 1);
    assert_int_equal(ftruncate(bench->fd, (BENCH_SECTORS + 8) * 512), 0);
    move(bench);
    fake_driver_config(&bench->driver, 0, &config, BLOCK_CONFIG_SIZE);
    assert_int_equal(config.capacity, BENCH_SECTORS);
    assert_int_equal(disk_bench_request(bench, BLK_IN, BENCH_SECTORS, 512, NULL), BLK_IOERR);
    block_class.refresh(&bench->block->virtio);
    assert_int_equal(disk_bench_request(bench, BLK_IN, BENCH_SECTORS, 512, NULL), BLK_OK);
}

/* What is on a temporary overlay ends with the VM: a snapshot would be of a guest whose disk is gone. */
static void test_a_temporary_overlay_is_not_saved(void **state)
{
    struct disk_bench *bench = *state;
    struct error error = ERROR_INIT;
    struct saved saved;
    char overlay[80], settings[96];

    disk_bench_start(bench, ",overlay=tmp", BENCH_ALL_FEATURES, 1);
    assert_int_equal(device_try_save(bench->driver.device, &saved, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "overlay=tmp"));
    assert_non_null(strstr(error.message, bench->path));
    assert_non_null(strstr(error.message, ",overlay=FILE"));
    saved_release(&saved);
    /* It goes on as if nobody had asked. */
    assert_int_equal(disk_bench_request(bench, BLK_OUT, 3, 512, NULL), BLK_OK);

    snprintf(overlay, sizeof(overlay), "%s.overlay", bench->path);
    snprintf(settings, sizeof(settings), ",overlay=%s", overlay);
    exchange(bench, settings);
    device_save(bench->driver.device, &saved);
    saved_release(&saved);
    assert_int_equal(unlink(overlay), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(test_requests_go_on_by_uring),
        DISK_TEST(test_requests_go_on_by_threads),
        DISK_TEST(test_saving_waits_for_the_host),
        DISK_TEST(test_the_mode_of_the_cache_stays),
        DISK_TEST(test_a_lost_write_is_not_forgotten),
        DISK_TEST(test_another_disk_is_refused),
        DISK_TEST(test_a_larger_disk_is_told_later),
        DISK_TEST(test_a_temporary_overlay_is_not_saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
