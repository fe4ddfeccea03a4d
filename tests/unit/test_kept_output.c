/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a detached job's output: bounded, whole at its end, and told of where it is not. */
#include "vmm/supervisor/kept_output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "tests/support/own_directory.h"
#include "vmm/base/cleanup.h"

#define LIMIT (64u << 10)
#define CHUNK 1000u
#define TOTAL (8u << 20)

static bool no_holes;

int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
    if (!no_holes)
        return __real_fallocate(fd, mode, offset, length);
    errno = EOPNOTSUPP;
    return -1;
}

static struct store_entry open_entry(void)
{
    struct store_entry entry = STORE_ENTRY_INIT;

    strcpy(entry.name, "x");
    entry.folder = open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(entry.folder >= 0);
    return entry;
}

/* The byte at each place; none is 0, as a hole's are. */
static uint8_t byte_at(uint64_t place)
{
    return (uint8_t)(1 + place * 7 / 5 % 255);
}

static void write_on(int fd, uint64_t *place, uint64_t length)
{
    uint8_t bytes[CHUNK];

    for (uint64_t i = 0; i < length; i++)
        bytes[i] = byte_at(*place + i);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    *place += length;
}

static uint64_t taken(int fd)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

/* All that a reader gets, each byte the one of its place; returns how many were missing. */
static uint64_t read_on(struct kept_reader *reader, uint64_t *place)
{
    uint64_t missing, all = 0;
    uint8_t bytes[5000];
    ssize_t count;

    while ((count = kept_reader_read(reader, bytes, sizeof(bytes), &missing)) > 0) {
        all += missing;
        *place += missing;
        for (ssize_t i = 0; i < count; i++)
            if (bytes[i] != byte_at(*place + (uint64_t)i))
                fail_msg("byte %llu is %u", (unsigned long long)*place + (unsigned long long)i, bytes[i]);
        *place += (uint64_t)count;
    }
    assert_int_equal(count, 0);
    return all;
}

static void test_bound(void **state)
{
    struct store_entry entry = open_entry();
    struct kept_output kept = KEPT_OUTPUT_INIT;
    struct kept_reader reader, follower;
    struct error error = ERROR_INIT;
    uint64_t place = 0, read_to = 0, followed_to = 0, missed = 0;
    cleanup_fd int fd = store_open_file(&entry, "stderr", &error), other = store_open_file(&entry, "stdout", &error);

    (void)state;
    assert_int_equal(kept_output_open(&kept, &entry, LIMIT, &error), 0);
    assert_int_equal(kept_reader_open(&follower, &entry, KEPT_STDERR), 0);
    while (place < TOTAL) {
        write_on(fd, &place, CHUNK);
        kept_output_wrote(&kept, KEPT_STDERR, fd);
        assert_true(taken(fd) <= LIMIT + LIMIT / 2);
        if (place % (300 * CHUNK) == 0)
            missed += read_on(&follower, &followed_to);
        if (place == 10 * CHUNK)
            assert_int_equal(missed, 0);
    }
    missed += read_on(&follower, &followed_to);
    assert_int_equal(followed_to, place);
    assert_true(missed > 0);
    assert_int_equal(kept_reader_open(&reader, &entry, KEPT_STDERR), 0);
    missed = read_on(&reader, &read_to);
    assert_int_equal(read_to, place);
    assert_true(place - missed >= LIMIT && place - missed <= LIMIT + LIMIT / 2);
    kept_reader_close(&reader);
    kept_reader_close(&follower);
    /* The other file has lost nothing. */
    place = read_to = 0;
    write_on(other, &place, CHUNK);
    kept_output_wrote(&kept, KEPT_STDOUT, other);
    assert_int_equal(kept_reader_open(&reader, &entry, KEPT_STDOUT), 0);
    assert_int_equal(read_on(&reader, &read_to), 0);
    assert_int_equal(read_to, CHUNK);
    kept_reader_close(&reader);
    kept_output_close(&kept);
    store_close(&entry);
}

