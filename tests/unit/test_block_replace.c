/* SPDX-License-Identifier: Apache-2.0 */
/* A disk's file is replaced while its driver runs: requests in flight, locks, and what goes wrong. */
#include "tests/support/disk_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/timer.h"

#define OTHER_SECTORS 64u
#define OTHER_BYTE 0x5au

struct next {
    struct faulty faulty; /* first: the other set_up() fills it in */
    char path[80];
};

static int set_up_two(void **state)
{
    struct next *next = calloc(1, sizeof(*next));
    uint8_t bytes[512];
    int fd;

    sem_init(&next->faulty.faults.released, 0, 0);
    disk_bench_init(&next->faulty.bench, BENCH_SECTORS);
    snprintf(next->path, sizeof(next->path), "%s.next", next->faulty.bench.path);
    fd = open(next->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    memset(bytes, OTHER_BYTE, sizeof(bytes));
    for (unsigned int i = 0; i < OTHER_SECTORS; i++)
        assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    close(fd);
    *state = next;
    return 0;
}

static int tear_down_two(void **state)
{
    unlink(((struct next *)*state)->path);
    return tear_down(state);
}

/* Whether another process could take PATH to write to it. */
static bool is_free(const char *path)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
    return lock.l_type == F_UNLCK;
}

/* The supervisor's half: PATH, opened for the disk, and a copy for the device's process. */
static int open_next(struct next *next, const char *path, struct block_host *fresh, struct block_host *given,
                     struct error *error)
{
    struct fake_driver *driver = &next->faulty.bench.driver;
    struct block_host present = driver->host.kept;
    int result;

    present.ring = driver->host.given.ring;
    present.slot = driver->host.kept.slot;
    result = host_disk_open_next(fresh, &present, next->faulty.bench.options, path, &next->faulty.bench.fixture.log, error);
    if (result < 0)
        return result;
    *given = *fresh;
    given->disk.fd = fcntl(fresh->disk.fd, F_DUPFD_CLOEXEC, 3);
    return 0;
}

static void settle_next(struct next *next, struct block_host *fresh, bool taken)
{
    struct fake_driver *driver = &next->faulty.bench.driver;

    driver->host.kept.ring = driver->host.given.ring;
    host_disk_settle(&driver->host.kept, fresh, taken);
    driver->host.kept.ring = NULL;
}

/* All of it, as the supervisor and its monitor do it together. */
static int replace(struct next *next, const char *path, struct error *error)
{
    struct virtio_device *virtio = &next->faulty.bench.block->virtio;
    struct block_host fresh, given;
    int result = open_next(next, path, &fresh, &given, error);

    if (result < 0)
        return result;
    pthread_mutex_lock(virtio->env.lock);
    result = virtio_block_replace(virtio, &given, path, error);
    pthread_mutex_unlock(virtio->env.lock);
    if (result < 0)
        close(given.disk.fd);
    settle_next(next, &fresh, result == 0);
    return result;
}

static uint64_t capacity(struct next *next)
{
    uint64_t sectors;

    fake_driver_config(&next->faulty.bench.driver, 0, &sectors, sizeof(sectors));
    return sectors;
}

static void assert_reads_other(struct next *next)
{
    struct disk_bench *bench = &next->faulty.bench;

    assert_int_equal(disk_bench_request(bench, BLK_IN, OTHER_SECTORS - 8, 4096, NULL), BLK_OK);
    for (unsigned int i = 0; i < 4096; i++)
        assert_int_equal(disk_bench_data(bench)[i], OTHER_BYTE);
    assert_int_equal(disk_bench_request(bench, BLK_IN, OTHER_SECTORS, 512, NULL), BLK_IOERR);
}

static void assert_reads_first(struct next *next)
{
    assert_int_equal(disk_bench_request(&next->faulty.bench, BLK_IN, 1000, 4096, NULL), BLK_OK);
    check_pattern(&next->faulty, 1000, 4096);
}

/* To and fro: the file has each slot of the ring in turn. */
static void replaced_and_back(void **state)
{
    struct next *next = *state;
    struct disk_bench *bench = &next->faulty.bench;
    struct error error = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LENGTH(engines); i++) {
        restart(&next->faulty, engines[i], BENCH_ALL_FEATURES);
        for (int round = 0; round < 3; round++) {
            assert_reads_first(next);
            assert_false(is_free(bench->path));
            fake_driver_heard(&bench->driver, FAKE_CONFIG);
            if (replace(next, next->path, &error) < 0)
                fail_msg("%s", error.message);
            assert_true(fake_driver_heard(&bench->driver, FAKE_CONFIG));
            assert_int_equal(capacity(next), OTHER_SECTORS);
            assert_reads_other(next);
            assert_true(is_free(bench->path));
            assert_false(is_free(next->path));
            memset(disk_bench_data(bench), OTHER_BYTE, 512);
            assert_int_equal(disk_bench_request(bench, BLK_OUT, 3, 512, NULL), BLK_OK);
            assert_int_equal(disk_bench_file_byte(bench, 3 * 512), disk_bench_byte(3 * 512));
            assert_int_equal(replace(next, bench->path, &error), 0);
            assert_int_equal(capacity(next), BENCH_SECTORS);
            assert_true(is_free(next->path));
        }
    }
}

