/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that share an image, each with an overlay of its own. */
#include "tests/support/disk_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/backend/disk_overlay.h"
#include "devices/registry.h"
#include "tests/support/saved.h"
#include "vmm/cleanup.h"

#define ROUNDS 400
#define BATCH 12
#define SHARE (BENCH_SECTORS / BATCH)
#define DISK_BYTES (BENCH_SECTORS * 512)

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

/* The bench's disk is the image. */
struct world {
    struct disk_bench bench;
    char overlay[80];
    uint8_t *model; /* what the guest must see */
    uint64_t random;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    disk_bench_init(&world->bench, BENCH_SECTORS);
    snprintf(world->overlay, sizeof(world->overlay), "%s.ovl", world->bench.path);
    world->model = malloc(DISK_BYTES);
    for (uint64_t i = 0; i < DISK_BYTES; i++)
        world->model[i] = disk_bench_byte(i);
    world->random = 7;
    reflinks = false;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    disk_bench_release(&world->bench);
    unlink(world->overlay);
    free(world->model);
    free(world);
    return 0;
}

static void start(struct world *world, const char *where, const char *settings)
{
    char text[192];

    snprintf(text, sizeof(text), ",overlay=%s%s", where, settings);
    disk_bench_start(&world->bench, text, BENCH_ALL_FEATURES, 1);
}

/* The VM is over, in good order. */
static void stop(struct world *world)
{
    fake_driver_destroy(&world->bench.driver);
    block_class.release(world->bench.options);
    world->bench.options = NULL;
    world->bench.block = NULL;
}

static void assert_image_is_as_it_was(struct world *world)
{
    uint8_t *bytes = malloc(DISK_BYTES);

    assert_int_equal(pread(world->bench.fd, bytes, DISK_BYTES, 0), DISK_BYTES);
    for (uint64_t i = 0; i < DISK_BYTES; i++)
        if (bytes[i] != disk_bench_byte(i))
            fail_msg("byte %llu of the image was written", (unsigned long long)i);
    free(bytes);
}

static void assert_disk_is_the_model(struct world *world)
{
    for (uint32_t sector = 0; sector < BENCH_SECTORS; sector += 256) {
        assert_int_equal(disk_bench_request(&world->bench, BLK_IN, sector, 256 * 512, NULL),
                         BLK_OK);
        assert_memory_equal(disk_bench_data(&world->bench), world->model + sector * 512,
                            256 * 512);
    }
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
        world->bench.block = (struct block *)virtio_mmio_device(world->bench.driver.device);
    }
    assert_disk_is_the_model(world);
}

/* ---- sharing -------------------------------------------------------------- */

static int open_disk(struct world *world, struct disk_file *file, const char *overlay,
                     struct error *error)
{
    const struct disk_file_options options = {
        .path = world->bench.path, .overlay = overlay, .log = &world->bench.fixture.log,
    };

    return disk_file_open(file, &options, error);
}

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

/* ---- what a flush promises ------------------------------------------------ */

/* As the host finds it after a crash: of the map, what the last flush wrote. */
static void test_the_map_is_written_by_the_flush(void **state)
{
    struct world *world = *state;
    uint8_t bit = 0;
    int fd;

    start(world, world->overlay, "");
    fd = open(world->overlay, O_RDONLY | O_CLOEXEC);
    memset(disk_bench_data(&world->bench), 0x11, 512);
    assert_int_equal(disk_bench_request(&world->bench, BLK_OUT, 9, 512, NULL), BLK_OK);
    assert_int_equal(pread(fd, &bit, 1, 4096 + 1), 1);
    assert_int_equal(bit, 0);
    assert_int_equal(disk_bench_request(&world->bench, BLK_FLUSH, 0, 0, NULL), BLK_OK);
    assert_int_equal(pread(fd, &bit, 1, 4096 + 1), 1);
    assert_int_equal(bit, 2);
    close(fd);
}

static int syncs, order_broken;
static struct world *watched;

/* Between the two syncs of a flush, and not before, the map is in the file. */
static int64_t watch(void *context, const struct disk_step *step, int64_t result)
{
    uint8_t bit = 0;
    int fd;

    (void)context;
    if (step->call != DISK_CALL_SYNC)
        return result;
    fd = open(watched->overlay, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, &bit, 1, 4096) != 1 || bit != (syncs > 0))
        order_broken++;
    close(fd);
    syncs++;
    return result;
}