/* Where there are no holes it begins anew. */
static void test_without_holes(void **state)
{
    struct store_entry entry = open_entry();
    struct kept_output kept = KEPT_OUTPUT_INIT;
    struct kept_reader reader;
    struct error error = ERROR_INIT;
    uint64_t place = 0, missing = 0;
    uint8_t bytes[CHUNK];
    cleanup_fd int fd = store_open_file(&entry, "stdout", &error);

    (void)state;
    assert_int_equal(kept_output_open(&kept, &entry, LIMIT, &error), 0);
    assert_int_equal(kept_reader_open(&reader, &entry, KEPT_STDOUT), 0);
    no_holes = true;
    write_on(fd, &place, CHUNK);
    assert_int_equal(kept_reader_read(&reader, bytes, sizeof(bytes), &missing), CHUNK);
    assert_int_equal(missing, 0);
    while (place < TOTAL) {
        write_on(fd, &place, CHUNK);
        kept_output_wrote(&kept, KEPT_STDOUT, fd);
        assert_true(taken(fd) <= LIMIT + LIMIT / 2);
    }
    assert_int_equal(ftruncate(fd, 10), 0); /* as if just begun */
    assert_int_equal(kept_reader_read(&reader, bytes, sizeof(bytes), &missing), 10);
    assert_true(missing > 0);
    no_holes = false;
    kept_reader_close(&reader);
    kept_output_close(&kept);
    store_close(&entry);
}

/* A reader beside a writer sees no byte that was never written. */
static void test_side_by_side(void **state)
{
    struct store_entry entry = open_entry();
    struct kept_reader reader;
    struct error error = ERROR_INIT;
    uint64_t place = 0;
    cleanup_fd int fd = store_open_file(&entry, "stdout", &error);
    int status = -1;
    pid_t writer;

    (void)state;
    assert_int_equal(kept_reader_open(&reader, &entry, KEPT_STDOUT), 0);
    writer = fork();
    if (writer == 0) {
        struct kept_output kept;
        uint64_t written = 0;

        if (kept_output_open(&kept, &entry, LIMIT, &error) < 0)
            _exit(1);
        while (written < 8 * TOTAL) {
            write_on(fd, &written, CHUNK);
            kept_output_wrote(&kept, KEPT_STDOUT, fd);
        }
        _exit(0);
    }
    do
        read_on(&reader, &place);
    while (waitpid(writer, &status, WNOHANG) == 0);
    read_on(&reader, &place);
    assert_int_equal(status, 0);
    assert_true(place >= 8 * TOTAL);
    kept_reader_close(&reader);
    store_close(&entry);
}

/* A VM's entry has no note, and loses nothing; a terminal is not kept. */
static void test_what_is_not_kept(void **state)
{
    struct store_entry entry = open_entry();
    struct kept_output none = KEPT_OUTPUT_INIT, kept;
    struct kept_reader reader;
    struct error error = ERROR_INIT;
    uint64_t place = 0, read_to = 0;
    cleanup_fd int fd = store_open_file(&entry, "stdout", &error), null = open("/dev/null", O_WRONLY);

    (void)state;
    while (place < 2 * LIMIT) {
        write_on(fd, &place, CHUNK);
        kept_output_wrote(&none, KEPT_STDOUT, fd);
    }
    assert_int_equal(kept_reader_open(&reader, &entry, KEPT_STDOUT), 0);
    assert_int_equal(read_on(&reader, &read_to), 0);
    assert_int_equal(read_to, place);
    kept_reader_close(&reader);
    assert_int_equal(kept_output_open(&kept, &entry, LIMIT, &error), 0);
    kept_output_wrote(&kept, KEPT_STDOUT, null);
    kept_output_close(&kept);
    kept_output_close(&none);
    assert_int_equal(kept_reader_open(&reader, &entry, KEPT_STDERR), -ENOENT);
    store_close(&entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_holes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_side_by_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_kept, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("kept output", tests, NULL, NULL);
}
