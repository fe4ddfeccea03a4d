/* SPDX-License-Identifier: Apache-2.0 */
/* A network device saved amid frames of both directions. */
#include "tests/support/net_bench.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/saved.h"

/* Two pairs of queues, as many as the uplinks that it moves to. */
static int set_up_pairs(void **state)
{
    static const struct fake_net_options plain;

    (void)state;
    return set_up_with(&plain, 2);
}

/* To a new uplink, as a new process has it. */
static void move(void)
{
    struct fake_uplink *next = fake_uplink_create(2);

    options.uplink = next;
    fake_driver_move(&driver, &fake_net_class, &options);
    uplink = next;
}

/* The device has popped buffers for what may come; they come in their order all the same. */
static void test_buffers_wait_for_frames_over_moves(void **state)
{
    uint64_t addresses[40];

    (void)state;
    fake_driver_start(&driver, NET_F_MRG_RXBUF, 2);
    for (unsigned int i = 0; i < 40; i++)
        addresses[i] = add(1526);
    fake_driver_kick(&driver, RX);
    for (unsigned int i = 0; i < 40; i++) {
        if (i % 4 == 1) {
            move();
            fake_driver_run(&driver);
        }
        fake_uplink_put(uplink, 0, frame, 100 + i);
        fake_driver_run(&driver);
        expect_frame(addresses[i], 100 + i);
        assert_false(fake_driver_used(&driver, RX, &used));
    }
}

/* The saved device lost neither a buffer nor the frame that waits in some for more of them. */
static void test_a_frame_that_waits_for_buffers_stays(void **state)
{
    struct saved saved, again;
    uint64_t first, second, third;

    (void)state;
    fake_driver_start(&driver, NET_F_MRG_RXBUF, 2);
    first = add(500);
    second = add(600);
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 1400);
    fake_driver_run(&driver);
    assert_false(fake_driver_used(&driver, RX, &used));
    assert_true(net()->pairs[0].window.frame > 0);
    device_save(driver.device, &saved);
    device_save(driver.device, &again);
    assert_true(saved_equal(&saved, &again));
    memset(fake_memory(&driver, first, 500), 0, 500);
    memset(fake_memory(&driver, second, 600), 0, 600);
    third = add(1000);
    fake_driver_kick(&driver, RX);
    assert_true(fake_driver_used(&driver, RX, &used));
    assert_int_equal(used.length, 500);
    assert_memory_equal(fake_memory(&driver, first + HEADER, 488), frame, 488);
    assert_true(fake_driver_used(&driver, RX, &used));
    assert_int_equal(used.length, 600);
    assert_memory_equal(fake_memory(&driver, second, 600), frame + 488, 600);
    assert_true(fake_driver_used(&driver, RX, &used));
    assert_int_equal(used.length, 1400 - 1088);
    assert_memory_equal(fake_memory(&driver, third, 312), frame + 1088, 312);
    assert_false(fake_driver_used(&driver, RX, &used));
    assert_int_equal(net()->counters.received, 1);
    saved_release(&saved);
    saved_release(&again);
}

static void send_number(uint8_t number)
{
    uint64_t address = 0x1000 + 128u * number;

    memset(fake_memory(&driver, address, 112), 0, HEADER);
    memset(fake_memory(&driver, address + HEADER, 100), number, 100);
    fake_driver_add(&driver, TX, FAKE_DIRECT, 1, (struct fake_buffer[]){ { address, 112 } });
}

static void expect_left(uint8_t number)
{
    uint8_t bytes[256];

    assert_int_equal(fake_uplink_take(uplink, 0, bytes, sizeof(bytes)), HEADER + 100);
    assert_int_equal(bytes[HEADER], number);
}

/* Frames that could not leave leave by the new uplink, once. */
static void test_frames_that_were_stuck_leave(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, 2);
    uplink->send = (struct fake_fault){ -EAGAIN, 1000 };
    for (uint8_t i = 0; i < 3; i++)
        send_number(i);
    fake_driver_kick(&driver, TX);
    assert_int_equal(fake_used_index(&driver, TX), 0);
    move();
    fake_driver_run(&driver);
    for (uint8_t i = 0; i < 3; i++) {
        expect_left(i);
        assert_true(fake_driver_used(&driver, TX, &used));
    }
    assert_int_equal(fake_uplink_take(uplink, 0, frame, sizeof(frame)), 0);
}

/* Each process has its own random MAC address; what the driver read stays. */
static void test_the_mac_address_stays_unless_one_is_given(void **state)
{
    static const uint8_t given[6] = { 2, 1, 2, 3, 4, 5 };
    uint8_t before[6], after[6];
    uint32_t generation;

    (void)state;
    fake_driver_start(&driver, NET_F_MAC, 2);
    fake_driver_config(&driver, 0, before, 6);
    move();
    fake_driver_config(&driver, 0, after, 6);
    assert_memory_equal(before, after, 6);
    fake_driver_run(&driver);
    assert_int_equal(fake_driver_interrupts(&driver), 0);
    memcpy(options.net.mac, given, 6);
    generation = fake_driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION);
    move();
    fake_driver_config(&driver, 0, after, 6);
    assert_memory_equal(after, given, 6);
    assert_int_not_equal(fake_driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), generation);
}