/* Their answers come, and their writes are in the old file. */
static void requests_in_flight_are_finished(void **state)
{
    struct next *next = *state;
    struct disk_bench *bench = &next->faulty.bench;
    struct error error = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LENGTH(engines); i++) {
        restart(&next->faulty, engines[i], BENCH_ALL_FEATURES);
        memset(disk_bench_data(bench), 0x77, 8 * 4096);
        for (unsigned int n = 0; n < 8; n++)
            disk_bench_add(bench, 0, n, BLK_OUT, 100 + 8 * n, 4096 * n, 4096);
        pthread_mutex_lock(bench->block->virtio.env.lock);
        bench->block->virtio.class->kick(&bench->block->virtio, 0);
        pthread_mutex_unlock(bench->block->virtio.env.lock);
        assert_int_equal(replace(next, next->path, &error), 0);
        for (unsigned int n = 0; n < 8; n++) {
            assert_int_equal(disk_bench_status(bench, n), BLK_OK);
            assert_int_equal(disk_bench_file_byte(bench, (100 + 8 * n) * 512), 0x77);
        }
        for (unsigned int n = 0; n < 8; n++)
            assert_true(fake_driver_used(&bench->driver, 0, &(struct virtq_used_element){ 0 }));
        assert_reads_other(next);
        assert_int_equal(replace(next, bench->path, &error), 0);
    }
}

/* Has calls that are held go on after a while. */
static void *release_later(void *context)
{
    struct faults *faults = context;

    usleep(50000);
    atomic_store(&faults->hold, false);
    for (int i = 0; i < 8; i++)
        sem_post(&faults->released);
    return NULL;
}

/* Reads leave nothing to flush; they are waited for all the same. */
static void slow_reads_are_finished(void **state)
{
    struct next *next = *state;
    struct disk_bench *bench = &next->faulty.bench;
    struct error error = ERROR_INIT;
    pthread_t thread;

    restart(&next->faulty, engines[1], BENCH_ALL_FEATURES);
    atomic_store(&next->faulty.faults.hold, true);
    for (unsigned int n = 0; n < 4; n++)
        disk_bench_add(bench, 0, n, BLK_IN, 1000 + 8 * n, 4096 * n, 4096);
    pthread_mutex_lock(bench->block->virtio.env.lock);
    bench->block->virtio.class->kick(&bench->block->virtio, 0);
    pthread_mutex_unlock(bench->block->virtio.env.lock);
    assert_int_equal(pthread_create(&thread, NULL, release_later, &next->faulty.faults), 0);
    assert_int_equal(replace(next, next->path, &error), 0);
    for (unsigned int n = 0; n < 4; n++)
        assert_int_equal(disk_bench_status(bench, n), BLK_OK);
    check_pattern(&next->faulty, 1000, 4 * 4096);
    pthread_join(thread, NULL);
}

static void refused(struct next *next, const char *path, const char *why)
{
    struct error error = ERROR_INIT;

    assert_true(replace(next, path, &error) < 0);
    if (!strstr(error.message, why))
        fail_msg("'%s' lacks '%s'", error.message, why);
    assert_int_equal(capacity(next), BENCH_SECTORS);
    assert_false(is_free(next->faulty.bench.path));
    assert_reads_first(next);
}

static void what_cannot_be_opened_leaves_the_old_one(void **state)
{
    struct next *next = *state;
    int fd;

    for (size_t i = 0; i < ARRAY_LENGTH(engines); i++) {
        restart(&next->faulty, engines[i], BENCH_ALL_FEATURES);
        refused(next, "/nonexistent/disk", "does not exist");
        refused(next, "/tmp", "is a directory");
        refused(next, "/dev/null", "neither a file nor a block device");
        fd = open(next->path, O_RDWR | O_CLOEXEC);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &(struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET }), 0);
        refused(next, next->path, "is in use by another process");
        close(fd);
        assert_true(is_free(next->path));
    }
    assert_int_equal(truncate(next->path, 100), 0);
    refused(next, next->path, "make no block of 512");
    assert_true(is_free(next->path));
}

static void a_disk_with_an_overlay_is_refused(void **state)
{
    struct next *next = *state;
    struct error error = ERROR_INIT;

    restart(&next->faulty, ",overlay=tmp", BENCH_ALL_FEATURES);
    assert_int_equal(replace(next, next->path, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "its overlay (tmp) belongs to that image"));
    assert_true(is_free(next->path));
}

