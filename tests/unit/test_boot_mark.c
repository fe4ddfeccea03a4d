/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <string.h>

#include "devices/registry.h"

static void test_marks(void **state)
{
    static const uint8_t value[] = { 0x78, 0x56, 0x34, 0x12 };
    struct fixture fixture;
    struct device *device;
    uint8_t bytes[4];

    (void)state;
    fixture_init(&fixture);
    device = device_make(&fixture, &boot_mark_ops, NULL);
    assert_int_equal(device_in(device, 0), 0);
    device_write(device, 0, value, 4);
    assert_int_equal(fixture.events.count[GUEST_MARK], 1);
    assert_int_equal(fixture.events.detail, 0x12345678);
    device_read(device, 0, bytes, 4);
    assert_memory_equal(bytes, value, 4);
    device_write(device, 0, value, 2);
    assert_int_equal(fixture.events.detail, 0x5678);
    device_out(device, 0, 7);
    assert_int_equal(fixture.events.detail, 7);
    assert_int_equal(fixture.events.count[GUEST_MARK], 3);
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
    device = device_make(&fixture, &boot_mark_ops, NULL);
    for (uint64_t offset = 0; offset < 8; offset++) {
        for (size_t length = 1; length <= 8; length *= 2) {
            unsigned int before = fixture.events.count[GUEST_MARK];

            memset(bytes, 0x11, sizeof(bytes));
            device_write(device, offset, bytes, length);
            assert_int_equal(fixture.events.count[GUEST_MARK] - before,
                             offset == 0 && length <= 4);
            device_read(device, offset, bytes, length);
            for (size_t i = length; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], 0x11);
        }
    }
    device->ops->destroy(device);
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_every_offset_and_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
