/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net, frames from the guest: frames that are none, and a host that refuses. */
#include "tests/support/net_bench.h"

#include <errno.h>
#include <string.h>

static int set_up_without_uplink(void **state)
{
    static const struct fake_net_options plain;

    (void)state;
    return set_up_with(&plain, 0);
}

/* Three frames at once, one each 10 ms after that. */
static int set_up_limited(void **state)
{
    static const struct fake_net_options limited = {
        .net.transmit_rate.operations = { .size = 3, .refill_ns = 30000000 },
    };

    (void)state;
    return set_up_with(&limited, 1);
}

static void test_a_frame_leaves(void **state)
{
    uint16_t head;

    (void)state;
    start(0);
    head = send_frame(&empty, 1000);
    assert_memory_equal(expect_sent(1000), &empty, HEADER);
    assert_true(fake_driver_used(&driver, TX, &used));
    assert_int_equal(used.id, head);
    assert_int_equal(used.length, 0);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    /* The driver is asked to tell of the next. */
    assert_int_equal(fake_avail_event(&driver, TX), 1);
    fake_uplink_expect_idle(fixture.env.loop);
}

/* Header and frame split anywhere, also in the same buffer, also byte by byte. */
static void test_every_split_of_the_header(void **state)
{
    struct fake_buffer pieces[80];
    uint8_t *bytes;

    (void)state;
    start(0);
    bytes = fake_memory(&driver, AT, 200);
    for (uint32_t i = 0; i < 200; i++)
        bytes[i] = i < HEADER ? 0 : (uint8_t)i;
    for (uint32_t cut = 0; cut <= 72; cut++) {
        fake_driver_send(&driver, TX, FAKE_DIRECT, 2,
                         (struct fake_buffer[]){ { AT, cut }, { AT + cut, 72 - cut } });
        assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), 72);
        assert_memory_equal(got, bytes, 72);
        assert_true(fake_driver_used(&driver, TX, &used));
    }
    for (uint32_t i = 0; i < 80; i++)
        pieces[i] = (struct fake_buffer){ AT + i, 1 };
    fake_driver_send(&driver, TX, FAKE_INDIRECT, 80, pieces);
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), 80);
    assert_memory_equal(got, bytes, 80);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 1, (struct fake_buffer[]){ { AT, 200 } });
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), 200);
}

static void test_a_header_too_short(void **state)
{
    (void)state;
    for (uint32_t length = 0; length < HEADER; length += 11) {
        start(0);
        fake_driver_send(&driver, TX, FAKE_DIRECT, 1, (struct fake_buffer[]){ { AT, length } });
        assert_true(fake_driver_needs_reset(&driver));
        expect_nothing_sent();
    }
}

static void test_a_frame_in_writable_memory(void **state)
{
    (void)state;
    start(0);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 2,
                     (struct fake_buffer[]){ { AT, 100 }, { FRAME_AT, 100, true } });
    assert_true(fake_driver_needs_reset(&driver));
    expect_nothing_sent();
}

static void test_a_frame_across_the_hole(void **state)
{
    (void)state;
    start(0);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 2,
                     (struct fake_buffer[]){ { AT, HEADER }, { FIXTURE_LOW_SIZE - 50, 100 } });
    assert_true(fake_driver_needs_reset(&driver));
    expect_nothing_sent();
}

/* Runts and giants are dropped and given back; the next one leaves. */
static void test_frames_of_no_size_are_dropped_and_counted(void **state)
{
    struct fake_buffer giant[3] = {
        { AT, HEADER }, { FRAME_AT, UPLINK_FRAME_MAX }, { FRAME_AT, 1 },
    };

    (void)state;
    start(0);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 1, (struct fake_buffer[]){ { AT, HEADER } });
    send_frame(&empty, UPLINK_FRAME_MIN - 1);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 3, giant);
    /* The same megabyte many times over: amplified by descriptors, not by us. */
    for (unsigned int i = 0; i < 2; i++)
        giant[i + 1] = (struct fake_buffer){ 0, FIXTURE_LOW_SIZE };
    fake_driver_send(&driver, TX, FAKE_DIRECT, 3, giant);
    expect_nothing_sent();
    assert_int_equal(net()->counters.sent_dropped, 4);
    for (unsigned int i = 0; i < 4; i++)
        assert_true(fake_driver_used(&driver, TX, &used));
    send_frame(&empty, UPLINK_FRAME_MIN);
    expect_sent(UPLINK_FRAME_MIN);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 2, (struct fake_buffer[]){
        { AT, HEADER }, { 0x40000, UPLINK_FRAME_MAX } });
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), HEADER + UPLINK_FRAME_MAX);
    assert_memory_equal(got + HEADER, fake_memory(&driver, 0x40000, UPLINK_FRAME_MAX),
                        UPLINK_FRAME_MAX);
    assert_false(fake_driver_needs_reset(&driver));
}

