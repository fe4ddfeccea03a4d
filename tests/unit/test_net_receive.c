/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net, frames to the guest: every split of its buffers, and drivers that give too few. */
#include "tests/support/net_bench.h"

#include <string.h>

static void test_a_frame_arrives(void **state)
{
    uint64_t address;

    (void)state;
    start_sized(0, 8);
    address = add(1526);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 1000);
    fake_driver_run(&driver);
    expect_frame(address, 1000);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    assert_false(fake_driver_used(&driver, RX, &used));
}

/* CVE-2020-16843: a device whose guest has no buffers must neither spin nor stay asleep. */
static void test_no_buffers_no_reads_and_armed_again_when_they_come(void **state)
{
    uint64_t address;
    unsigned int before;

    (void)state;
    start_sized(NET_F_MRG_RXBUF, 8);
    for (unsigned int i = 0; i < 3; i++)
        fake_uplink_put(uplink, 0, frame, 100 + i);
    before = uplink->receives;
    fake_uplink_expect_idle(fixture.env.loop);
    assert_int_equal(uplink->receives, before);
    for (unsigned int i = 0; i < 3; i++) {
        /* The driver is asked to tell of this buffer. */
        assert_int_equal(fake_avail_event(&driver, RX), i);
        address = add(1526);
        fake_driver_kick(&driver, RX);
        expect_frame(address, 100 + i);
    }
    /* The last buffer was taken: asleep again, with a frame that waits. */
    fake_uplink_put(uplink, 0, frame, 200);
    before = uplink->receives;
    fake_uplink_expect_idle(fixture.env.loop);
    assert_int_equal(uplink->receives, before);
    address = add(1526);
    fake_driver_kick(&driver, RX);
    expect_frame(address, 200);
}

static void test_a_frame_over_several_buffers(void **state)
{
    static const uint32_t sizes[] = { 12, 1, 1000, 500, 700, 4000 };
    uint64_t addresses[6];
    size_t at = 0;

    (void)state;
    start_sized(NET_F_MRG_RXBUF, 8);
    addresses[0] = 0;
    for (size_t i = 0; i < 6; i++)
        addresses[i] = add(sizes[i] < 12 ? 12 : sizes[i]);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 3000);
    fake_driver_run(&driver);
    assert_int_equal(buffers_of(addresses[0]), 6);
    assert_true(fake_driver_used(&driver, RX, &used));
    assert_int_equal(used.length, HEADER);
    for (size_t i = 1; i < 6; i++) {
        assert_true(fake_driver_used(&driver, RX, &used));
        assert_memory_equal(fake_memory(&driver, addresses[i], used.length), frame + at,
                            used.length);
        at += used.length;
    }
    assert_int_equal(at, 3000);
    assert_false(fake_driver_used(&driver, RX, &used));
}

static void test_a_header_split_into_single_bytes(void **state)
{
    uint64_t address;
    struct fake_buffer pieces[14];

    (void)state;
    start_sized(0, 16);
    address = fake_alloc(&driver, 1526, 1);
    for (unsigned int i = 0; i < 13; i++)
        pieces[i] = (struct fake_buffer){ address + i, 1, true };
    pieces[13] = (struct fake_buffer){ address + 13, 1526 - 13, true };
    fake_driver_send(&driver, RX, FAKE_DIRECT, 14, pieces);
    fake_uplink_put(uplink, 0, frame, 600);
    fake_driver_run(&driver);
    expect_frame(address, 600);
}

/* Without MRG_RXBUF a frame has one buffer: what is larger is dropped, the buffer stays. */
static void test_a_frame_larger_than_its_buffer_is_dropped_and_counted(void **state)
{
    uint64_t address;
    char text[1024];

    (void)state;
    start_sized(0, 8);
    address = add(1526);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 1515);
    fake_uplink_put(uplink, 0, frame, UPLINK_FRAME_MAX);
    fake_uplink_put(uplink, 0, frame, 1514);
    fake_driver_run(&driver);
    expect_frame(address, 1514);
    assert_int_equal(net()->counters.received_dropped, 2);
    assert_int_equal(net()->counters.received, 1);
    assert_non_null(strstr(memory_log_text(&fixture.log, text, sizeof(text)),
                           "net fake0: dropped a frame of 1515 bytes"));
}

