/* SPDX-License-Identifier: Apache-2.0 */
/* The host fails, is slow, or refuses io_uring; and resets amid all that. */
#include "tests/support/disk_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/registry.h"

static const char *const engines[] = { ",engine=uring", ",engine=sync" };

/* ---- io_uring's calls, as the tests want them --------------------------- */

static int ring_refused;         /* what io_uring_queue_init() returns, if not 0 */
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

/* ---- a guest that offers each chain again as soon as it is used ---------- */

static struct fake_driver *refilling;
static unsigned int pushes;

void __real_virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);
void __wrap_virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);
void __wrap_virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
    __real_virtqueue_push(queue, head, written);
    pushes++;
    /* A million is as good as for ever. */
    if (refilling && pushes < 1000000)
        fake_offer(refilling, 0, head);
}

/* ---- faults ------------------------------------------------------------- */

struct faults {
    int64_t result;        /* instead of the true one */
    unsigned int skip;     /* true results before */
    unsigned int times;    /* then so many false ones */
    int64_t at_most;       /* of bytes moved, if not 0 */
    uint64_t alignment;    /* of each transfer, if not 0 */
    atomic_uint misaligned;
    atomic_uint calls;
    atomic_bool hold;      /* calls stop until RELEASED */
    sem_t released;
    atomic_uint held;
};

static int64_t fault(void *context, const struct disk_step *step, int64_t result)
{
    struct faults *faults = context;
    unsigned int call = atomic_fetch_add(&faults->calls, 1);

    if (faults->alignment && step->offset % faults->alignment)
        atomic_fetch_add(&faults->misaligned, 1);
    if (faults->hold) {
        atomic_fetch_add(&faults->held, 1);
        sem_wait(&faults->released);
        atomic_fetch_sub(&faults->held, 1);
    }
    if (call >= faults->skip && call < faults->skip + faults->times)
        return faults->result;
    if (faults->at_most && result > faults->at_most && step->count > 0)
        return faults->at_most;
    return result;
}

struct faulty {
    struct disk_bench bench;
    struct faults faults;
};

static int set_up(void **state)
{
    struct faulty *faulty = calloc(1, sizeof(*faulty));

    ring_refused = 0;
    submits_refused = 0;
    sem_init(&faulty->faults.released, 0, 0);
    disk_bench_init(&faulty->bench, BENCH_SECTORS);
    *state = faulty;
    return 0;
}

static int tear_down(void **state)
{
    struct faulty *faulty = *state;

    disk_bench_release(&faulty->bench);
    sem_destroy(&faulty->faults.released);
    free(faulty);
    return 0;
}

/* The same file under a new device. */
static void restart(struct faulty *faulty, const char *settings, uint64_t features)
{
    struct disk_bench *bench = &faulty->bench;

    if (bench->block) {
        fake_driver_destroy(&bench->driver);
        block_class.release(bench->options);
        bench->block = NULL;
        bench->options = NULL;
    }
    disk_bench_start(bench, settings, features, 1);
    bench->block->file.fault = fault;
    bench->block->file.fault_context = &faulty->faults;
}

static void fail_next(struct faulty *faulty, unsigned int skip, unsigned int times, int64_t result)
{
    atomic_store(&faulty->faults.calls, 0);
    faulty->faults.skip = skip;
    faulty->faults.times = times;
    faulty->faults.result = result;
}

/* Any request: 0 read, 1 write, 2 flush, 3 discard, 4 zeroes. */
#define KINDS 5
static uint8_t request_of_kind(struct faulty *faulty, int kind, uint32_t *written)
{
    static const uint32_t types[KINDS] = { BLK_IN, BLK_OUT, BLK_FLUSH, BLK_DISCARD, BLK_ZEROES };
    const struct bench_range range = { 64, 8, 0 };

    if (kind >= 3) {
        *written = 1;
        return disk_bench_ranges(&faulty->bench, types[kind], 1, &range);
    }
    return disk_bench_request(&faulty->bench, types[kind], 8, kind == 2 ? 0 : 4096, written);
}

static void test_every_call_fails(void **state)
{
    static const int errors[] = { ENOSPC, EIO, EDQUOT, EFBIG, EBADF, ECANCELED, ENOMEM };
    struct faulty *faulty = *state;

    for (int engine = 0; engine < 2; engine++) {
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
            restart(faulty, engines[engine], BENCH_ALL_FEATURES);
            for (int kind = 0; kind < KINDS; kind++) {
                uint32_t written;

                fail_next(faulty, 0, 1, -errors[i]);
                assert_int_equal(request_of_kind(faulty, kind, &written), BLK_IOERR);
                assert_int_equal(written, 1);
                fail_next(faulty, 0, 0, 0);
                /* All but a flush work again after. */
                if (kind != 2)
                    assert_int_equal(request_of_kind(faulty, kind, &written), BLK_OK);
            }
        }
    }
}