/* The host's queue is full: the frame stays, in its order, and leaves by EPOLLOUT. */
static void test_eagain_keeps_the_frame(void **state)
{
    (void)state;
    start(0);
    uplink->send = (struct fake_fault){ .result = -EAGAIN, .failures = 3 };
    send_frame(&empty, 100);
    /* Each round of the loop is one try: nothing spins. */
    assert_true(fake_driver_wait(&driver, TX, &used));
    assert_int_equal(uplink->sends, 4);
    expect_sent(100);
    expect_nothing_sent();
    assert_int_equal(net()->counters.sent_dropped, 0);
}

static void test_a_full_host_keeps_the_order(void **state)
{
    unsigned int sent = 0, taken = 0;

    (void)state;
    start(0);
    memcpy(fake_memory(&driver, AT, HEADER), &empty, HEADER);
    /* More than the socket takes at once. */
    for (unsigned int i = 0; i < 100; i++) {
        uint64_t address = 0x20000 + 4096 * i;

        memset(fake_memory(&driver, address, 4000), (int)i, 4000);
        fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                        (struct fake_buffer[]){ { AT, HEADER }, { address, 4000 } });
    }
    fake_driver_kick(&driver, TX);
    while (fake_driver_used(&driver, TX, &used))
        sent++;
    assert_in_range(sent, 1, 99);
    for (unsigned int tries = 0; taken < 100 && tries < 100000; tries++) {
        if (fake_uplink_take(uplink, 0, got, sizeof(got)) == 0) {
            fake_driver_run(&driver);
            continue;
        }
        assert_int_equal(got[HEADER], taken);
        assert_int_equal(got[HEADER + 3999], taken);
        taken++;
    }
    assert_int_equal(taken, 100);
    while (fake_driver_used(&driver, TX, &used))
        sent++;
    assert_int_equal(sent, 100);
}

static void test_errors_of_the_host_drop_and_count(void **state)
{
    static const int errors[] = { EIO, ENETDOWN, ENOBUFS, EINVAL, ENOMEM, EMSGSIZE };

    (void)state;
    start(0);
    for (unsigned int i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        uplink->send = (struct fake_fault){ .result = -errors[i], .failures = 1 };
        send_frame(&empty, 100);
        assert_true(fake_driver_used(&driver, TX, &used));
        expect_nothing_sent();
        assert_int_equal(net()->counters.sent_dropped, i + 1);
        send_frame(&empty, 100);
        assert_true(fake_driver_used(&driver, TX, &used));
        expect_sent(100);
    }
}

/* A guest whose uplink has ended does not hang: its frames go nowhere. */
static void test_frames_after_the_end_of_the_uplink(void **state)
{
    (void)state;
    start(NET_F_STATUS);
    uplink->send = (struct fake_fault){ .result = -EPIPE, .failures = 1 };
    for (unsigned int i = 0; i < 5; i++) {
        send_frame(&empty, 100);
        assert_true(fake_driver_used(&driver, TX, &used));
    }
    assert_int_equal(uplink->sends, 1);
    assert_int_equal(net()->counters.sent_dropped, 5);
    assert_int_equal(memory_log_lines(&fixture.log), 1);
    assert_false(fake_driver_needs_reset(&driver));
}

