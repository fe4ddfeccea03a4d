/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_driver.h"
#include "tests/support/device_options.h"

#include <string.h>

#include "devices/virtio/balloon.h"

#define F_STATS_VQ (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_REPORTING (1ull << 5)

#define LIST 0x1000u /* page numbers */

static struct fixture fixture;
static struct fake_driver driver;
static void *options;

static void start(const char *text, uint64_t features, unsigned int queues)
{
    struct error error = ERROR_INIT;

    assert_int_equal(device_options_parse("balloon", text, &options, &error), 0);
    fixture_init(&fixture);
    fake_driver_create(&driver, &fixture, &balloon_class, options);
    fake_driver_start(&driver, features, queues);
}

static int tear_down(void **state)
{
    (void)state;
    fake_driver_destroy(&driver);
    fixture_release(&fixture);
    device_options_release(options);
    return 0;
}

static void fill(uint64_t address, size_t length)
{
    memset(fake_memory(&driver, address, length), 0x5a, length);
}

/* The byte that all of a page has; other pages fail the test. */
static uint8_t page_byte(uint64_t page)
{
    const uint8_t *bytes = fake_memory(&driver, page << 12, 4096);

    for (size_t i = 0; i < 4096; i++)
        assert_int_equal(bytes[i], bytes[0]);
    return bytes[0];
}

static void send_pages(unsigned int queue, size_t count, const uint32_t *pages)
{
    const struct fake_buffer buffer = { LIST, (uint32_t)(count * 4), false };

    memcpy(fake_memory(&driver, LIST, count * 4), pages, count * 4);
    fake_driver_send(&driver, queue, FAKE_DIRECT, 1, &buffer);
}

static uint32_t config_word(uint64_t offset)
{
    uint32_t word;

    fake_driver_config(&driver, offset, &word, sizeof(word));
    return word;
}

static void test_inflated_pages_go_to_the_host(void **state)
{
    /* A run upwards, one downwards, lone pages, one twice, and one in the other region. */
    static const uint32_t pages[] = { 0x40, 0x41, 0x42, 0x53, 0x52, 0x51, 0x60, 0x60, 0x200, 0x4f };
    struct virtq_used_element used;

    (void)state;
    start("1M", 0, 2);
    assert_int_equal(config_word(0), 256);
    fill(0x30000, 0x40000);
    fill(0x200000, 0x2000);
    send_pages(0, 10, pages);
    assert_true(fake_driver_used(&driver, 0, &used));
    assert_int_equal(used.length, 0);
    for (uint32_t page = 0x30; page < 0x70; page++) {
        bool given = (page >= 0x40 && page <= 0x42) || (page >= 0x51 && page <= 0x53) ||
                     page == 0x60 || page == 0x4f;

        assert_int_equal(page_byte(page), given ? 0 : 0x5a);
    }
    assert_int_equal(page_byte(0x200), 0);
    assert_int_equal(page_byte(0x201), 0x5a);
    send_pages(1, 10, pages);
    assert_true(fake_driver_used(&driver, 1, &used));
}

/* CVE-2021-45464 of another monitor: a 32-bit shift brought 0x100040 back to page 0x40. */
static void test_page_numbers_do_not_overflow(void **state)
{
    static const uint32_t wrong[] = {
        0x100, 0x1ff, 0x210, 0x100040, 0x80000000, 0xffffffff, 0xfff00040, 0x000fffff,
    };

    (void)state;
    start("512K", 0, 2);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        fake_driver_start(&driver, 0, 2);
        fill(0x40000, 0x1000);
        send_pages(0, 1, &wrong[i]);
        assert_true(fake_driver_needs_reset(&driver));
        assert_int_equal(page_byte(0x40), 0x5a);
    }
}

static void test_a_run_that_leaves_memory(void **state)
{
    static const uint32_t pages[] = { 0xfe, 0xff, 0x100, 0x101 };

    (void)state;
    start("512K", 0, 2);
    fill(0xfe000, 0x2000);
    send_pages(0, 4, pages);
    assert_true(fake_driver_needs_reset(&driver));
    assert_int_equal(page_byte(0xff), 0x5a);
}

static void test_lists_of_a_wrong_length(void **state)
{
    static const uint32_t wrong[] = { 1, 2, 3, 5, 4097, 16384 * 4 + 4, 0x80000 };

    (void)state;
    start("512K", 0, 2);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct fake_buffer buffer = { 0x40000, wrong[i], false };

        fake_driver_start(&driver, 0, 2);
        fake_driver_send(&driver, 0, FAKE_DIRECT, 1, &buffer);
        assert_true(fake_driver_needs_reset(&driver));
    }
}

