/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <string.h>

#include "vmm/monitor/arch/x86_64/i8042.h"

static struct fixture fixture;
static struct device *device;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    device = device_make(&fixture, &i8042_ops, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    device->ops->destroy(device);
    fixture_release(&fixture);
    return 0;
}

static void test_reset_command(void **state)
{
    (void)state;
    for (unsigned int value = 0; value < 256; value++)
        device_out(device, 4, (uint8_t)value);
    assert_int_equal(fixture.events.count[GUEST_RESET], 1);
    assert_string_equal(fixture.events.source, "i8042 reset");
    for (unsigned int value = 0; value < 256; value++)
        for (unsigned int port = 0; port < 4; port++)
            device_out(device, port, (uint8_t)value);
    assert_int_equal(fixture.events.count[GUEST_RESET], 1);
}

/* i8042_flush() of Linux: more than 16 bytes in the buffer mean "no controller". */
static void test_linux_finds_no_controller(void **state)
{
    unsigned int flushed = 0;

    (void)state;
    while (device_in(device, 4) & 1 && flushed <= 16) {
        device_in(device, 0);
        flushed++;
    }
    assert_int_equal(flushed, 17);
    /* kb_wait() before the reset command: the input buffer is empty. */
    assert_int_equal(device_in(device, 4) & 2, 0);
}

static void test_a_patient_flush_ends(void **state)
{
    unsigned int flushed = 0;

    (void)state;
    for (; device_in(device, 4) & 1; flushed++) {
        assert_true(flushed < 1000);
        device_in(device, 0);
    }
    device_out(device, 4, 0xaa);
    assert_int_equal(device_in(device, 4), 1);
}

static void test_port_b(void **state)
{
    (void)state;
    assert_int_equal(device_in(device, 1), 0x20);
    device_out(device, 1, 0xff);
    assert_int_equal(device_in(device, 1), 0x2f);
}

static void test_every_offset_and_width(void **state)
{
    uint8_t bytes[8];

    (void)state;
    for (uint64_t offset = 0; offset < 8; offset++) {
        for (size_t length = 1; length <= 8; length *= 2) {
            memset(bytes, 0x5a, sizeof(bytes));
            device_write(device, offset, bytes, length);
            device_read(device, offset, bytes, length);
            for (size_t i = length; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], 0x5a);
        }
    }
    assert_int_equal(fixture.events.count[GUEST_RESET], 0);
}

#define I8042_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        I8042_TEST(test_reset_command),
        I8042_TEST(test_linux_finds_no_controller),
        I8042_TEST(test_a_patient_flush_ends),
        I8042_TEST(test_port_b),
        I8042_TEST(test_every_offset_and_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
