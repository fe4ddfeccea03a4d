/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <string.h>

#include "devices/registry.h"

static void test_power_off(void **state)
{
    struct fixture fixture;
    struct device *device;

    (void)state;
    fixture_init(&fixture);
    device = device_make(&fixture, &power_ops, NULL);
    device_out(device, 0, 5 << 2); /* the type alone does nothing */
    assert_int_equal(fixture.events.count[GUEST_POWER_OFF], 0);
    assert_int_equal(device_in(device, 0), 5 << 2);
    device_out(device, 0, 5 << 2 | 0x20);
    assert_int_equal(fixture.events.count[GUEST_POWER_OFF], 1);
    assert_string_equal(fixture.events.source, "ACPI power-off");
    assert_int_equal(device_in(device, 0) & 0x20, 0);
    device->ops->destroy(device);
    fixture_release(&fixture);
}

static void test_other_sleep_types(void **state)
{
    struct fixture fixture;
    struct device *device;

    (void)state;
    fixture_init(&fixture);
    device = device_make(&fixture, &power_ops, NULL);
    for (unsigned int value = 0; value < 256; value++) {
        unsigned int expected = (value & 0x3c) == (0x20 | 5 << 2);
        unsigned int before = fixture.events.count[GUEST_POWER_OFF];

        device_out(device, 0, (uint8_t)value);
        assert_int_equal(fixture.events.count[GUEST_POWER_OFF] - before, expected);
    }
    for (unsigned int i = 0; i < 100000; i++)
        device_out(device, 0, 0x20);
    assert_true(memory_log_lines(&fixture.log) <= 11);
    device->ops->destroy(device);
    fixture_release(&fixture);
}

static void test_reset(void **state)
{
    struct fixture fixture;
    struct device *device;

    (void)state;
    fixture_init(&fixture);
    device = device_make(&fixture, &power_ops, NULL);
    for (unsigned int value = 0; value < 256; value++)
        device_out(device, 2, (uint8_t)value);
    assert_int_equal(fixture.events.count[GUEST_RESET], 1);
    assert_string_equal(fixture.events.source, "ACPI reset register");
    assert_int_equal(fixture.events.count[GUEST_POWER_OFF], 0);
    device->ops->destroy(device);
    fixture_release(&fixture);
}

static void test_every_offset_and_width(void **state)
{
    struct fixture fixture;
    struct device *device;
    uint8_t bytes[8];

    (void)state;
    fixture_init(&fixture);
    device = device_make(&fixture, &power_ops, NULL);
    for (uint64_t offset = 0; offset < 16; offset++) {
        for (size_t length = 1; length <= 8; length *= 2) {
            memset(bytes, 0xa5, sizeof(bytes));
            device_read(device, offset, bytes, length);
            for (size_t i = 0; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], i < length ? 0 : 0xa5);
            memset(bytes, 0, sizeof(bytes));
            device_write(device, offset, bytes, length);
        }
    }
    /* A wide write reaches each register by its own byte. */
    memcpy(bytes, (uint8_t[]){ 0x34, 0, 1, 0 }, 4);
    device_write(device, 0, bytes, 4);
    assert_int_equal(fixture.events.count[GUEST_POWER_OFF], 1);
    assert_int_equal(fixture.events.count[GUEST_RESET], 1);
    device->ops->destroy(device);
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_off),
        cmocka_unit_test(test_other_sleep_types),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_every_offset_and_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