/* With MRG_RXBUF it waits for more of them, and nothing of it is lost. */
static void test_a_large_frame_waits_for_more_buffers(void **state)
{
    uint64_t first, second;

    (void)state;
    start_sized(NET_F_MRG_RXBUF | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4, 8);
    first = add(1000);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 60000);
    fake_driver_run(&driver);
    assert_false(fake_driver_used(&driver, RX, &used));
    fake_uplink_expect_idle(fixture.env.loop);
    second = add(60000);
    fake_driver_kick(&driver, RX);
    assert_true(fake_driver_used(&driver, RX, &used));
    assert_int_equal(used.length, 1000);
    assert_int_equal(buffers_of(first), 2);
    assert_memory_equal(fake_memory(&driver, first + HEADER, 988), frame, 988);
    assert_true(fake_driver_used(&driver, RX, &used));
    assert_int_equal(used.length, HEADER + 60000 - 1000);
    assert_memory_equal(fake_memory(&driver, second, used.length), frame + 988, used.length);
    assert_int_equal(net()->counters.received_dropped, 0);
}

/* All that the queue can hold is too little: waiting for more would be for ever. */
static void test_a_frame_larger_than_the_whole_queue_is_dropped(void **state)
{
    uint64_t addresses[4];

    (void)state;
    start_sized(NET_F_MRG_RXBUF, 4);
    for (size_t i = 0; i < 4; i++)
        addresses[i] = add(100);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 401 - HEADER);
    fake_uplink_put(uplink, 0, frame, 60);
    fake_driver_run(&driver);
    expect_frame(addresses[0], 60);
    assert_int_equal(net()->counters.received_dropped, 1);
    /* Three are left, and a fourth that comes back makes 400 again. */
    addresses[0] = add(100);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 400 - HEADER);
    fake_driver_run(&driver);
    for (size_t i = 0; i < 4; i++)
        assert_true(fake_driver_used(&driver, RX, &used));
    assert_int_equal(buffers_of(addresses[1]), 4);
}

/* Buffers of as many pieces as can be: the window fills before they make a frame. */
static void test_buffers_of_single_bytes_fill_the_window(void **state)
{
    struct fake_buffer pieces[200];
    uint64_t address;

    (void)state;
    start_sized(NET_F_MRG_RXBUF | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4, 256);
    address = fake_alloc(&driver, 200, 1);
    for (unsigned int i = 0; i < 200; i++)
        pieces[i] = (struct fake_buffer){ address + i, 1, true };
    for (unsigned int i = 0; i < 20; i++)
        fake_driver_add(&driver, RX, FAKE_INDIRECT, 200, pieces);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 1400);
    fake_uplink_put(uplink, 0, frame, 188);
    fake_driver_run(&driver);
    assert_int_equal(net()->counters.received_dropped, 1);
    expect_frame(address, 188);
    for (unsigned int i = 0; i < 40; i++) {
        fake_uplink_put(uplink, 0, frame, 150);
        fake_driver_add(&driver, RX, FAKE_INDIRECT, 200, pieces);
        fake_driver_kick(&driver, RX);
        expect_frame(address, 150);
    }
}

static void test_a_buffer_without_room_for_the_header(void **state)
{
    char text[512];

    (void)state;
    start_sized(NET_F_MRG_RXBUF, 8);
    add(HEADER - 1);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 100);
    fake_driver_run(&driver);
    assert_true(fake_driver_needs_reset(&driver));
    assert_non_null(strstr(memory_log_text(&fixture.log, text, sizeof(text)), "broke the rules"));
}

static void test_a_receive_buffer_that_is_readable(void **state)
{
    (void)state;
    start_sized(NET_F_MRG_RXBUF, 8);
    fake_driver_send(&driver, RX, FAKE_DIRECT, 2,
                     (struct fake_buffer[]){ { 0x100, 64 }, { 0x200, 1526, true } });
    assert_true(fake_driver_needs_reset(&driver));
}

