/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that share an image, each with an overlay of its own. */
#include "tests/support/overlay_bench.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/virtio/block.h"
#include "tests/support/saved.h"

#define ROUNDS 400
#define BATCH 12
#define SHARE (BENCH_SECTORS / BATCH)

/* ---- a file system with reflinks, or without ------------------------------- */

static bool reflinks;

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;
    loff_t from = 0, to = 0;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (request != FICLONE)
        return __real_ioctl(fd, request, argument);
    if (!reflinks) {
        errno = EOPNOTSUPP;
        return -1;
    }
    while (copy_file_range((int)(intptr_t)argument, &from, fd, &to, 1 << 20, 0) > 0)
        continue;
    return 0;
}

static int set_up_without_reflinks(void **state)
{
    reflinks = false;
    return set_up(state);
}

/* ---- a mix of requests, against a plain array --------------------------- */

struct planned {
    uint32_t type, count, offset;
    uint64_t sector;
    uint8_t fill;
};

static uint32_t below(struct world *world, uint32_t limit)
{
    return (uint32_t)(next_random(&world->random) % limit);
}

static void send_one(struct world *world, unsigned int place, struct planned *planned)
{
    static const uint32_t types[] = { BLK_IN, BLK_OUT, BLK_IN, BLK_OUT, BLK_DISCARD, BLK_ZEROES };
    uint8_t *data = disk_bench_data(&world->bench) + place * 40 * 512;
    struct bench_range range;
    uint32_t length;

    *planned = (struct planned){
        .type = types[below(world, 6)], .count = 1 + below(world, 40),
        .offset = place * 40 * 512, .fill = (uint8_t)below(world, 256),
    };
    planned->sector = place * SHARE + below(world, SHARE - planned->count);
    range = (struct bench_range){ planned->sector, planned->count,
                                  planned->type == BLK_ZEROES ? planned->fill & 1 : 0 };
    length = planned->count * 512;
    if (planned->type == BLK_DISCARD || planned->type == BLK_ZEROES) {
        memcpy(data, &range, sizeof(range));
        length = sizeof(range);
    } else {
        memset(data, planned->type == BLK_OUT ? planned->fill : 0xee, length);
    }
    disk_bench_add(&world->bench, 0, place, planned->type, planned->sector, planned->offset,
                   length);
}

static void check_one(struct world *world, unsigned int place, const struct planned *planned)
{
    uint8_t *bytes = world->model + planned->sector * 512;
    uint32_t length = planned->count * 512;

    assert_int_equal(disk_bench_status(&world->bench, place), BLK_OK);
    if (planned->type == BLK_IN)
        assert_memory_equal(disk_bench_data(&world->bench) + planned->offset, bytes, length);
    else
        memset(bytes, planned->type == BLK_OUT ? planned->fill : 0, length);
}

