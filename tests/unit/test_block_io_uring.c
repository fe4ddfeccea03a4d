/* SPDX-License-Identifier: Apache-2.0 */
/* The host refuses io_uring, or has no room in it for the moment. */
#include "tests/support/disk_faults.h"
#include "tests/support/device_options.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>


static int ring_refused;         /* what io_uring_queue_init() returns, if not 0 */
static bool restrictions_refused; /* the ring can be had, and not be restricted */
static unsigned int submits_refused; /* so many calls yet end with EAGAIN */

int __real_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
    return ring_refused ? ring_refused : __real_io_uring_queue_init(entries, ring, flags);
}

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring)
{
    if (submits_refused > 0) {
        submits_refused--;
        return -EAGAIN;
    }
    return __real_io_uring_submit(ring);
}

int __real_io_uring_register_restrictions(struct io_uring *ring, struct io_uring_restriction *rules, unsigned int count);
int __wrap_io_uring_register_restrictions(struct io_uring *ring, struct io_uring_restriction *rules, unsigned int count);
int __wrap_io_uring_register_restrictions(struct io_uring *ring, struct io_uring_restriction *rules, unsigned int count)
{
    return restrictions_refused ? -EPERM : __real_io_uring_register_restrictions(ring, rules, count);
}

static int set_up_permitted(void **state)
{
    ring_refused = 0;
    submits_refused = 0;
    restrictions_refused = false;
    return set_up(state);
}

static void test_threads_take_over_where_io_uring_is_refused(void **state)
{
    static const int errors[] = { EPERM, ENOSYS, ENOMEM, EMFILE };
    struct faulty *faulty = *state;
    char text[4096];

    faulty->bench.fixture.log.level = LOG_INFO;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        ring_refused = -errors[i];
        restart(faulty, engines[0], BENCH_ALL_FEATURES);
        for (int n = 0; n < 3; n++)
            assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 4096, NULL), BLK_OK);
        check_pattern(faulty, 8, 4096);
        assert_int_equal(disk_engine_kind(faulty->bench.block->engine), DISK_ENGINE_SYNC);
        assert_int_equal(memory_log_lines(&faulty->bench.fixture.log), i + 1);
    }
    memory_log_text(&faulty->bench.fixture.log, text, sizeof(text));
    assert_non_null(strstr(text, "io_uring cannot be used (Operation not permitted)"));
}

static void never_called(void *context, uint32_t events)
{
    (void)context;
    (void)events;
}

/* What the ring's number stands for next is no source of the loop's yet. */
static void test_a_ring_that_cannot_be_restricted_is_left(void **state)
{
    struct faulty *faulty = *state;
    struct event_loop *loop = faulty->bench.fixture.env.loop;
    int fds[16];

    restrictions_refused = true;
    restart(faulty, engines[0], BENCH_ALL_FEATURES);
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        struct event_source source = { .events = EPOLLIN, .handler = never_called };

        source.fd = fds[i] = eventfd(0, EFD_CLOEXEC);
        assert_int_equal(event_loop_add(loop, &source), 0);
    }
    assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 4096, NULL), BLK_OK);
    assert_int_equal(disk_engine_kind(faulty->bench.block->engine), DISK_ENGINE_SYNC);
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        event_loop_remove(loop, fds[i]);
        close(fds[i]);
    }
}

static void test_a_refused_submission_is_repeated(void **state)
{
    struct faulty *faulty = *state;

    restart(faulty, engines[0], BENCH_ALL_FEATURES);
    assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 512, NULL), BLK_OK);
    if (disk_engine_kind(faulty->bench.block->engine) != DISK_ENGINE_URING)
        return; /* not permitted here: the case above is what happens */
    submits_refused = 7;
    assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 4096, NULL), BLK_OK);
    assert_int_equal(submits_refused, 0);
    check_pattern(faulty, 8, 4096);
    /* A reset with the submission still refused. */
    submits_refused = 12;
    disk_bench_add(&faulty->bench, 0, 0, BLK_IN, 8, 0, 4096);
    fake_driver_write(&faulty->bench.driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    run_loop_for(faulty->bench.fixture.env.loop, 1);
    fake_driver_start(&faulty->bench.driver, BENCH_ALL_FEATURES, 1);
    submits_refused = 0;
    assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 4096, NULL), BLK_OK);
}

/* The kernel may hold the file a little longer than its ring: the lock must not stay with it. */
static void test_a_closed_disk_is_unlocked_at_once(void **state)
{
    struct faulty *faulty = *state;
    struct disk_bench *bench = &faulty->bench;

    for (int round = 0; round < 20; round++) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

        restart(faulty, engines[0], BENCH_ALL_FEATURES);
        assert_int_equal(disk_bench_request(bench, BLK_IN, 8, 512, NULL), BLK_OK);
        fake_driver_destroy(&bench->driver);
        bench->block = NULL;
        device_options_release(bench->options);
        bench->options = NULL;
        assert_int_equal(fcntl(bench->fd, F_OFD_GETLK, &lock), 0);
        assert_int_equal(lock.l_type, F_UNLCK);
    }
}

#define FAULTY(test) cmocka_unit_test_setup_teardown(test, set_up_permitted, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULTY(test_threads_take_over_where_io_uring_is_refused),
        FAULTY(test_a_ring_that_cannot_be_restricted_is_left),
        FAULTY(test_a_refused_submission_is_repeated),
        FAULTY(test_a_closed_disk_is_unlocked_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
