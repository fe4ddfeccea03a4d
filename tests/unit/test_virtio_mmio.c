/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of virtio-mmio (virtio 1.2, 4.2.2); what lies behind them is test_virtio_transport.c's. */
#include "tests/support/echo_bench.h"

#include <string.h>

static void test_who_it_is(void **state)
{
    (void)state;
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_VERSION), 2);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_DEVICE_ID), 42);
    assert_int_not_equal(fake_driver_read(&driver, VIRTIO_MMIO_VENDOR_ID), 0);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_SHM_BASE_LOW), UINT32_MAX);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);
}

static void test_registers_by_odd_widths_and_offsets(void **state)
{
    struct virtio_device before;
    uint8_t bytes[8];

    (void)state;
    fake_driver_start(&driver, 0, 1);
    before = echo()->virtio;
    for (uint64_t offset = 0; offset < VIRTIO_MMIO_CONFIG; offset++) {
        for (size_t length = 1; length <= 8; length *= 2) {
            if (length == 4 && offset % 4 == 0)
                continue;
            memset(bytes, 0x55, sizeof(bytes));
            device_write(driver.device, offset, (const uint8_t[8]){ 0 }, length);
            device_write(driver.device, offset, bytes, length);
            device_read(driver.device, offset, bytes, length);
            for (size_t i = 0; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], i < length ? 0 : 0x55);
        }
    }
    assert_memory_equal(&before, &echo()->virtio, sizeof(before));
    assert_int_equal(echo()->resets, 1); /* the one of the start */
}

static void test_registers_that_do_not_exist(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, 1);
    for (uint64_t offset = 0; offset < VIRTIO_MMIO_CONFIG; offset += 4) {
        if (offset == VIRTIO_MMIO_STATUS)
            continue;
        fake_driver_write(&driver, offset, UINT32_MAX);
        fake_driver_read(&driver, offset);
    }
    assert_false(fake_driver_needs_reset(&driver));
    echo_once(0, FAKE_DIRECT);
}

static void test_registers_that_are_written_alone(void **state)
{
    static const uint64_t written[] = {
        VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES,
        VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
        VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
        VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_QUEUE_SEL, VIRTIO_MMIO_QUEUE_NOTIFY,
        VIRTIO_MMIO_INTERRUPT_ACK,
    };

    (void)state;
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
        fake_driver_write(&driver, written[i], 1);
        assert_int_equal(fake_driver_read(&driver, written[i]), 0);
    }
}

static void test_interrupt_status_and_acknowledgement(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, 1);
    echo_once(0, FAKE_DIRECT);
    virtio_config_changed(&echo()->virtio);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
    fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    virtio_config_changed(&echo()->virtio);
    fake_driver_reset(&driver);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    assert_int_equal(fixture.irq.repeated, 0);
    assert_false(fixture.irq.high);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_MMIO(test_who_it_is),
        OVER_MMIO(test_registers_by_odd_widths_and_offsets),
        OVER_MMIO(test_registers_that_do_not_exist),
        OVER_MMIO(test_registers_that_are_written_alone),
        OVER_MMIO(test_interrupt_status_and_acknowledgement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