static void test_the_map_follows_the_sectors(void **state)
{
    struct world *world = *state;

    watched = world;
    syncs = order_broken = 0;
    start(world, world->overlay, ",engine=sync");
    world->bench.block->file.fault = watch;
    assert_int_equal(disk_bench_request(&world->bench, BLK_OUT, 0, 512, NULL), BLK_OK);
    assert_int_equal(disk_bench_request(&world->bench, BLK_FLUSH, 0, 0, NULL), BLK_OK);
    assert_int_equal(syncs, 2);
    assert_int_equal(order_broken, 0);
    /* Without anything new, one does. */
    assert_int_equal(disk_bench_request(&world->bench, BLK_FLUSH, 0, 0, NULL), BLK_OK);
    assert_int_equal(syncs, 3);
}

static void test_a_write_through_disk_has_its_map_at_once(void **state)
{
    struct world *world = *state;
    uint8_t writeback = 0, bit = 0;
    int fd;

    start(world, world->overlay, "");
    device_write(world->bench.driver.device, VIRTIO_MMIO_CONFIG + 32, &writeback, 1);
    assert_int_equal(disk_bench_request(&world->bench, BLK_OUT, 0, 512, NULL), BLK_OK);
    fd = open(world->overlay, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, &bit, 1, 4096), 1);
    assert_int_equal(bit, 1);
    close(fd);
}

/* ---- faults --------------------------------------------------------------- */

