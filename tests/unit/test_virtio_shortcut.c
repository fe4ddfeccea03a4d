/* SPDX-License-Identifier: Apache-2.0 */
/* The shortcut that a busy virtio-mmio device takes for its interrupts (devices/virtio/mmio_internal.h). */
#include "tests/support/echo_bench.h"

#include <errno.h>
#include <string.h>

#define BUSY 64

static int set_up_started(void **state)
{
    set_up(state);
    fake_driver_start(&driver, 4, ECHO_QUEUES);
    return 0;
}

static struct virtio_device *device(void)
{
    return virtio_device_of(driver.device);
}

/* A chain through the device, and what a driver's handler does: 1 for each interrupt that it took. */
static unsigned int one_interrupt(void)
{
    const struct fake_buffer buffer = { 0x100, 8, true };
    struct virtq_used_element used;
    uint32_t reasons;

    fake_set_used_event(&driver, 0, fake_used_index(&driver, 0));
    fake_driver_send(&driver, 0, FAKE_DIRECT, 1, &buffer);
    if (fake_driver_interrupts(&driver) == 0)
        return 0;
    reasons = fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS);
    fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, reasons);
    assert_int_equal(reasons, VIRTIO_INTERRUPT_USED);
    assert_true(fake_driver_used(&driver, 0, &used));
    return 1;
}

static void interrupts(unsigned int count)
{
    for (unsigned int i = 0; i < count; i++)
        assert_int_equal(one_interrupt(), 1);
}

static void test_a_busy_device_takes_it(void **state)
{
    (void)state;
    interrupts(BUSY - 1);
    assert_null(driver.shortcut.page);
    interrupts(1);
    assert_non_null(driver.shortcut.page);
    interrupts(300);
    assert_int_equal(driver.shortcut.shows, 1);
}

/* As without it: a bit stands from its interrupt to its acknowledgement (4.2.2). */
static void test_what_was_acknowledged_reads_as_0(void **state)
{
    const struct fake_buffer buffer = { 0x100, 8, true };

    (void)state;
    for (unsigned int i = 0; i < 3 * BUSY; i++) {
        interrupts(1);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        /* One that is not acknowledged at once stands. */
        fake_set_used_event(&driver, 0, fake_used_index(&driver, 0));
        fake_driver_send(&driver, 0, FAKE_DIRECT, 1, &buffer);
        fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_INTERRUPT_CONFIG);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_INTERRUPT_USED);
        fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_INTERRUPT_USED);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        while (fake_driver_used(&driver, 0, &(struct virtq_used_element){ 0 }))
            ;
        fake_driver_interrupts(&driver);
    }
    assert_non_null(driver.shortcut.page);
}

/* The page is what the registers would have said, one by one. */
static void test_the_page(void **state)
{
    uint32_t before[VIRTIO_MMIO_CONFIG / 4];
    uint8_t config[ECHO_CONFIG_SIZE];

    (void)state;
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, 1);
    for (unsigned int i = 0; i < VIRTIO_MMIO_CONFIG / 4; i++)
        before[i] = fake_driver_read(&driver, 4 * i);
    fake_driver_config(&driver, 0, config, sizeof(config));
    interrupts(BUSY);
    assert_memory_equal(driver.shortcut.page, before, sizeof(before));
    assert_memory_equal(driver.shortcut.page + VIRTIO_MMIO_CONFIG, config, sizeof(config));
    for (unsigned int i = VIRTIO_MMIO_CONFIG + ECHO_CONFIG_SIZE; i < VIRTIO_MMIO_SIZE; i++)
        assert_int_equal(driver.shortcut.page[i], 0);
}

static void test_a_change_ends_it(void **state)
{
    (void)state;
    interrupts(BUSY);
    /* The device's: the driver must see the reason and the generation. */
    virtio_config_changed(device());
    assert_null(driver.shortcut.page);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS),
                     VIRTIO_INTERRUPT_CONFIG);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), 1);
    fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, 3);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    fake_driver_interrupts(&driver);
    /* And again, with the generation that there is now. */
    interrupts(BUSY);
    assert_int_equal(driver.shortcut.page[VIRTIO_MMIO_CONFIG_GENERATION], 1);
    /* The driver's. */
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, 99);
    assert_null(driver.shortcut.page);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
    interrupts(BUSY);
    fake_driver_write(&driver, VIRTIO_MMIO_CONFIG, 0x55);
    assert_null(driver.shortcut.page);
    interrupts(BUSY);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
    assert_null(driver.shortcut.page);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_STATUS), 0);
}

static void test_needs_reset_ends_it(void **state)
{
    (void)state;
    interrupts(BUSY);
    virtio_needs_reset(device(), "a test");
    assert_null(driver.shortcut.page);
    assert_true(fake_driver_needs_reset(&driver));
    for (unsigned int i = 0; i < 4 * BUSY; i++)
        fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS);
    assert_null(driver.shortcut.page);
}

/* A change that the driver has not looked at yet must not be hidden by the page. */
static void test_a_reason_that_waits(void **state)
{
    (void)state;
    virtio_config_changed(device());
    for (unsigned int i = 0; i < 4 * BUSY; i++)
        assert_true(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS) &
                    VIRTIO_INTERRUPT_CONFIG);
    assert_null(driver.shortcut.page);
}

static void test_who_never_runs_the_device(void **state)
{
    (void)state;
    fake_driver_reset(&driver);
    for (unsigned int i = 0; i < 4 * BUSY; i++)
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    assert_int_equal(driver.shortcut.shows, 0);
}

static void test_what_kvm_refuses(void **state)
{
    (void)state;
    driver.shortcut.refuse_page = -EINVAL;
    interrupts(4 * BUSY);
    assert_null(driver.shortcut.page);
    driver.shortcut.refuse_page = 0;
    interrupts(BUSY);
    assert_non_null(driver.shortcut.page);
    interrupts(100);
    assert_int_equal(driver.shortcut.shows, 1);
}

#define SHORTCUT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHORTCUT_TEST(test_a_busy_device_takes_it),
        SHORTCUT_TEST(test_what_was_acknowledged_reads_as_0),
        SHORTCUT_TEST(test_the_page),
        SHORTCUT_TEST(test_a_change_ends_it),
        SHORTCUT_TEST(test_needs_reset_ends_it),
        SHORTCUT_TEST(test_a_reason_that_waits),
        SHORTCUT_TEST(test_who_never_runs_the_device),
        SHORTCUT_TEST(test_what_kvm_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