static void test_interrupted_calls_are_made_again(void **state)
{
    struct faulty *faulty = *state;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        for (int kind = 0; kind < KINDS; kind++) {
            uint32_t written;

            fail_next(faulty, 0, 5, -EINTR);
            assert_int_equal(request_of_kind(faulty, kind, &written), BLK_OK);
            fail_next(faulty, 0, 5, -EAGAIN);
            assert_int_equal(request_of_kind(faulty, kind, &written), BLK_OK);
        }
        for (int kind = 0; kind < KINDS; kind++) {
            uint32_t written;

            /* But not for ever. */
            fail_next(faulty, 0, UINT32_MAX, -EAGAIN);
            assert_int_equal(request_of_kind(faulty, kind, &written), BLK_IOERR);
            assert_in_range(atomic_load(&faulty->faults.calls), 2, 200);
            fail_next(faulty, 0, 0, 0);
        }
    }
}

static void check_pattern(struct faulty *faulty, uint64_t sector, uint32_t length)
{
    const uint8_t *data = disk_bench_data(&faulty->bench);

    for (uint32_t i = 0; i < length; i++)
        if (data[i] != disk_bench_byte(sector * 512 + i))
            fail_msg("byte %u is wrong", i);
}

/* Short transfers of whatever size go on where they stopped. */
static void check_short_transfers(struct faulty *faulty, int64_t at_most)
{
    uint8_t *data = disk_bench_data(&faulty->bench), byte;
    uint32_t written;

    faulty->faults.at_most = at_most;
    memset(data, 0xee, 8192);
    assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 4096, &written), BLK_OK);
    assert_int_equal(written, 4097);
    check_pattern(faulty, 8, 4096);
    assert_int_equal(data[4096], 0xee);
    for (int i = 0; i < 4096; i++)
        data[i] = (uint8_t)(i % 251);
    assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 100, 4096, NULL), BLK_OK);
    for (int i = 0; i < 4096; i++) {
        assert_int_equal(pread(faulty->bench.fd, &byte, 1, 100 * 512 + i), 1);
        assert_int_equal(byte, i % 251);
    }
    faulty->faults.at_most = 0;
}

static void test_short_transfers_go_on(void **state)
{
    struct faulty *faulty = *state;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        check_short_transfers(faulty, 1);
        check_short_transfers(faulty, 511);
        check_short_transfers(faulty, 2048);
        check_short_transfers(faulty, 4095);
    }
}

static void test_nothing_moved_is_an_error(void **state)
{
    struct faulty *faulty = *state;
    uint32_t written;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        fail_next(faulty, 0, 1, 0);
        assert_int_equal(request_of_kind(faulty, 0, &written), BLK_IOERR);
        fail_next(faulty, 0, 1, 0);
        assert_int_equal(request_of_kind(faulty, 1, &written), BLK_IOERR);
    }
}

static void test_a_truncated_file_is_an_error(void **state)
{
    struct faulty *faulty = *state;
    uint32_t written;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        assert_int_equal(ftruncate(faulty->bench.fd, 10 * 512 + 100), 0);
        /* Half of it, a sector's part and nothing of it is there. */
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 4096, &written), BLK_IOERR);
        assert_int_equal(written, 1);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 10, 512, NULL), BLK_IOERR);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 2000, 512, NULL), BLK_IOERR);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 9, 512, NULL), BLK_OK);
        assert_int_equal(ftruncate(faulty->bench.fd, BENCH_SECTORS * 512), 0);
    }
}

static void test_a_failed_flush_is_never_forgotten(void **state)
{
    struct faulty *faulty = *state;
    const struct bench_range range = { 64, 8, 0 };
    uint8_t writeback = 0;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_OK);
        fail_next(faulty, 0, 1, -EIO);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
        for (int i = 0; i < 3; i++)
            assert_int_equal(disk_bench_request(&faulty->bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
        /* Nor by a reset of the device. */
        fake_driver_start(&faulty->bench.driver, BENCH_ALL_FEATURES, 1);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
        /* Writes work, as long as they promise nothing. */
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_OK);
        device_write(faulty->bench.driver.device, VIRTIO_MMIO_CONFIG + 32, &writeback, 1);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_IOERR);
        assert_int_equal(disk_bench_ranges(&faulty->bench, BLK_ZEROES, 1, &range), BLK_IOERR);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 512, NULL), BLK_OK);
    }
}

