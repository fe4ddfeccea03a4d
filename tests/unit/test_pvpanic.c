/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <string.h>

#include "devices/registry.h"

static void test_events(void **state)
{
    struct fixture fixture;
    struct device *device;

    (void)state;
    fixture_init(&fixture);
    device = device_make(&fixture, &pvpanic_ops, NULL);
    assert_int_equal(device_in(device, 0), 3);
    device_out(device, 0, 2);
    assert_int_equal(fixture.events.count[GUEST_PANICKED], 0);
    assert_int_equal(memory_log_lines(&fixture.log), 1);
    device_out(device, 0, 1);
    assert_int_equal(fixture.events.count[GUEST_PANICKED], 1);
    assert_string_equal(fixture.events.source, "pvpanic");
    assert_int_equal(fixture.events.detail, 1);
    for (unsigned int i = 0; i < 100000; i++)
        device_out(device, 0, (uint8_t)(i << 2 | 2));
    assert_int_equal(fixture.events.count[GUEST_PANICKED], 1);
    assert_true(memory_log_lines(&fixture.log) <= 11);
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
    device = device_make(&fixture, &pvpanic_ops, NULL);
    for (uint64_t offset = 0; offset < 4; offset++) {
        for (size_t length = 1; length <= 8; length *= 2) {
            unsigned int before = fixture.events.count[GUEST_PANICKED];

            memset(bytes, 0xff, sizeof(bytes));
            device_write(device, offset, bytes, length);
            assert_int_equal(fixture.events.count[GUEST_PANICKED] - before, offset == 0);
            device_read(device, offset, bytes, length);
            assert_int_equal(bytes[0], offset == 0 ? 3 : 0);
            for (size_t i = 1; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], i < length ? 0 : 0xff);
        }
    }
    device->ops->destroy(device);
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_every_offset_and_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
