/* SPDX-License-Identifier: Apache-2.0 */
/* Opening disks: what is taken, what is refused and in which words; options. */
#include "tests/support/disk_bench.h"
#include "tests/support/device_options.h"
#include "vmm/base/host_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>


static char folder[] = "/tmp/mote-disks-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

struct place {
    char path[64];
    struct log log;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    snprintf(place->path, sizeof(place->path), "%s/disk", folder);
    place->log = memory_log(LOG_INFO);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    unlink(place->path);
    rmdir(place->path);
    close(place->log.fd);
    free(place);
    return 0;
}

static void make_file(const struct place *place, off_t size)
{
    int fd = open(place->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

static int open_disk(struct place *place, struct disk_file *file, bool read_only,
                     uint32_t block_size, struct error *error)
{
    struct block_options options = {
        .fd = -1,
        .path = place->path, .read_only = read_only, .block_size = block_size,
    };

    return host_side_open_file(file, &options, &place->log, error);
}

static void assert_refused(struct place *place, bool read_only, const char *why)
{
    struct disk_file file;
    struct error error = ERROR_INIT;

    assert_true(open_disk(place, &file, read_only, 0, &error) < 0);
    assert_int_equal(file.fd, -1);
    assert_int_equal(strncmp(error.message, "disk ", 5), 0);
    if (!strstr(error.message, why))
        fail_msg("'%s' lacks '%s'", error.message, why);
}

static void test_a_file_is_taken(void **state)
{
    struct place *place = *state;
    struct disk_file file;
    struct error error = ERROR_INIT;

    make_file(place, 1 << 20);
    assert_int_equal(open_disk(place, &file, false, 0, &error), 0);
    assert_int_equal(file.size, 1 << 20);
    assert_int_equal(file.block_size, 512);
    assert_int_equal(file.offset_alignment, 1);
    assert_true(file.can_discard);
    assert_false(file.block_device);
    assert_int_equal(disk_file_refresh(&file), 0);
    disk_file_close(&file);
    disk_file_close(&file);
}

static void test_what_is_refused(void **state)
{
    struct place *place = *state;
    struct disk_file file;
    struct error error = ERROR_INIT;

    assert_refused(place, false, "does not exist");
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_refused(place, false, "is a directory");
    rmdir(place->path);
    assert_int_equal(mkfifo(place->path, 0600), 0);
    assert_refused(place, true, "neither a file nor a block device");
    unlink(place->path);
    make_file(place, 0);
    assert_refused(place, false, "is empty");
    make_file(place, 500);
    assert_refused(place, false, "500 bytes make no block of 512");
    make_file(place, 512 * 7);
    assert_true(open_disk(place, &file, false, 4096, &error) < 0);
    assert_non_null(strstr(error.message, "make no block of 4096"));
    assert_int_equal(symlink("nowhere", "/tmp/mote-disks-dangling"), 0);
    strcpy(place->path, "/tmp/mote-disks-dangling");
    assert_refused(place, true, "does not exist");
}

static void test_one_writer_or_many_readers(void **state)
{
    struct place *place = *state;
    struct disk_file first, second;
    struct error error = ERROR_INIT;

    make_file(place, 1 << 20);
    assert_int_equal(open_disk(place, &first, false, 0, &error), 0);
    assert_refused(place, false, "is in use by another process");
    assert_refused(place, true, "which writes to it");
    disk_file_close(&first);
    assert_int_equal(open_disk(place, &first, true, 0, &error), 0);
    assert_int_equal(open_disk(place, &second, true, 0, &error), 0);
    assert_refused(place, false, "is in use by another process");
    disk_file_close(&first);
    disk_file_close(&second);
    assert_int_equal(open_disk(place, &first, false, 0, &error), 0);
    disk_file_close(&first);
}

static void test_the_size_is_read_again(void **state)
{
    struct place *place = *state;
    struct disk_file file;
    struct error error = ERROR_INIT;

    make_file(place, 8192);
    assert_int_equal(open_disk(place, &file, false, 4096, &error), 0);
    assert_int_equal(truncate(place->path, 12288 + 4095), 0);
    assert_int_equal(disk_file_refresh(&file), 1);
    assert_int_equal(file.size, 12288);
    assert_int_equal(disk_file_refresh(&file), 0);
    assert_int_equal(truncate(place->path, 4096), 0);
    assert_int_equal(disk_file_refresh(&file), 1);
    assert_int_equal(file.size, 4096);
    /* Nothing is left: the old size stays, and requests fail one by one. */
    assert_int_equal(truncate(place->path, 100), 0);
    assert_true(disk_file_refresh(&file) < 0);
    assert_int_equal(file.size, 4096);
    disk_file_close(&file);
}

static void test_direct(void **state)
{
    struct place *place = *state;
    struct block_options options = { .path = place->path, .fd = -1, .direct = true };
    struct disk_file file;
    struct error error = ERROR_INIT;

    make_file(place, 1 << 20);
    if (host_side_open_file(&file, &options, &place->log, &error) < 0) {
        /* A file system that cannot: then it says so. */
        assert_non_null(strstr(error.message, "leave out 'direct'"));
        return;
    }
    assert_in_range(file.offset_alignment, 512, 4096);
    assert_in_range(file.memory_alignment, 1, 4096);
    assert_true(file.block_size >= file.offset_alignment);
    assert_true(fcntl(file.fd, F_GETFL) & O_DIRECT);
    disk_file_close(&file);
}

static void test_the_same_disk_by_two_names(void **state)
{
    struct place *place = *state;
    char other[80];

    make_file(place, 1 << 20);
    snprintf(other, sizeof(other), "%s/link", folder);
    assert_true(host_path_is_same(place->path, place->path));
    assert_int_equal(symlink("disk", other), 0);
    assert_true(host_path_is_same(place->path, other));
    unlink(other);
    assert_int_equal(link(place->path, other), 0);
    assert_true(host_path_is_same(other, place->path));
    unlink(other);
    assert_false(host_path_is_same(place->path, "/dev/null"));
    assert_false(host_path_is_same("/nonexistent/a", "/nonexistent/b"));
    assert_true(host_path_is_same("/nonexistent/a", "/nonexistent/a"));
}

/* ---- the option --------------------------------------------------------- */

static void test_options(void **state)
{
    struct block_options *options;
    void *parsed;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(device_options_parse("disk", "a,,b.img", &parsed, &error), 0);
    options = parsed;
    assert_string_equal(options->path, "a,b.img");
    assert_false(options->read_only);
    assert_int_equal(options->engine, DISK_ENGINE_URING);
    assert_int_equal(options->queues, 1);
    assert_int_equal(options->block_size, 0);
    device_options_release(parsed);
    assert_int_equal(device_options_parse("disk", "x,ro,direct,serial=abc,engine=sync,queues=16,"
                                       "block-size=4096,rate=10M,ops=5", &parsed, &error), 0);
    options = parsed;
    assert_true(options->read_only);
    assert_true(options->direct);
    assert_string_equal(options->serial, "abc");
    assert_int_equal(options->engine, DISK_ENGINE_SYNC);
    assert_int_equal(options->queues, 16);
    assert_int_equal(options->block_size, 4096);
    assert_int_equal(options->rate.bytes.size, 10 << 20);
    assert_int_equal(options->rate.operations.size, 5);
    device_options_release(parsed);
}

static void test_bad_options(void **state)
{
    static const char *const bad[] = {
        "", ",ro", "ro=on", "x,ro=maybe", "x,engine=fast", "x,engine", "x,queues=0", "x,queues=17",
        "x,block-size=1024", "x,block-size", "x,serial=123456789012345678901", "x,serial=",
        "ro,", "queues=2,,", "x,serial=\x01", "x,rat=1", "x,ro,ro", "x,format=qcow2", "x,rate=0",
    };
    struct error error = ERROR_INIT;
    void *parsed = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (device_options_parse("disk", bad[i], &parsed, &error) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(strncmp(error.message, "--disk", 6), 0);
    }
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* A file without a name, as one that was opened for us: only what it is open for counts. */
static void test_opened(void **state)
{
    struct place *place = *state;
    char name[] = "its name";
    struct block_options options = { .path = name, .read_only = true };
    struct disk_file file;
    struct error error = ERROR_INIT;

    options.fd = memfd_create("disk", MFD_CLOEXEC);
    assert_int_equal(ftruncate(options.fd, 4096), 0);
    assert_int_equal(host_side_open_file(&file, &options, &place->log, &error), 0);
    assert_int_equal(file.size, 4096);
    assert_true(file.fd != options.fd);
    disk_file_close(&file);
    options.read_only = false;
    assert_int_equal(host_side_open_file(&file, &options, &place->log, &error), 0);
    disk_file_close(&file);
    close(options.fd);
    make_file(place, 4096);
    options.fd = open(place->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(host_side_open_file(&file, &options, &place->log, &error), -EBADF);
    assert_non_null(strstr(error.message, "disk its name: descriptor"));
    assert_non_null(strstr(error.message, "',ro'"));
    close(options.fd);
    assert_int_equal(host_side_open_file(&file, &options, &place->log, &error), -EBADF);
    options.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(host_side_open_file(&file, &options, &place->log, &error), -EINVAL);
    close(options.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(test_a_file_is_taken),
        WITH_PLACE(test_what_is_refused),
        WITH_PLACE(test_one_writer_or_many_readers),
        WITH_PLACE(test_the_size_is_read_again),
        WITH_PLACE(test_direct),
        WITH_PLACE(test_the_same_disk_by_two_names),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test_setup_teardown(test_opened, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