/* Without FLUSH, or in write-through mode, each write is followed by a sync. */
static void test_write_through(void **state)
{
    struct faulty *faulty = *state;
    uint8_t writeback = 0;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], 0);
        fail_next(faulty, 0, 0, 0);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_OK);
        assert_int_equal(atomic_load(&faulty->faults.calls), 2);
        fail_next(faulty, 1, 1, -EIO);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_IOERR);

        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        fail_next(faulty, 0, 0, 0);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_OK);
        assert_int_equal(atomic_load(&faulty->faults.calls), 1);
        device_write(faulty->bench.driver.device, VIRTIO_MMIO_CONFIG + 32, &writeback, 1);
        fail_next(faulty, 0, 0, 0);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_OK);
        assert_int_equal(atomic_load(&faulty->faults.calls), 2);
        fail_next(faulty, 0, 0, 0);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 512, NULL), BLK_OK);
        assert_int_equal(atomic_load(&faulty->faults.calls), 1);
    }
}

static void test_zeroes_by_hand_where_the_host_has_no_call(void **state)
{
    struct faulty *faulty = *state;
    const struct bench_range ranges[] = { { 64, 300, 0 }, { 500, 1, 1 } };
    uint8_t byte;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        fail_next(faulty, 0, 1, -EOPNOTSUPP);
        faulty->faults.at_most = 1000;
        assert_int_equal(disk_bench_ranges(&faulty->bench, BLK_ZEROES, 2, ranges), BLK_OK);
        faulty->faults.at_most = 0;
        assert_true(atomic_load(&faulty->faults.calls) > 150);
        for (uint64_t at = 63 * 512; at < 365 * 512; at++) {
            bool zero = at >= 64 * 512 && at < 364 * 512;

            assert_int_equal(pread(faulty->bench.fd, &byte, 1, (off_t)at), 1);
            assert_int_equal(byte, zero ? 0 : disk_bench_byte(at));
        }
        /* A discard is a hint that may be declined. */
        fail_next(faulty, 0, 1, -EOPNOTSUPP);
        assert_int_equal(disk_bench_ranges(&faulty->bench, BLK_DISCARD, 1, ranges), BLK_UNSUPP);
    }
}

/* What O_DIRECT asks for, on any file: buffers that do not suit go by the bounce buffer. */
static void test_unaligned_buffers_bounce(void **state)
{
    struct faulty *faulty = *state;
    struct virtq_used_element used;
    uint8_t *data, byte;

    for (int engine = 0; engine < 2; engine++) {
        const struct fake_buffer in[] = {
            { BENCH_HEADERS, 16, false }, { BENCH_DATA + 3, 1000, true },
            { BENCH_DATA + 1003, 163840 - 1000, true }, { BENCH_STATUS, 1, true },
        };
        const struct fake_buffer out[] = {
            { BENCH_HEADERS, 16, false }, { BENCH_DATA + 3, 1000, false },
            { BENCH_DATA + 1003, 163840 - 1000, false }, { BENCH_STATUS, 1, true },
        };
        uint32_t header[4] = { BLK_IN, 0, 16, 0 };

        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        faulty->bench.block->file.direct = true;
        faulty->bench.block->file.memory_alignment = 512;
        faulty->bench.block->file.offset_alignment = 512;
        faulty->faults.alignment = 512;
        faulty->faults.at_most = 33000; /* no multiple of 512: the rest is read again */
        data = disk_bench_data(&faulty->bench);
        memset(data, 0xee, BENCH_DATA_SIZE);
        memcpy(fake_memory(&faulty->bench.driver, BENCH_HEADERS, 16), header, 16);
        fake_driver_send(&faulty->bench.driver, 0, FAKE_DIRECT, 4, in);
        assert_true(fake_driver_wait(&faulty->bench.driver, 0, &used));
        assert_int_equal(used.length, 163841);
        for (int i = 0; i < 163840; i++)
            if (data[3 + i] != disk_bench_byte(16 * 512 + (uint64_t)i))
                fail_msg("byte %d is wrong", i);
        assert_int_equal(data[2], 0xee);
        assert_int_equal(data[3 + 163840], 0xee);
        /* And out again, one sector further. */
        header[0] = BLK_OUT;
        header[2] = 17;
        memcpy(fake_memory(&faulty->bench.driver, BENCH_HEADERS, 16), header, 16);
        fake_driver_send(&faulty->bench.driver, 0, FAKE_DIRECT, 4, out);
        assert_true(fake_driver_wait(&faulty->bench.driver, 0, &used));
        faulty->faults.at_most = 0;
        assert_int_equal(atomic_load(&faulty->faults.misaligned), 0);
        for (uint64_t i = 0; i < 163840; i += 97) {
            assert_int_equal(pread(faulty->bench.fd, &byte, 1, (off_t)(17 * 512 + i)), 1);
            assert_int_equal(byte, disk_bench_byte(16 * 512 + i));
        }
        /* Put it back for the other engine. */
        assert_int_equal(pwrite(faulty->bench.fd, data + 3, 163840, 16 * 512), 163840);
    }
}