static void test_what_was_sent_in_part_is_flushed(void **state)
{
    unsigned int before;

    (void)state;
    start(0);
    uplink->unflushed = true;
    send_frame(&empty, 100);
    before = uplink->flushes;
    fake_driver_run(&driver);
    assert_true(uplink->flushes > before);
    uplink->unflushed = false;
    fake_driver_run(&driver);
    before = uplink->flushes;
    fake_driver_run(&driver);
    assert_int_equal(uplink->flushes, before);
}

static void refill(void)
{
    /* The chain before is given back by now: its descriptors are free. */
    fake_driver_used(&driver, TX, &used);
    fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                    (struct fake_buffer[]){ { AT, HEADER }, { FRAME_AT, 60 } });
}

/* A guest that refills as fast as the device drains starves nobody: a round has an end. */

static void test_a_round_ends_at_the_queue_size(void **state)
{
    (void)state;
    start(0);
    for (uint16_t i = 0; i < 100; i++)
        fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                        (struct fake_buffer[]){ { AT, HEADER }, { FRAME_AT, 60 } });
    uplink->send = (struct fake_fault){ .result = 60, .failures = 100000 };
    uplink->sent = refill;
    pthread_mutex_lock(&driver.device->lock);
    net_class.kick(&net()->virtio, TX);
    pthread_mutex_unlock(&driver.device->lock);
    assert_int_equal(uplink->sends, NET_QUEUE_SIZE);
    /* And it goes on by itself, after the others. */
    fake_driver_run(&driver);
    assert_true(uplink->sends >= 2 * NET_QUEUE_SIZE);
    uplink->sent = NULL;
    uplink->send.failures = 0;
}

static void test_no_device_behind(void **state)
{
    uint16_t status;

    (void)state;
    start(NET_F_STATUS | NET_F_MAC);
    fake_driver_config(&driver, 6, &status, sizeof(status));
    assert_int_equal(status, 0);
    send_frame(&empty, 100);
    assert_true(fake_driver_used(&driver, TX, &used));
    fake_driver_send(&driver, RX, FAKE_DIRECT, 1,
                     (struct fake_buffer[]){ { FRAME_AT, 1526, true } });
    assert_false(fake_driver_used(&driver, RX, &used));
}

/* Three at once, the others when it is time, each without a kick. */
static void test_a_rate_limit_holds_and_goes_on(void **state)
{
    unsigned int sent = 0;

    (void)state;
    start(0);
    memcpy(fake_memory(&driver, AT, HEADER), &empty, HEADER);
    for (uint16_t i = 0; i < 9; i++)
        fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                        (struct fake_buffer[]){ { AT, HEADER }, { FRAME_AT, 60 } });
    fake_driver_kick(&driver, TX);
    assert_in_range(uplink->sends, 1, 6);
    while (fake_driver_wait(&driver, TX, &used))
        if (++sent == 9)
            break;
    assert_int_equal(sent, 9);
}

/* Frames that are dropped cost a look at them: they count as the others do. */
static void test_dropped_frames_count(void **state)
{
    unsigned int used_up = 0;

    (void)state;
    start(0);
    memcpy(fake_memory(&driver, AT, HEADER), &empty, HEADER);
    for (uint16_t i = 0; i < 60; i++)
        fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                        (struct fake_buffer[]){ { AT, HEADER }, { FRAME_AT, 5 } });
    fake_driver_kick(&driver, TX);
    while (fake_driver_used(&driver, TX, &used))
        used_up++;
    assert_in_range(used_up, 1, 30);
    assert_int_equal(uplink->sends, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_frame_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_split_of_the_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_header_too_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_frame_in_writable_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_frame_across_the_hole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frames_of_no_size_are_dropped_and_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_eagain_keeps_the_frame, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_host_keeps_the_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_of_the_host_drop_and_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frames_after_the_end_of_the_uplink, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_sent_in_part_is_flushed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_round_ends_at_the_queue_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_device_behind, set_up_without_uplink, tear_down),
        cmocka_unit_test_setup_teardown(test_dropped_frames_count, set_up_limited, tear_down),
        cmocka_unit_test_setup_teardown(test_a_rate_limit_holds_and_goes_on, set_up_limited,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