static void test_a_buffer_across_the_hole(void **state)
{
    (void)state;
    start_sized(NET_F_MRG_RXBUF, 8);
    fake_driver_send(&driver, RX, FAKE_DIRECT, 1,
                     (struct fake_buffer[]){ { FIXTURE_LOW_SIZE - 100, 1526, true } });
    assert_true(fake_driver_needs_reset(&driver));
}

static void test_a_runt_from_the_network_is_dropped(void **state)
{
    uint64_t address;

    (void)state;
    start_sized(NET_F_MRG_RXBUF, 8);
    address = add(1526);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 13);
    fake_uplink_put(uplink, 0, frame, 14);
    fake_driver_run(&driver);
    expect_frame(address, 14);
    assert_int_equal(net()->counters.received_dropped, 1);
}

/* A flood of small frames into a queue that the guest keeps full: the loop serves others. */
static void test_a_round_ends_at_the_queue_size(void **state)
{
    (void)state;
    start_sized(NET_F_MRG_RXBUF, 256);
    for (unsigned int i = 0; i < 256; i++)
        add(128);
    uplink->receive = (struct fake_fault){ .result = 20, .failures = 10000 };
    pthread_mutex_lock(&driver.device->lock);
    net_class.kick(&net()->virtio, RX);
    pthread_mutex_unlock(&driver.device->lock);
    assert_true(uplink->receives <= NET_QUEUE_SIZE + 1);
    uplink->receive.failures = 0;
}

static void test_70000_frames(void **state)
{
    uint64_t address;

    (void)state;
    start_sized(NET_F_MRG_RXBUF, 4);
    address = fake_alloc(&driver, 1526, 1);
    for (uint32_t i = 0; i < 70000; i++) {
        fake_driver_add(&driver, RX, FAKE_DIRECT, 1,
                        (struct fake_buffer[]){ { address, 1526, true } });
        uplink->receive = (struct fake_fault){ .result = 60, .failures = 1 };
        pthread_mutex_lock(&driver.device->lock);
        net_class.kick(&net()->virtio, RX);
        pthread_mutex_unlock(&driver.device->lock);
        assert_true(fake_driver_used(&driver, RX, &used));
        assert_int_equal(used.length, 60);
    }
    assert_int_equal(net()->counters.received, 70000);
}

/* Three frames at once to the guest, one each 10 ms after that; the other way as many as it likes. */
static int set_up_limited(void **state)
{
    static const struct fake_net_options limited = {
        .net.receive_rate.operations = { .size = 3, .refill_ns = 30000000 },
    };

    (void)state;
    return set_up_with(&limited, 1);
}

static void test_a_rate_limit_holds_and_goes_on(void **state)
{
    unsigned int count = 0;

    (void)state;
    start_sized(0, 16);
    for (unsigned int i = 0; i < 8; i++) {
        add(1526);
        fake_uplink_put(uplink, 0, frame, 100);
    }
    fake_driver_kick(&driver, RX);
    while (fake_driver_used(&driver, RX, &used))
        count++;
    assert_in_range(count, 3, 8); /* more than three only when this machine is slow */
    for (; count < 8; count++)
        assert_true(fake_driver_wait(&driver, RX, &used));
    for (unsigned int i = 0; i < 8; i++) {
        uint64_t address = fake_alloc(&driver, HEADER + 60, 1);

        fake_driver_add(&driver, TX, FAKE_DIRECT, 1,
                        (struct fake_buffer[]){ { address, HEADER + 60, false } });
    }
    fake_driver_kick(&driver, TX);
    for (count = 0; fake_driver_used(&driver, TX, &used); count++)
        ;
    assert_int_equal(count, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_frame_arrives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_rate_limit_holds_and_goes_on, set_up_limited,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_no_buffers_no_reads_and_armed_again_when_they_come, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_frame_over_several_buffers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_header_split_into_single_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_frame_larger_than_its_buffer_is_dropped_and_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_large_frame_waits_for_more_buffers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_frame_larger_than_the_whole_queue_is_dropped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_buffers_of_single_bytes_fill_the_window, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_buffer_without_room_for_the_header, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_receive_buffer_that_is_readable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_buffer_across_the_hole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_runt_from_the_network_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_round_ends_at_the_queue_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_70000_frames, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