/* Under another address it is another link: the driver sees the old one go, and after a while the new one. */
static void test_another_mac_address_is_another_link(void **state)
{
    uint16_t status;

    (void)state;
    fake_driver_start(&driver, NET_F_MAC | NET_F_STATUS, 2);
    memcpy(options.net.mac, "\2\1\2\3\4\5", 6);
    move();
    fake_driver_run(&driver);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    fake_driver_config(&driver, 6, &status, 2);
    assert_int_equal(status, 0);
    fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, 2);
    /* Saved once more meanwhile, it is up at once. */
    move();
    fake_driver_run(&driver);
    fake_driver_config(&driver, 6, &status, 2);
    assert_int_equal(status, NET_S_LINK_UP);
    fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, 2);
    fake_driver_interrupts(&driver);
    options.net.mac[5] = 6;
    move();
    fake_driver_config(&driver, 6, &status, 2);
    assert_int_equal(status, 0);
    for (int i = 0; i < 200 && status == 0; i++) {
        usleep(10000);
        fake_driver_run(&driver);
        fake_driver_config(&driver, 6, &status, 2);
    }
    assert_int_equal(status, NET_S_LINK_UP);
    assert_int_equal(fake_driver_interrupts(&driver), 2);
}

static void test_the_offloads_are_set_again(void **state)
{
    (void)state;
    fake_driver_start(&driver, NET_F_GUEST_CSUM | NET_F_GUEST_TSO4, 2);
    assert_int_equal(uplink->offloads_set, UPLINK_CHECKSUM | UPLINK_TSO4);
    move();
    assert_int_equal(uplink->offloads_set, UPLINK_CHECKSUM | UPLINK_TSO4);
    assert_int_equal(uplink->pairs_set, 1);
}

static void test_the_pairs_stay_in_use(void **state)
{
    static const struct { uint8_t class, command; uint16_t pairs; } command = { 4, 0, 2 };
    const struct fake_buffer buffers[] = { { 0x1000, 4 }, { 0x1010, 1, true } };
    uint64_t address;

    (void)state;
    fake_driver_start(&driver, NET_F_MQ | NET_F_CTRL_VQ, 5);
    memcpy(fake_memory(&driver, 0x1000, 4), &command, 4);
    fake_driver_send(&driver, 4, FAKE_DIRECT, 2, buffers);
    assert_int_equal(uplink->pairs_set, 2);
    move();
    fake_driver_run(&driver);
    assert_int_equal(uplink->pairs_set, 2);
    address = fake_alloc(&driver, 1526, 1);
    fake_driver_send(&driver, 2, FAKE_DIRECT, 1, (struct fake_buffer[]){ { address, 1526, true } });
    fake_uplink_put(uplink, 1, frame, 300);
    fake_driver_run(&driver);
    assert_true(fake_driver_used(&driver, 2, &used));
    assert_int_equal(used.length, HEADER + 300);
}

/* The saved one's uplink had ended; the new one's works: the driver hears of it, by the loop. */
static void test_a_new_link_is_told(void **state)
{
    uint16_t status;

    (void)state;
    fake_driver_start(&driver, NET_F_STATUS, 2);
    add(1526);
    uplink->receive = (struct fake_fault){ -EPIPE, 1 };
    fake_driver_kick(&driver, RX);
    fake_uplink_put(uplink, 0, frame, 100);
    fake_driver_run(&driver);
    fake_driver_config(&driver, 6, &status, 2);
    assert_int_equal(status, 0);
    fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, 3);
    fake_driver_interrupts(&driver);
    move();
    assert_int_equal(fake_driver_interrupts(&driver), 0);
    /* It is not lost when that one is moved before its loop ran. */
    move();
    fake_driver_run(&driver);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    fake_driver_config(&driver, 6, &status, 2);
    assert_int_equal(status, NET_S_LINK_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_buffers_wait_for_frames_over_moves, set_up_pairs, tear_down),
        cmocka_unit_test_setup_teardown(test_a_frame_that_waits_for_buffers_stays, set_up_pairs,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_frames_that_were_stuck_leave, set_up_pairs, tear_down),
        cmocka_unit_test_setup_teardown(test_the_mac_address_stays_unless_one_is_given, set_up_pairs,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_another_mac_address_is_another_link, set_up_pairs, tear_down),
        cmocka_unit_test_setup_teardown(test_the_offloads_are_set_again, set_up_pairs, tear_down),
        cmocka_unit_test_setup_teardown(test_the_pairs_stay_in_use, set_up_pairs, tear_down),
        cmocka_unit_test_setup_teardown(test_a_new_link_is_told, set_up_pairs, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
