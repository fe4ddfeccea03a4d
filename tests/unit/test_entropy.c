/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_driver.h"
#include "tests/support/device_options.h"

#include <string.h>

#include "devices/virtio/entropy.h"

static struct fixture fixture;
static struct fake_driver driver;
static void *options;

static void start(const char *text)
{
    struct error error = ERROR_INIT;

    assert_int_equal(device_options_parse("entropy", text, &options, &error), 0);
    fixture_init(&fixture);
    fake_driver_create(&driver, &fixture, &entropy_class, options);
    fake_driver_start(&driver, 0, 1);
}

static int tear_down(void **state)
{
    (void)state;
    fake_driver_destroy(&driver);
    fixture_release(&fixture);
    device_options_release(options);
    return 0;
}

static unsigned int zeroes(uint64_t address, size_t length)
{
    const uint8_t *bytes = fake_memory(&driver, address, length);
    unsigned int count = 0;

    for (size_t i = 0; i < length; i++)
        count += bytes[i] == 0;
    return count;
}

static void test_a_request_is_filled(void **state)
{
    const struct fake_buffer buffers[] = {
        { 0x1000, 1, true }, { 0x2001, 999, true }, { FIXTURE_HIGH_BASE, 3000, true },
    };
    struct virtq_used_element used;

    (void)state;
    start("on");
    fake_driver_send(&driver, 0, FAKE_DIRECT, 3, buffers);
    assert_true(fake_driver_used(&driver, 0, &used));
    assert_int_equal(used.length, 4000);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    assert_in_range(zeroes(0x2001, 999), 0, 40);
    assert_in_range(zeroes(FIXTURE_HIGH_BASE, 3000), 0, 60);
    assert_int_equal(zeroes(0x2000, 1), 1);
    assert_int_equal(zeroes(0x2001 + 999, 64), 64);
    assert_int_equal(zeroes(FIXTURE_HIGH_BASE + 3000, 64), 64);
}

/* What is written and what is said to be written are one. */
static void test_a_request_is_bounded(void **state)
{
    const struct fake_buffer buffer = { 0x10000, 0x20000, true };
    struct virtq_used_element used;

    (void)state;
    start("on");
    memset(fake_memory(&driver, 0x10000, 0x20000), 0, 0x20000);
    fake_driver_send(&driver, 0, FAKE_INDIRECT, 1, &buffer);
    assert_true(fake_driver_used(&driver, 0, &used));
    assert_int_equal(used.length, 0x10000);
    assert_in_range(zeroes(0x10000, 0x10000), 1, 1000);
    assert_int_equal(zeroes(0x20000, 0x10000), 0x10000);
}

static void test_overlapping_buffers_do_not_amplify(void **state)
{
    struct fake_buffer buffers[64];
    struct virtq_used_element used;

    (void)state;
    start("on");
    for (size_t i = 0; i < 64; i++)
        buffers[i] = (struct fake_buffer){ 0x20000, 0x80000, true };
    fake_driver_send(&driver, 0, FAKE_INDIRECT, 64, buffers);
    assert_true(fake_driver_used(&driver, 0, &used));
    assert_int_equal(used.length, 0x10000);
}

static void test_a_request_without_room(void **state)
{
    const struct fake_buffer buffer = { 0x1000, 64 };

    (void)state;
    start("on");
    fake_driver_send(&driver, 0, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_needs_reset(&driver));
    assert_int_equal(memory_log_lines(&fixture.log), 1);
    fake_driver_start(&driver, 0, 1);
    assert_false(fake_driver_needs_reset(&driver));
}

static void test_the_rate_holds(void **state)
{
    const struct fake_buffer buffer = { 0x1000, 1000, true };
    struct virtq_used_element used;
    unsigned int served = 0;

    (void)state;
    start("on,ops=20");
    for (unsigned int i = 0; i < 30; i++)
        fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&driver, 0);
    while (fake_driver_used(&driver, 0, &used))
        served++;
    assert_in_range(served, 20, 22);
    /* The others come by themselves, with no kick. */
    for (; fake_driver_wait(&driver, 0, &used); served++)
        if (served + 1 == 30)
            break;
    assert_int_equal(served + 1, 30);
}

static void test_reset_while_the_rate_refuses(void **state)
{
    const struct fake_buffer buffer = { 0x1000, 1000, true };
    struct virtq_used_element used;

    (void)state;
    start("on,ops=10");
    for (unsigned int i = 0; i < 30; i++)
        fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&driver, 0);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
    memset(fake_memory(&driver, 0x1000, 1000), 0, 1000);
    run_loop_for(fixture.env.loop, 250);
    assert_int_equal(zeroes(0x1000, 1000), 1000);
    fake_driver_start(&driver, 0, 1);
    fake_driver_send(&driver, 0, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_wait(&driver, 0, &used));
}

static void test_options_that_are_wrong(void **state)
{
    static const char *const wrong[] = {
        "", "off", "yes", "on,rate", "on,rate=x", "on,burst=1", "on,source=/dev/random",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error error = ERROR_INIT;
        void *parsed;

        assert_true(device_options_parse("entropy", wrong[i], &parsed, &error) < 0);
        assert_ptr_equal(strstr(error.message, "--entropy"), error.message);
        assert_non_null(strstr(error.message, "; "));
    }
}

#define ENTROPY_TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENTROPY_TEST(test_a_request_is_filled),
        ENTROPY_TEST(test_a_request_is_bounded),
        ENTROPY_TEST(test_overlapping_buffers_do_not_amplify),
        ENTROPY_TEST(test_a_request_without_room),
        ENTROPY_TEST(test_the_rate_holds),
        ENTROPY_TEST(test_reset_while_the_rate_refuses),
        cmocka_unit_test(test_options_that_are_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