static void test_failures_are_logged_within_a_limit(void **state)
{
    struct faulty *faulty = *state;
    char text[4096];

    restart(faulty, engines[0], BENCH_ALL_FEATURES);
    fail_next(faulty, 0, UINT32_MAX, -ENOSPC);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_IOERR);
    assert_in_range(memory_log_lines(&faulty->bench.fixture.log), 1, 12);
    memory_log_text(&faulty->bench.fixture.log, text, sizeof(text));
    assert_non_null(strstr(text, "a write failed: No space left on device"));
}

/* ---- io_uring is not permitted, or busy ---------------------------------- */

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
        block_class.release(bench->options);
        bench->options = NULL;
        assert_int_equal(fcntl(bench->fd, F_OFD_GETLK, &lock), 0);
        assert_int_equal(lock.l_type, F_UNLCK);
    }
}

/* ---- in flight ---------------------------------------------------------- */

/* Serves the queue as the loop would, and nothing else. */
static void kick_now(struct disk_bench *bench)
{
    struct virtio_device *virtio = &bench->block->virtio;

    pthread_mutex_lock(&bench->driver.device->lock);
    virtio->class->kick(virtio, 0);
    pthread_mutex_unlock(&bench->driver.device->lock);
}

static void *release_soon(void *context)
{
    struct faults *faults = context;

    usleep(50000);
    faults->hold = false;
    for (int i = 0; i < 1000; i++)
        sem_post(&faults->released);
    return NULL;
}

static void test_a_reset_waits_for_threads_at_work(void **state)
{
    struct faulty *faulty = *state;
    struct virtq_used_element used;
    pthread_t thread;

    restart(faulty, engines[1], BENCH_ALL_FEATURES);
    faulty->faults.hold = true;
    for (unsigned int i = 0; i < 60; i++)
        disk_bench_add(&faulty->bench, 0, i, BLK_IN, i, 512 * i, 512);
    fake_driver_kick(&faulty->bench.driver, 0);
    while (atomic_load(&faulty->faults.held) == 0)
        run_loop_for(faulty->bench.fixture.env.loop, 1);
    assert_false(fake_driver_used(&faulty->bench.driver, 0, &used));
    pthread_create(&thread, NULL, release_soon, &faulty->faults);
    fake_driver_reset(&faulty->bench.driver);
    assert_int_equal(atomic_load(&faulty->faults.held), 0);
    memset(disk_bench_data(&faulty->bench), 0xee, 60 * 512);
    pthread_join(thread, NULL);
    usleep(20000);
    for (int i = 0; i < 60 * 512; i++)
        assert_int_equal(disk_bench_data(&faulty->bench)[i], 0xee);
    /* Nothing of the time before shows up after. */
    fake_driver_start(&faulty->bench.driver, BENCH_ALL_FEATURES, 1);
    assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 512, NULL), BLK_OK);
    run_loop_for(faulty->bench.fixture.env.loop, 5);
    assert_false(fake_driver_used(&faulty->bench.driver, 0, &used));
}

/* Many times, with all kinds of requests in whatever state they happen to be. */
static void test_resets_amid_requests(void **state)
{
    struct faulty *faulty = *state;
    struct virtq_used_element used;
    uint64_t random = 1;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        for (int round = 0; round < 100; round++) {
            unsigned int count = 1 + (unsigned int)(next_random(&random) % 80);

            for (unsigned int i = 0; i < count; i++) {
                static const uint32_t types[] = { BLK_IN, BLK_OUT, BLK_FLUSH, BLK_IN };
                uint32_t type = types[next_random(&random) % 4];

                disk_bench_add(&faulty->bench, 0, i, type, 8 * i, 512 * i,
                               type == BLK_FLUSH ? 0 : 512);
            }
            fake_driver_write(&faulty->bench.driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
            if (round % 3 == 0)
                run_loop_for(faulty->bench.fixture.env.loop, 1);
            else if (round % 3 == 1)
                kick_now(&faulty->bench); /* and the engine has hardly begun */
            fake_driver_start(&faulty->bench.driver, BENCH_ALL_FEATURES, 1);
            assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 0, 512, NULL), BLK_OK);
            assert_false(fake_driver_used(&faulty->bench.driver, 0, &used));
        }
    }
}

