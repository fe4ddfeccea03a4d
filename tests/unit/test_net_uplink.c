/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net when its uplink fails or ends, and when its driver goes. */
#include "tests/support/net_bench.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void test_errors_that_pass_are_tried_again(void **state)
{
    static const int errors[] = { EAGAIN, EIO, ENETDOWN, ENOMEM, ENOBUFS };
    uint64_t address;

    (void)state;
    start_sized(NET_F_MRG_RXBUF, 8);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        address = add(1526);
        uplink->receive = (struct fake_fault){ .result = -errors[i], .failures = 5 };
        fake_uplink_put(uplink, 0, frame, 500);
        fake_driver_kick(&driver, RX);
        assert_true(fake_driver_wait(&driver, RX, &used));
        assert_memory_equal(fake_memory(&driver, address + HEADER, 500), frame, 500);
    }
    assert_false(net()->ended);
}

static uint16_t link_status(void)
{
    uint16_t status;

    fake_driver_config(&driver, 6, &status, sizeof(status));
    return status;
}

/* Neither a spin for ever nor a line for each. */
static void test_an_error_that_stays_takes_the_link_down_once(void **state)
{
    unsigned int receives;

    (void)state;
    start_sized(NET_F_MRG_RXBUF | NET_F_STATUS, 8);
    assert_int_equal(link_status(), NET_S_LINK_UP);
    add(1526);
    uplink->receive = (struct fake_fault){ .result = -EIO, .failures = 100000 };
    fake_uplink_put(uplink, 0, frame, 500);
    fake_driver_kick(&driver, RX);
    run_loop_for(fixture.env.loop, 20);
    assert_int_equal(link_status(), 0);
    assert_true(fake_driver_interrupts(&driver) >= 1);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS) & 2, 2);
    receives = uplink->receives;
    add(1526);
    fake_driver_kick(&driver, RX);
    run_loop_for(fixture.env.loop, 10);
    assert_int_equal(uplink->receives, receives);
    assert_int_equal(memory_log_lines(&fixture.log), 1);
    assert_false(fake_driver_needs_reset(&driver));
}

/* The peer is gone: told once, the link goes down, and a reset does not bring it back. */
static void test_the_end_of_the_uplink(void **state)
{
    char text[512];

    (void)state;
    start_sized(NET_F_MRG_RXBUF | NET_F_STATUS, 8);
    add(1526);
    fake_driver_kick(&driver, RX);
    close(uplink->peers[0]);
    uplink->peers[0] = -1;
    fake_driver_run(&driver);
    assert_int_equal(link_status(), 0);
    start_sized(NET_F_MRG_RXBUF | NET_F_STATUS, 8);
    assert_int_equal(link_status(), 0);
    add(1526);
    fake_driver_kick(&driver, RX);
    assert_string_equal(memory_log_text(&fixture.log, text, sizeof(text)),
                        "mote: warn: net fake0: the cable was cut; the guest's link is down\n");
}

/* Buffers of before a reset are not written after it, also with half a frame in them. */
static void test_a_reset_forgets_the_buffers(void **state)
{
    uint64_t old, fresh;

    (void)state;
    start_sized(NET_F_MRG_RXBUF, 8);
    old = add(100);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 500);
    fake_driver_run(&driver);
    start_sized(NET_F_MRG_RXBUF, 8);
    memset(fake_memory(&driver, old, 100), 0xa5, 100);
    driver.next = 0x40000;
    fresh = add(1526);
    fake_uplink_put(uplink, 0, frame, 60);
    fake_driver_kick(&driver, RX);
    expect_frame(fresh, 60);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(*(uint8_t *)fake_memory(&driver, old + i, 1), 0xa5);
}

/* While the driver is not there, nobody reads. */
static void test_no_reads_after_a_reset(void **state)
{
    unsigned int before;

    (void)state;
    start_sized(NET_F_MRG_RXBUF, 8);
    add(1526);
    fake_driver_kick(&driver, RX);
    fake_driver_reset(&driver);
    before = uplink->receives;
    fake_uplink_put(uplink, 0, frame, 60);
    run_loop_for(fixture.env.loop, 10);
    assert_int_equal(uplink->receives, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_errors_that_pass_are_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_error_that_stays_takes_the_link_down_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_end_of_the_uplink, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_reset_forgets_the_buffers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_reads_after_a_reset, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