static void mix(struct world *world)
{
    struct planned planned[BATCH];
    struct virtq_used_element used;

    for (int round = 0; round < ROUNDS; round++) {
        unsigned int count = 1 + below(world, BATCH);

        for (unsigned int i = 0; i < count; i++)
            send_one(world, i, &planned[i]);
        fake_driver_write(&world->bench.driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        for (unsigned int i = 0; i < count; i++)
            assert_true(fake_driver_wait(&world->bench.driver, 0, &used));
        for (unsigned int i = 0; i < count; i++)
            check_one(world, i, &planned[i]);
        if (round % 50 == 49)
            assert_int_equal(disk_bench_request(&world->bench, BLK_FLUSH, 0, 0, NULL), BLK_OK);
    }
    assert_disk_is_the_model(world);
    assert_image_is_as_it_was(world);
}

static void mix_and_open_again(struct world *world, const char *settings)
{
    start(world, world->overlay, settings);
    mix(world);
    stop(world);
    start(world, world->overlay, settings);
    assert_disk_is_the_model(world);
    mix(world);
}

static void test_a_mix_by_uring(void **state)
{
    mix_and_open_again(*state, ",engine=uring");
}

static void test_a_mix_by_threads(void **state)
{
    mix_and_open_again(*state, ",engine=sync");
}

static void test_a_mix_on_a_temporary_overlay(void **state)
{
    struct world *world = *state;

    start(world, "tmp", "");
    assert_non_null(world->bench.block->file.overlay);
    mix(world);
}

static void test_a_mix_on_a_reflink(void **state)
{
    struct world *world = *state;

    reflinks = true;
    start(world, "tmp", "");
    assert_null(world->bench.block->file.overlay);
    mix(world);
}

/* Where a descriptor was opened elsewhere, its path may lead to another file system. */
static void test_a_mix_on_a_descriptor(void **state)
{
    struct world *world = *state;
    char settings[32];

    reflinks = true;
    snprintf(settings, sizeof(settings), ",fd=%d", world->bench.fd);
    start(world, "tmp", settings);
    assert_non_null(world->bench.block->file.overlay);
    mix(world);
}

static void test_a_mix_moved_between_processes(void **state)
{
    struct world *world = *state;

    start(world, world->overlay, ",engine=sync");
    for (int i = 0; i < 3; i++) {
        mix(world);
        fake_driver_move(&world->bench.driver, &block_class, world->bench.options);
        world->bench.block = (struct block *)virtio_device_of(world->bench.driver.device);
    }
    assert_disk_is_the_model(world);
}

static int64_t few_bytes(void *context, const struct disk_step *step, int64_t result)
{
    (void)context;
    return step->count > 0 && result > 1300 ? 1300 : result;
}

/* The host moves fewer bytes than asked, and no whole sectors. */
static void test_transfers_that_end_amid_sectors(void **state)
{
    struct world *world = *state;

    start(world, world->overlay, ",engine=sync");
    world->bench.block->file.fault = few_bytes;
    mix(world);
}

/* ---- sharing -------------------------------------------------------------- */

static void test_many_share_an_image_and_nobody_writes_it(void **state)
{
    struct world *world = *state;
    struct error error = ERROR_INIT;
    struct disk_file files[4], plain;
    char path[96];

    start(world, world->overlay, "");
    for (int i = 0; i < 4; i++)
        assert_int_equal(open_disk(world, &files[i], "tmp", &error), 0);
    assert_int_equal(open_disk(world, &plain, world->overlay, &error), -EBUSY);
    assert_non_null(strstr(error.message, "in use by another process"));
    assert_int_equal(open_disk(world, &plain, NULL, &error), -EBUSY);
    for (int i = 0; i < 4; i++)
        disk_file_close(&files[i]);
    /* The overlay is no image, and the image no overlay. */
    snprintf(path, sizeof(path), "%s.2", world->overlay);
    stop(world);
    assert_int_equal(open_disk(world, &plain, path, &error), 0);
    disk_file_close(&plain);
    unlink(path);
    assert_int_equal(open_disk(world, &plain, world->bench.path, &error), -EBUSY);
}

static void test_space_is_taken_by_what_is_written(void **state)
{
    struct world *world = *state;
    struct stat status;

    start(world, world->overlay, "");
    memset(disk_bench_data(&world->bench), 0x11, 4096);
    assert_int_equal(disk_bench_request(&world->bench, BLK_OUT, 800, 4096, NULL), BLK_OK);
    assert_int_equal(disk_bench_request(&world->bench, BLK_FLUSH, 0, 0, NULL), BLK_OK);
    assert_int_equal(stat(world->overlay, &status), 0);
    assert_int_equal(status.st_size, 4096 + 4096 + DISK_BYTES);
    assert_in_range(status.st_blocks, 1, 64);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up_without_reflinks, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_a_mix_by_uring),
        WITH_WORLD(test_a_mix_by_threads),
        WITH_WORLD(test_a_mix_on_a_temporary_overlay),
        WITH_WORLD(test_a_mix_on_a_reflink),
        WITH_WORLD(test_a_mix_on_a_descriptor),
        WITH_WORLD(test_a_mix_moved_between_processes),
        WITH_WORLD(test_many_share_an_image_and_nobody_writes_it),
        WITH_WORLD(test_space_is_taken_by_what_is_written),
        WITH_WORLD(test_transfers_that_end_amid_sectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