/* More than there are slots: the rest waits in the ring, and none is lost. */
static void test_requests_in_flight_are_bounded(void **state)
{
    struct faulty *faulty = *state;
    struct disk_bench *bench = &faulty->bench;
    struct virtq_used_element used;
    unsigned int count = 0;
    pthread_t thread;

    disk_bench_start(bench, ",engine=sync,queues=2", BENCH_ALL_FEATURES | VIRTIO_BLK_F_MQ, 2);
    bench->block->file.fault = fault;
    bench->block->file.fault_context = &faulty->faults;
    faulty->faults.hold = true;
    for (unsigned int i = 0; i < 160; i++)
        disk_bench_add(bench, i % 2, i, BLK_FLUSH, 0, 0, 0);
    fake_driver_kick(&bench->driver, 0);
    fake_driver_kick(&bench->driver, 1);
    assert_int_equal(bench->block->slots_touched, DISK_IN_FLIGHT_MAX);
    assert_int_not_equal(bench->block->waiting, 0);
    pthread_create(&thread, NULL, release_soon, &faulty->faults);
    while (count < 80 && fake_driver_wait(&bench->driver, 0, &used))
        count++;
    while (count < 160 && fake_driver_wait(&bench->driver, 1, &used))
        count++;
    pthread_join(thread, NULL);
    assert_int_equal(count, 160);
    assert_int_equal(bench->block->slots_touched, DISK_IN_FLIGHT_MAX);
}

static void test_a_refilling_guest_has_one_round_at_a_time(void **state)
{
    static const uint32_t types[] = { BLK_GET_ID, BLK_IN };
    struct faulty *faulty = *state;
    struct disk_bench *bench = &faulty->bench;

    for (int engine = 0; engine < 2; engine++) {
        for (int type = 0; type < 2; type++) {
            restart(faulty, engines[engine], BENCH_ALL_FEATURES);
            for (unsigned int i = 0; i < 8; i++)
                disk_bench_add(bench, 0, i, types[type], i, 512 * i, 512);
            refilling = &bench->driver;
            pushes = 0;
            kick_now(bench);
            assert_in_range(pushes, 0, BLOCK_QUEUE_SIZE);
            if (types[type] == BLK_IN) {
                /* All were taken and notifications are on: each brings another round. */
                for (int i = 0; i < 1000 && pushes < 16; i++) {
                    fake_driver_kick(&bench->driver, 0);
                    run_loop_for(bench->fixture.env.loop, 1);
                }
                assert_in_range(pushes, 16, 999999);
            } else {
                /* Cut short it goes on by itself. */
                assert_int_equal(pushes, BLOCK_QUEUE_SIZE);
                run_loop_for(bench->fixture.env.loop, 20);
                assert_in_range(pushes, 2 * BLOCK_QUEUE_SIZE, 999999);
            }
            refilling = NULL;
        }
    }
}

#define FAULTY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULTY(test_every_call_fails),
        FAULTY(test_interrupted_calls_are_made_again),
        FAULTY(test_short_transfers_go_on),
        FAULTY(test_nothing_moved_is_an_error),
        FAULTY(test_a_truncated_file_is_an_error),
        FAULTY(test_a_failed_flush_is_never_forgotten),
        FAULTY(test_write_through),
        FAULTY(test_zeroes_by_hand_where_the_host_has_no_call),
        FAULTY(test_unaligned_buffers_bounce),
        FAULTY(test_failures_are_logged_within_a_limit),
        FAULTY(test_threads_take_over_where_io_uring_is_refused),
        FAULTY(test_a_refused_submission_is_repeated),
        FAULTY(test_a_closed_disk_is_unlocked_at_once),
        FAULTY(test_a_reset_waits_for_threads_at_work),
        FAULTY(test_resets_amid_requests),
        FAULTY(test_requests_in_flight_are_bounded),
        FAULTY(test_a_refilling_guest_has_one_round_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