/* What comes with the request is the supervisor's, who is believed: this is against its mistakes. */
static void an_unsuitable_descriptor_leaves_the_old_one(void **state)
{
    struct next *next = *state;
    struct virtio_device *virtio;
    struct block_host fresh, given, wrong;
    struct error error = ERROR_INIT;
    int ends[2];

    restart(&next->faulty, engines[0], BENCH_ALL_FEATURES);
    virtio = &next->faulty.bench.block->virtio;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(open_next(next, next->path, &fresh, &given, &error), 0);
    for (int i = 0; i < 7; i++) {
        wrong = given;
        wrong.disk.fd = i == 0 ? -1 : i == 1 ? ends[0] : i == 2 ? 9999 : given.disk.fd;
        wrong.disk.block_size = i == 3 ? 4096 : i == 4 ? 0 : given.disk.block_size;
        wrong.disk.size = i == 5 ? 0 : given.disk.size;
        wrong.disk.read_only = i == 6;
        error = (struct error)ERROR_INIT;
        pthread_mutex_lock(virtio->env.lock);
        assert_int_equal(virtio_block_replace(virtio, &wrong, next->path, &error), -EINVAL);
        pthread_mutex_unlock(virtio->env.lock);
        assert_reads_first(next);
    }
    close(given.disk.fd);
    close(ends[0]);
    close(ends[1]);
    settle_next(next, &fresh, false);
    assert_true(is_free(next->path));
}

/* The guest was promised nothing yet, but would have been by its next flush. */
static void what_the_old_file_loses_is_told_before(void **state)
{
    struct next *next = *state;
    struct disk_bench *bench = &next->faulty.bench;
    struct error error = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LENGTH(engines); i++) {
        restart(&next->faulty, engines[i], BENCH_ALL_FEATURES);
        memset(disk_bench_data(bench), 0x11, 512);
        assert_int_equal(disk_bench_request(bench, BLK_OUT, 3, 512, NULL), BLK_OK);
        next->faulty.faults.sync_result = -EIO;
        refused(next, next->path, "what the guest wrote last could not be kept");
        assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
        error = (struct error)ERROR_INIT;
        assert_int_equal(replace(next, next->path, &error), 0);
        assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_OK);
        assert_reads_other(next);
        assert_int_equal(replace(next, bench->path, &error), 0);
    }
}

/* A driver that begins afterwards, and one that begins anew, see the new one. */
static void before_the_driver_begins(void **state)
{
    struct next *next = *state;
    struct disk_bench *bench = &next->faulty.bench;
    struct error error = ERROR_INIT;

    disk_bench_create(bench, engines[0]);
    assert_int_equal(replace(next, next->path, &error), 0);
    fake_driver_start(&bench->driver, BENCH_ALL_FEATURES, 1);
    assert_int_equal(capacity(next), OTHER_SECTORS);
    assert_reads_other(next);
    fake_driver_start(&bench->driver, BENCH_ALL_FEATURES, 1);
    assert_reads_other(next);
}

/* ---- rates ------------------------------------------------------------------ */

static void a_rate_that_is_set_and_taken_away(void **state)
{
    struct next *next = *state;
    struct disk_bench *bench = &next->faulty.bench;
    struct rate_limit_config two = { .operations = { .size = 2, .refill_ns = 3600ull * 1000000000 } }, none = { 0 };
    struct virtio_device *virtio;
    struct error error = ERROR_INIT;
    int timer = timer_make_fd(), unused = -1;

    restart(&next->faulty, engines[1], BENCH_ALL_FEATURES);
    virtio = &bench->block->virtio;
    assert_int_equal(virtio_block_set_rate(virtio, &two, &timer, &error), 0);
    assert_int_equal(timer, -1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(disk_bench_request(bench, BLK_IN, 8, 512, NULL), BLK_OK);
    disk_bench_add(bench, 0, 7, BLK_IN, 8, 0, 512);
    fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    run_loop_for(bench->fixture.env.loop, 30);
    assert_int_equal(disk_bench_status(bench, 7), BLK_NONE);
    /* Whoever waits for the old limit does not wait on. */
    assert_int_equal(virtio_block_set_rate(virtio, &none, &unused, &error), 0);
    assert_true(fake_driver_wait(&bench->driver, 0, &(struct virtq_used_element){ 0 }));
    assert_int_equal(disk_bench_status(bench, 7), BLK_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(disk_bench_request(bench, BLK_IN, 8, 512, NULL), BLK_OK);
}

#define TWO(test) cmocka_unit_test_setup_teardown(test, set_up_two, tear_down_two)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TWO(replaced_and_back),
        TWO(requests_in_flight_are_finished),
        TWO(slow_reads_are_finished),
        TWO(what_cannot_be_opened_leaves_the_old_one),
        TWO(a_disk_with_an_overlay_is_refused),
        TWO(an_unsuitable_descriptor_leaves_the_old_one),
        TWO(what_the_old_file_loses_is_told_before),
        TWO(before_the_driver_begins),
        TWO(a_rate_that_is_set_and_taken_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