static void test_a_list_split_amid_its_numbers(void **state)
{
    const struct fake_buffer buffers[] = {
        { LIST, 3 }, { LIST + 3, 2 }, { LIST + 5, 6 }, { LIST + 11, 1 },
    };
    static const uint32_t pages[] = { 0x44, 0x49, 0x46 };

    (void)state;
    start("512K", 0, 2);
    fill(0x40000, 0x10000);
    memcpy(fake_memory(&driver, LIST, 12), pages, 12);
    fake_driver_send(&driver, 0, FAKE_INDIRECT, 4, buffers);
    for (uint32_t page = 0x40; page < 0x50; page++)
        assert_int_equal(page_byte(page),
                         page == 0x44 || page == 0x49 || page == 0x46 ? 0 : 0x5a);
}

/* Discards are charged: a guest that inflates without pause waits for the clock. */
static void test_inflation_is_rate_limited(void **state)
{
    uint32_t pages[1024];
    const struct fake_buffer buffer = { LIST, sizeof(pages), false };
    struct virtq_used_element used;
    unsigned int served = 0;

    (void)state;
    start("512K", 0, 2);
    for (uint32_t i = 0; i < 1024; i++)
        pages[i] = 0x40 + i * 7 % 64;
    memcpy(fake_memory(&driver, LIST, sizeof(pages)), pages, sizeof(pages));
    for (unsigned int i = 0; i < 200; i++)
        fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&driver, 0);
    while (fake_driver_used(&driver, 0, &used))
        served++;
    /* All 200 would take seconds; a busy machine takes a while even for the first. */
    assert_in_range(served, 64, 199);
    assert_true(fake_driver_wait(&driver, 0, &used));
}

static void test_reported_pages_go_to_the_host(void **state)
{
    const struct fake_buffer buffers[] = { { 0x40000, 0x8000, true }, { 0x60000, 0x1000, true } };
    struct virtq_used_element used;

    (void)state;
    start("0,reporting", F_REPORTING, 3);
    fill(0x3f000, 0x30000);
    fake_driver_send(&driver, 2, FAKE_INDIRECT, 2, buffers);
    assert_true(fake_driver_used(&driver, 2, &used));
    assert_int_equal(used.length, 0);
    for (uint32_t page = 0x3f; page < 0x6f; page++)
        assert_int_equal(page_byte(page),
                         (page >= 0x40 && page < 0x48) || page == 0x60 ? 0 : 0x5a);
}

static void test_reported_pages_that_are_not_whole(void **state)
{
    static const struct fake_buffer wrong[] = {
        { 0x40001, 0x1000, true }, { 0x40000, 0xfff, true }, { 0x40800, 0x1800, true },
    };

    (void)state;
    start("0,reporting", F_REPORTING, 3);
    for (size_t i = 0; i < 3; i++) {
        fake_driver_start(&driver, F_REPORTING, 3);
        fill(0x40000, 0x2000);
        fake_driver_send(&driver, 2, FAKE_DIRECT, 1, &wrong[i]);
        assert_true(fake_driver_needs_reset(&driver));
        assert_int_equal(page_byte(0x40), 0x5a);
    }
}

static void put_stat(uint64_t address, uint16_t tag, uint64_t value)
{
    memcpy(fake_memory(&driver, address, 2), &tag, 2);
    memcpy(fake_memory(&driver, address + 2, 8), &value, 8);
}

static void test_statistics(void **state)
{
    const struct fake_buffer buffer = { LIST, 25, false };
    struct virtio_device *device;
    struct balloon_state now;
    struct virtq_used_element used;

    (void)state;
    start("512K,stats=1,reporting", F_STATS_VQ | F_REPORTING, 4);
    device = virtio_device_of(driver.device);
    put_stat(LIST, BALLOON_FREE, 1ull << 40);
    put_stat(LIST + 10, 999, 7); /* a tag of the future, and a record cut short */
    fake_driver_send(&driver, 2, FAKE_DIRECT, 1, &buffer);
    virtio_balloon_state(device, &now);
    assert_int_equal(now.stats[BALLOON_FREE], 1ull << 40);
    assert_int_equal(now.stats[BALLOON_TOTAL], UINT64_MAX);
    assert_false(fake_driver_used(&driver, 2, &used));
    assert_true(fake_driver_wait(&driver, 2, &used)); /* asked for the next */
    put_stat(LIST, BALLOON_TOTAL, 5);
    fake_driver_send(&driver, 2, FAKE_DIRECT, 1, &buffer);
    virtio_balloon_state(device, &now);
    assert_int_equal(now.stats[BALLOON_TOTAL], 5);
    /* A second account, unasked: the first buffer comes back. */
    fake_driver_send(&driver, 2, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_used(&driver, 2, &used));
    /* Reset with a buffer held: nothing is given back to the rings of the past. */
    fake_driver_start(&driver, F_STATS_VQ, 3);
    run_loop_for(fixture.env.loop, 1100);
    assert_int_equal(fake_used_index(&driver, 2), 0);
}