/* The host has room for a part of it: what failed is as it was, and told. */
static void no_room(struct world *world, const char *engine)
{
    struct rlimit limit, before;
    unsigned int refused = 0;

    signal(SIGXFSZ, SIG_IGN);
    start(world, world->overlay, engine);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 8192 + 100 * 512 + 256; /* amid a sector of the overlay */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (uint32_t sector = 0; sector < 200; sector += 10) {
        uint8_t status;

        memset(disk_bench_data(&world->bench), 0x77, 10 * 512);
        status = disk_bench_request(&world->bench, BLK_OUT, sector, 10 * 512, NULL);
        assert_int_equal(status, sector < 100 ? BLK_OK : BLK_IOERR);
        refused += status == BLK_IOERR;
        if (status == BLK_OK)
            memset(world->model + sector * 512, 0x77, 10 * 512);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(refused, 10);
    assert_disk_is_the_model(world);
    memset(disk_bench_data(&world->bench), 0x78, 10 * 512);
    assert_int_equal(disk_bench_request(&world->bench, BLK_OUT, 150, 10 * 512, NULL), BLK_OK);
    memset(world->model + 150 * 512, 0x78, 10 * 512);
    assert_disk_is_the_model(world);
    assert_image_is_as_it_was(world);
}

static void test_no_room_by_uring(void **state)
{
    no_room(*state, ",engine=uring");
}

static void test_no_room_by_threads(void **state)
{
    no_room(*state, ",engine=sync");
}

/* The sectors have room and their map has none: the flush says so. */
static void test_no_room_for_the_map(void **state)
{
    struct world *world = *state;
    struct rlimit limit, before;

    signal(SIGXFSZ, SIG_IGN);
    start(world, world->overlay, "");
    assert_int_equal(disk_bench_request(&world->bench, BLK_OUT, 100, 512, NULL), BLK_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 4096 + 100; /* amid the map's first page */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(disk_bench_request(&world->bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
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

/* ---- altered overlays ------------------------------------------------------- */

struct altered {
    const char *what;
    uint64_t at;
    uint8_t width;
    uint64_t value;
    const char *why;
};

static void test_altered_overlays_are_refused(void **state)
{
    static const struct altered cases[] = {
        { "no magic", 0, 8, 0, "is none" },
        { "another magic", 3, 1, 'X', "is none" },
        { "version 0", 8, 4, 0, "has version 0" },
        { "version 2", 8, 4, 2, "has version 2" },
        { "other sectors", 12, 4, 4096, "its header is damaged" },
        { "a smaller disk", 16, 8, 512, "belongs to a disk of 512 bytes" },
        { "no disk", 16, 8, 0, "belongs to a disk of 0 bytes" },
        { "the largest disk", 16, 8, UINT64_MAX, "belongs to a disk of" },
        { "another second", 24, 8, 1, "was changed after" },
        { "another nanosecond", 32, 4, 1000000001, "was changed after" },
        { "the reserved bytes", 36, 4, 1, "its header is damaged" },
        { "a sector beyond the end", 4096 + BENCH_SECTORS / 8, 1, 1, "its map is damaged" },
        { "the last bit of the map", 8191, 1, 0x80, "its map is damaged" },
    };
    struct world *world = *state;
    struct disk_file file;
    struct error error = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        int fd;

        unlink(world->overlay);
        assert_int_equal(open_disk(world, &file, world->overlay, &error), 0);
        disk_file_close(&file);
        fd = open(world->overlay, O_RDWR | O_CLOEXEC);
        assert_int_equal(pwrite(fd, &cases[i].value, cases[i].width, (off_t)cases[i].at),
                         cases[i].width);
        close(fd);
        error = (struct error)ERROR_INIT;
        if (open_disk(world, &file, world->overlay, &error) == 0)
            fail_msg("%s: was opened", cases[i].what);
        if (!strstr(error.message, cases[i].why) || strchr(error.message, '\n'))
            fail_msg("%s: %s", cases[i].what, error.message);
    }
}

static void test_cut_overlays_are_refused(void **state)
{
    static const off_t lengths[] = { 0, 1, 39, 40, 4095, 4096, 8191, 8192, 8192 + DISK_BYTES - 1,
                                     8192 + DISK_BYTES + 1 };
    struct world *world = *state;
    struct disk_file file;
    struct error error = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        unlink(world->overlay);
        assert_int_equal(open_disk(world, &file, world->overlay, &error), 0);
        disk_file_close(&file);
        assert_int_equal(truncate(world->overlay, lengths[i]), 0);
        error = (struct error)ERROR_INIT;
        assert_int_equal(open_disk(world, &file, world->overlay, &error), -EINVAL);
        assert_true(strstr(error.message, "is none") || strstr(error.message, "was cut"));
    }
}

/* Cut while it is used: the guest gets errors, the monitor no signal. */
static void test_an_overlay_cut_under_a_running_vm(void **state)
{
    struct world *world = *state;

    start(world, world->overlay, "");
    assert_int_equal(disk_bench_request(&world->bench, BLK_OUT, 100, 512, NULL), BLK_OK);
    assert_int_equal(truncate(world->overlay, 10000), 0);
    assert_int_equal(disk_bench_request(&world->bench, BLK_IN, 100, 512, NULL), BLK_IOERR);
    assert_int_equal(disk_bench_request(&world->bench, BLK_IN, 101, 512, NULL), BLK_OK);
}

static void test_a_changed_image_is_refused(void **state)
{
    struct world *world = *state;
    struct disk_file file;
    struct error error = ERROR_INIT;
    const struct timespec times[2] = { { .tv_sec = 5 }, { .tv_sec = 5 } };

    assert_int_equal(open_disk(world, &file, world->overlay, &error), 0);
    disk_file_close(&file);
    assert_int_equal(futimens(world->bench.fd, times), 0);
    assert_int_equal(open_disk(world, &file, world->overlay, &error), -ESTALE);
    assert_int_equal(ftruncate(world->bench.fd, DISK_BYTES - 512), 0);
    assert_int_equal(open_disk(world, &file, world->overlay, &error), -EINVAL);
    assert_non_null(strstr(error.message, "belongs to a disk of"));
}

static void test_options(void **state)
{
    static const struct { const char *text, *why; } wrong[] = {
        { "x,overlay=y,ro", "exclude each other" },
        { "x,overlay=y,direct", "exclude each other" },
        { "x,overlay=", "give it a value" },
        { "x,overlay=a,overlay=b", "twice" },
    };
    struct error error = ERROR_INIT;
    void *one = NULL, *two = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_true(block_class.parse(wrong[i].text, &one, &error) < 0);
        if (!strstr(error.message, wrong[i].why))
            fail_msg("%s", error.message);
    }
    assert_int_equal(block_class.parse("/x,overlay=/y", &one, &error), 0);
    assert_int_equal(block_class.parse("/x,overlay=/z", &two, &error), 0);
    assert_int_equal(block_class.conflict(one, two, &error), 0);
    assert_int_equal(block_class.conflict(one, one, &error), -EINVAL);
    block_class.release(two);
    assert_int_equal(block_class.parse("/x", &two, &error), 0);
    assert_int_equal(block_class.conflict(one, two, &error), -EINVAL);
    block_class.release(one);
    block_class.release(two);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

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
        WITH_WORLD(test_the_map_is_written_by_the_flush),
        WITH_WORLD(test_the_map_follows_the_sectors),
        WITH_WORLD(test_a_write_through_disk_has_its_map_at_once),
        WITH_WORLD(test_no_room_by_uring),
        WITH_WORLD(test_no_room_by_threads),
        WITH_WORLD(test_transfers_that_end_amid_sectors),
        WITH_WORLD(test_altered_overlays_are_refused),
        WITH_WORLD(test_no_room_for_the_map),
        WITH_WORLD(test_cut_overlays_are_refused),
        WITH_WORLD(test_an_overlay_cut_under_a_running_vm),
        WITH_WORLD(test_a_changed_image_is_refused),
        WITH_WORLD(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
