/* SPDX-License-Identifier: Apache-2.0 */
/* What an overlay keeps through crashes and full disks, and those that were altered. */
#include "tests/support/overlay_bench.h"
#include "tests/support/device_options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

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
        assert_true(device_options_parse("disk", wrong[i].text, &one, &error) < 0);
        if (!strstr(error.message, wrong[i].why))
            fail_msg("%s", error.message);
    }
    assert_int_equal(device_options_parse("disk", "/x,overlay=/y", &one, &error), 0);
    assert_int_equal(device_options_parse("disk", "/x,overlay=/z", &two, &error), 0);
    assert_int_equal(device_options_conflict("disk", one, two, &error), 0);
    assert_int_equal(device_options_conflict("disk", one, one, &error), -EINVAL);
    device_options_release(two);
    assert_int_equal(device_options_parse("disk", "/x", &two, &error), 0);
    assert_int_equal(device_options_conflict("disk", one, two, &error), -EINVAL);
    device_options_release(one);
    device_options_release(two);
    /* One descriptor for two disks: the host would report a lost write to one of them. */
    assert_int_equal(device_options_parse("disk", "a,fd=7", &one, &error), 0);
    assert_int_equal(device_options_parse("disk", "b,fd=7,ro", &two, &error), 0);
    assert_int_equal(device_options_conflict("disk", one, two, &error), -EINVAL);
    assert_int_equal(device_options_conflict("disk", two, two, &error), 0);
    device_options_release(two);
    assert_int_equal(device_options_parse("disk", "b,fd=8", &two, &error), 0);
    assert_int_equal(device_options_conflict("disk", one, two, &error), 0);
    device_options_release(one);
    device_options_release(two);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_the_map_is_written_by_the_flush),
        WITH_WORLD(test_the_map_follows_the_sectors),
        WITH_WORLD(test_a_write_through_disk_has_its_map_at_once),
        WITH_WORLD(test_no_room_by_uring),
        WITH_WORLD(test_no_room_by_threads),
        WITH_WORLD(test_altered_overlays_are_refused),
        WITH_WORLD(test_no_room_for_the_map),
        WITH_WORLD(test_cut_overlays_are_refused),
        WITH_WORLD(test_an_overlay_cut_under_a_running_vm),
        WITH_WORLD(test_a_changed_image_is_refused),
        WITH_WORLD(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