static void test_queues_close_up(void **state)
{
    const struct fake_buffer page = { 0x40000, 0x1000, true };
    struct virtq_used_element used;

    (void)state;
    /* Offered statistics that the driver does not take: reporting is queue 2. */
    start("0,stats=1,reporting", F_REPORTING, 3);
    fill(0x40000, 0x1000);
    fake_driver_send(&driver, 2, FAKE_DIRECT, 1, &page);
    assert_true(fake_driver_used(&driver, 2, &used));
    assert_int_equal(page_byte(0x40), 0);
}

static void test_the_target_changes(void **state)
{
    struct virtio_device *device;
    struct balloon_state now;
    struct error error = ERROR_INIT;
    const uint32_t actual = 64, other = 77;

    (void)state;
    start("256K,deflate-on-oom", F_DEFLATE_ON_OOM, 2);
    device = virtio_device_of(driver.device);
    assert_int_equal(virtio_balloon_set_target(device, 512 << 10, &error), 0);
    assert_int_equal(config_word(0), 128);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    /* The driver says how much it gave, and can change nothing else. */
    for (uint64_t offset = 0; offset < 16; offset += 4)
        fake_driver_write(&driver, VIRTIO_MMIO_CONFIG + offset, offset == 4 ? actual : other);
    device_write(driver.device, VIRTIO_MMIO_CONFIG + 5, (const uint8_t *)&other, 2);
    virtio_balloon_state(device, &now);
    assert_int_equal(now.target, 512 << 10);
    assert_int_equal(now.actual, 64 * 4096);
    assert_int_equal(config_word(0), 128);
    assert_int_equal(config_word(8), 0);
    assert_true(virtio_balloon_set_target(device, 1 << 30, &error) < 0);
    assert_true(virtio_balloon_set_target(device, 4095, &error) < 0);
}

static void test_options_that_are_wrong(void **state)
{
    static const char *const wrong[] = {
        "", "x", "reporting", "1M,stats", "1M,stats=-1", "1M,stats=x", "1M,report",
        "1M,reporting=x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error error = ERROR_INIT;
        void *parsed;

        assert_true(device_options_parse("balloon", wrong[i], &parsed, &error) < 0);
        assert_ptr_equal(strstr(error.message, "--balloon"), error.message);
        assert_non_null(strstr(error.message, "; "));
    }
}

static void test_a_balloon_larger_than_memory(void **state)
{
    struct error error = ERROR_INIT;
    struct virtio_env env = { .lock = NULL };
    struct virtio_device *device;

    (void)state;
    fixture_init(&fixture);
    env.memory = fixture.env.memory;
    assert_int_equal(device_options_parse("balloon", "2M", &options, &error), 0);
    assert_true(balloon_class.create(&device, &env, options, &error) < 0);
    assert_non_null(strstr(error.message, "give less"));
    device_options_release(options);
    fixture_release(&fixture);
}

#define BALLOON_TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BALLOON_TEST(test_inflated_pages_go_to_the_host),
        BALLOON_TEST(test_page_numbers_do_not_overflow),
        BALLOON_TEST(test_a_run_that_leaves_memory),
        BALLOON_TEST(test_lists_of_a_wrong_length),
        BALLOON_TEST(test_a_list_split_amid_its_numbers),
        BALLOON_TEST(test_inflation_is_rate_limited),
        BALLOON_TEST(test_reported_pages_go_to_the_host),
        BALLOON_TEST(test_reported_pages_that_are_not_whole),
        BALLOON_TEST(test_statistics),
        BALLOON_TEST(test_queues_close_up),
        BALLOON_TEST(test_the_target_changes),
        cmocka_unit_test(test_options_that_are_wrong),
        cmocka_unit_test(test_a_balloon_larger_than_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
