/* SPDX-License-Identifier: Apache-2.0 */
/* The host fails or moves less than it was asked to. */
#include "tests/support/disk_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

            if (kind == 2)
                continue; /* see below */
            fail_next(faulty, 0, 5, -EINTR);
            assert_int_equal(request_of_kind(faulty, kind, &written), BLK_OK);
            fail_next(faulty, 0, 5, -EAGAIN);
            assert_int_equal(request_of_kind(faulty, kind, &written), BLK_OK);
        }
        for (int kind = 0; kind < KINDS; kind++) {
            uint32_t written;

            if (kind == 2)
                continue;
            /* But not for ever. */
            fail_next(faulty, 0, UINT32_MAX, -EAGAIN);
            assert_int_equal(request_of_kind(faulty, kind, &written), BLK_IOERR);
            assert_in_range(atomic_load(&faulty->faults.calls), 2, 200);
            fail_next(faulty, 0, 0, 0);
        }
    }
}

/* The error of a lost write may be hidden by another one, and is told no second time. */
static void test_a_sync_is_never_tried_again(void **state)
{
    static const int errors[] = { EINTR, EAGAIN, EIO, ENOSPC, EDQUOT };
    struct faulty *faulty = *state;

    for (int engine = 0; engine < 2; engine++)
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
            restart(faulty, engines[engine], BENCH_ALL_FEATURES);
            fail_next(faulty, 0, 1, -errors[i]);
            assert_int_equal(disk_bench_request(&faulty->bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
            assert_int_equal(disk_bench_request(&faulty->bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
            assert_int_equal(atomic_load(&faulty->faults.calls), 1);
        }
}

/* Offers COUNT flushes, or writes that are to be stable, in one batch, and serves them all. */
static void send_batch(struct disk_bench *bench, uint32_t type, unsigned int count)
{
    struct virtq_used_element used;

    for (unsigned int i = 0; i < count; i++)
        disk_bench_add(bench, 0, i, type, 8 * i, 0, type == BLK_FLUSH ? 0 : 512);
    fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    for (unsigned int i = 0; i < count; i++)
        assert_true(fake_driver_wait(&bench->driver, 0, &used));
}

static void expect_statuses(struct disk_bench *bench, unsigned int count, uint8_t status)
{
    for (unsigned int i = 0; i < count; i++)
        assert_int_equal(disk_bench_status(bench, i), status);
}

/* Whoever waits for the sync that fails, or for the one after it, is told of the failure. */
static void test_one_failed_sync_fails_all_who_wait(void **state)
{
    struct faulty *faulty = *state;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        fail_next(faulty, 0, 1, -EIO);
        send_batch(&faulty->bench, BLK_FLUSH, 40);
        expect_statuses(&faulty->bench, 40, BLK_IOERR);
        assert_int_equal(atomic_load(&faulty->faults.calls), 1);
        /* Of 40 writes the sync that follows the first of them. */
        restart(faulty, engines[engine], 0);
        faulty->faults.sync_result = -EIO;
        send_batch(&faulty->bench, BLK_OUT, 40);
        expect_statuses(&faulty->bench, 40, BLK_IOERR);
        faulty->faults.sync_result = 0;
    }
}

/* All that came while one was at work share the next. */
static void test_flushes_share_their_syncs(void **state)
{
    struct faulty *faulty = *state;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        fail_next(faulty, 0, 0, 0);
        for (int round = 0; round < 20; round++)
            send_batch(&faulty->bench, BLK_FLUSH, 40);
        expect_statuses(&faulty->bench, 40, BLK_OK);
        if (engine == 0)
            assert_int_equal(atomic_load(&faulty->faults.calls), 2 * 20);
        assert_in_range(atomic_load(&faulty->faults.calls), 20, 39 * 20);
        restart(faulty, engines[engine], 0);
        for (int round = 0; round < 20; round++)
            send_batch(&faulty->bench, BLK_OUT, 40);
        expect_statuses(&faulty->bench, 40, BLK_OK);
    }
}

/* A saved VM's next flush is another process's, which no lost write is reported to. */
static void test_what_was_written_is_settled_before_a_save(void **state)
{
    struct faulty *faulty = *state;
    struct device *device;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        device = faulty->bench.driver.device;
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 512, NULL), BLK_OK);
        fail_next(faulty, 0, 0, 0);
        device->ops->drain(device);
        assert_int_equal(atomic_load(&faulty->faults.calls), 0);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_OK);
        fail_next(faulty, 0, 0, 0);
        device->ops->drain(device);
        device->ops->drain(device);
        assert_int_equal(atomic_load(&faulty->faults.calls), 1);
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_OUT, 8, 512, NULL), BLK_OK);
        fail_next(faulty, 0, 1, -EIO);
        device->ops->drain(device);
        assert_true(disk_sync_has_failed(&faulty->bench.block->file.sync));
        assert_int_equal(disk_bench_request(&faulty->bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
    }
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

/* A file's last bytes make no block: unseen where they could be written, else with zeroes behind. */
static void test_a_size_that_is_no_multiple(void **state)
{
    static const char *const settings[] = { ",ro,engine=uring", ",ro,engine=sync" };
    static const int64_t at_most[] = { 0, 1, 100, 700, 1124 };
    struct faulty *faulty = *state;
    struct disk_bench *bench = &faulty->bench;
    uint8_t *data;
    uint64_t capacity;
    char text[1024];

    assert_int_equal(ftruncate(bench->fd, 20 * 512 + 100), 0);
    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        fake_driver_config(&bench->driver, 0, &capacity, sizeof(capacity));
        assert_int_equal(capacity, 20);
        memset(disk_bench_data(bench), 0x5a, 512);
        assert_int_equal(disk_bench_request(bench, BLK_OUT, 20, 512, NULL), BLK_IOERR);
        assert_int_equal(disk_bench_request(bench, BLK_OUT, 19, 512, NULL), BLK_OK);
        for (size_t i = 0; i < sizeof(at_most) / sizeof(at_most[0]); i++) {
            restart(faulty, settings[engine], 0);
            fake_driver_config(&bench->driver, 0, &capacity, sizeof(capacity));
            assert_int_equal(capacity, 21);
            data = disk_bench_data(bench);
            memset(data, 0xee, 4096);
            faulty->faults.at_most = at_most[i];
            assert_int_equal(disk_bench_request(bench, BLK_IN, 17, 4 * 512, NULL), BLK_OK);
            faulty->faults.at_most = 0;
            disk_bench_assert_bytes(data, 17 * 512, 2 * 512);
            disk_bench_assert_bytes(data + 3 * 512, 20 * 512, 100);
            for (int at = 3 * 512 + 100; at < 4 * 512; at++)
                assert_int_equal(data[at], 0);
            assert_int_equal(data[4 * 512], 0xee);
            assert_int_equal(disk_bench_request(bench, BLK_IN, 21, 512, NULL), BLK_IOERR);
        }
        /* Cut behind our back it is an error as ever, not zeroes. */
        assert_int_equal(ftruncate(bench->fd, 19 * 512), 0);
        assert_int_equal(disk_bench_request(bench, BLK_IN, 17, 4 * 512, NULL), BLK_IOERR);
        assert_int_equal(ftruncate(bench->fd, 20 * 512), 0);
        for (uint64_t at = 19 * 512; at < 20 * 512 + 100; at++) {
            uint8_t byte = disk_bench_byte(at);

            assert_int_equal(pwrite(bench->fd, &byte, 1, (off_t)at), 1);
        }
    }
    memory_log_text(&bench->fixture.log, text, sizeof(text));
    assert_non_null(strstr(text, "10340 bytes are no multiple of 512: the guest does not see the last 100"));
    assert_non_null(strstr(text, "the guest sees 412 zeroes behind them"));
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

#define FAULTY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULTY(test_every_call_fails),
        FAULTY(test_interrupted_calls_are_made_again),
        FAULTY(test_a_sync_is_never_tried_again),
        FAULTY(test_one_failed_sync_fails_all_who_wait),
        FAULTY(test_flushes_share_their_syncs),
        FAULTY(test_what_was_written_is_settled_before_a_save),
        FAULTY(test_short_transfers_go_on),
        FAULTY(test_nothing_moved_is_an_error),
        FAULTY(test_a_truncated_file_is_an_error),
        FAULTY(test_a_failed_flush_is_never_forgotten),
        FAULTY(test_write_through),
        FAULTY(test_zeroes_by_hand_where_the_host_has_no_call),
        FAULTY(test_unaligned_buffers_bounce),
        FAULTY(test_a_size_that_is_no_multiple),
        FAULTY(test_failures_are_logged_within_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
