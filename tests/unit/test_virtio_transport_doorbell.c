/* SPDX-License-Identifier: Apache-2.0 */
/* The transport: busy queues are told of by an eventfd. */
#include "tests/support/echo_bench.h"

#include <errno.h>
#include <sys/eventfd.h>

static void kick_times(unsigned int queue, unsigned int times)
{
    for (unsigned int i = 0; i < times; i++)
        fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static void test_a_busy_queue_gets_a_doorbell(void **state)
{
    (void)state;
    for (unsigned int round = 1; round <= 2; round++) {
        fake_driver_start(&driver, 0, ECHO_QUEUES);
        kick_times(1, 63);
        kick_times(2, 1);
        assert_int_equal(driver.doorbell.attached, 0);
        kick_times(1, 1);
        assert_int_equal(driver.doorbell.attached, 1);
        assert_int_equal(driver.doorbell.value, 1);
        assert_int_equal(driver.doorbell.address,
                         FAKE_WINDOW_BASE + fake_driver_place(&driver, VIRTIO_MMIO_QUEUE_NOTIFY));
        /* KVM rings it from now on; a plain exit that comes still is served. */
        fake_driver_run(&driver);
        echo()->kicks[1] = 0;
        assert_int_equal(eventfd_write(driver.doorbell.event_fd, 1), 0);
        fake_driver_run(&driver);
        assert_int_equal(echo()->kicks[1], 1);
        fake_driver_kick(&driver, 1);
        assert_int_equal(echo()->kicks[1], 2);
        kick_times(1, 200);
        assert_int_equal(driver.doorbell.attaches, round);
        fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
        assert_int_equal(driver.doorbell.attached, 0);
    }
}

static void test_a_reset_forgets_how_busy_a_queue_was(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, 1);
    kick_times(0, 63);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
    kick_times(0, 200); /* nobody is at home: no doorbell either */
    assert_int_equal(driver.doorbell.attaches, 0);
    fake_driver_start(&driver, 0, 1);
    kick_times(0, 63);
    assert_int_equal(driver.doorbell.attaches, 0);
}

static void test_a_doorbell_that_is_refused(void **state)
{
    (void)state;
    driver.doorbell.refuse = -ENOSPC;
    fake_driver_start(&driver, 0, 1);
    kick_times(0, 200);
    assert_int_equal(driver.doorbell.attached, 0);
    assert_int_equal(driver.doorbell.refusals, 200 / 64); /* KVM is not asked each time */
    echo_once(0, FAKE_DIRECT);
    driver.doorbell.refuse = 0;
    kick_times(0, 64);
    assert_int_equal(driver.doorbell.attached, 1);
}

static unsigned int to_come;

static void refill(void)
{
    const struct fake_buffer buffer = { 0x100, 8, true };
    struct virtq_used_element used;

    fake_driver_used(&driver, 0, &used); /* its descriptor is free */
    if (to_come == 0)
        return;
    to_come--;
    fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
}

/* A driver that refills its queue as it is served has one round in each turn of the loop. */
static void test_a_driver_that_refills_its_queue_waits_its_turn(void **state)
{
    const unsigned int size = 8, requests = 30;

    (void)state;
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
    fake_driver_queue(&driver, 0, size);
    fake_driver_ready(&driver);
    echo()->serves = refill;
    to_come = requests;
    refill();
    fake_driver_kick(&driver, 0);
    assert_int_equal(to_come, 0);
    assert_int_equal(echo()->chains, requests);
    assert_int_equal(echo()->kicks[0], (requests + size - 1) / size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_EACH(test_a_busy_queue_gets_a_doorbell),
        OVER_EACH(test_a_reset_forgets_how_busy_a_queue_was),
        OVER_EACH(test_a_doorbell_that_is_refused),
        OVER_EACH(test_a_driver_that_refills_its_queue_waits_its_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
