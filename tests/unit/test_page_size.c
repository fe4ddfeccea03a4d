/* SPDX-License-Identifier: Apache-2.0 */
/* A host with pages of 64 KiB: what has to be whole pages of it, what a guest with smaller ones gives back, and snapshots. */
#include "tests/support/fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/page_size.h"
#include "vmm/config/config.h"
#include "vmm/machine/image.h"
#include "vmm/snapshot/memory_file.h"

#define LARGE 0x10000u

static size_t pretended; /* 0: the host's own */

long __real_sysconf(int name);
long __wrap_sysconf(int name);
long __wrap_sysconf(int name)
{
    return pretended && name == _SC_PAGESIZE ? (long)pretended : __real_sysconf(name);
}

static int set_up(void **state)
{
    (void)state;
    pretended = LARGE;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pretended = 0;
    return 0;
}

static void test_memory_is_whole_pages(void **state)
{
    static const struct guest_range odd[] = { { 0, 0x18000 }, { 0x8000, LARGE }, { 0, 0x1000 } };
    struct guest_range whole = { 0, 2 * LARGE };
    struct error error = ERROR_INIT;
    struct guest_memory *memory;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(odd); i++)
        assert_int_equal(guest_memory_create(&memory, &odd[i], 1, &error), -EINVAL);
    assert_int_equal(guest_memory_create(&memory, &whole, 1, &error), 0);
    guest_memory_destroy(memory);
}

static void test_huge_pages(void **state)
{
    (void)state;
    assert_int_equal(huge_page_size(), 512u << 20);
    pretended = 4096;
    assert_int_equal(huge_page_size(), 2u << 20);
    pretended = 16384;
    assert_int_equal(huge_page_size(), 32u << 20);
}

static void test_memory_option(void **state)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    (void)state;
    config.kernel = "vmlinux";
    config.command_line = "";
    config.memory = (2u << 20) + 4096;
    assert_true(vm_config_validate(&config, &error) < 0);
    assert_non_null(strstr(error.message, "no multiple of 64 KiB; round it up"));
    config.memory = (2u << 20) + LARGE;
    assert_int_equal(vm_config_validate(&config, &error), 0);
}

/* A guest's page of 4 KiB is no page of the host's: it stays; of more, what is whole goes. */
static void test_what_is_given_back(void **state)
{
    static const struct {
        size_t offset, length, from, to;
    } cases[] = {
        { 0x1000, 0x1000, 0, 0 },
        { 0x1000, 2 * LARGE - 0x2000, 0, 0 },
        { LARGE, LARGE, LARGE, 2 * LARGE },
        { 0x1000, 3 * LARGE, LARGE, 3 * LARGE },
        { 0, 4 * LARGE, 0, 4 * LARGE },
    };
    struct guest_range range = { 0, 2u << 20 };
    struct error error = ERROR_INIT;
    struct guest_memory *memory;
    struct guest_slice all;

    (void)state;
    pretended = 0; /* this host aligns it to one of its own huge pages, and that to one of the large pages */
    assert_int_equal(guest_memory_create(&memory, &range, 1, &error), 0);
    pretended = LARGE;
    assert_int_equal(guest_memory_slice(memory, 0, range.size, &all), 0);
    assert_int_equal((uintptr_t)all.bytes % LARGE, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct guest_slice slice = { all.bytes + cases[i].offset, cases[i].length };

        memset(all.bytes, 0x5a, all.length);
        assert_int_equal(guest_memory_discard(memory, &slice), 0);
        for (size_t at = 0; at < all.length; at += 512)
            assert_int_equal(all.bytes[at], at >= cases[i].from && at < cases[i].to ? 0 : 0x5a);
    }
    guest_memory_destroy(memory);
}

/* Only whole pages of the host's are mapped; all bytes are there. */
static void test_a_constant_kernel(void **state)
{
    static uint8_t bytes[3 * LARGE], read[3 * LARGE];
    struct guest_range range = { 0, 4 * LARGE };
    struct error error = ERROR_INIT;
    struct guest_memory *memory;
    struct guest_slice all;
    cleanup_fd int fd = memfd_create("kernel", MFD_CLOEXEC);
    struct image image = { .role = "kernel", .path = "kernel", .fd = fd, .size = sizeof(bytes), .constant = true };

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i / 512 + i);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(guest_memory_create(&memory, &range, 1, &error), 0);
    assert_int_equal(image_place(&image, 0x1000, 0x22000, memory, 0x1000, &error), 0);
    assert_false(guest_memory_page_has_file(memory, 0x1000));
    assert_false(guest_memory_page_has_file(memory, LARGE - 0x1000));
    assert_true(guest_memory_page_has_file(memory, LARGE));
    assert_true(guest_memory_page_has_file(memory, 2 * LARGE - 0x1000));
    assert_false(guest_memory_page_has_file(memory, 2 * LARGE));
    assert_int_equal(guest_memory_slice(memory, 0, range.size, &all), 0);
    memcpy(read, all.bytes, sizeof(read));
    assert_memory_equal(read + 0x1000, bytes + 0x1000, 0x22000);
    assert_int_equal(read[0] | read[0xfff] | read[0x23000], 0);
    guest_memory_destroy(memory);
}

static void test_snapshots_are_refused(void **state)
{
    static const uint8_t id[SNAPSHOT_ID_SIZE] = { 1 };
    cleanup_fd int fd = memfd_create("memory", MFD_CLOEXEC);
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(memory_file_begin(fd, 2u << 20, id, MEMORY_FULL, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "this host's have 64; use a host kernel with pages of 4 KiB"));
    pretended = 0;
    assert_int_equal(memory_file_begin(fd, 2u << 20, id, MEMORY_FULL, &error), 0);
    assert_int_equal(memory_file_check(fd, 2u << 20, id, MEMORY_FULL, &error), 0);
    pretended = LARGE;
    assert_int_equal(memory_file_check(fd, 2u << 20, id, MEMORY_FULL, &error), -ENOTSUP);
}

#define PAGE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAGE_TEST(test_huge_pages),         PAGE_TEST(test_memory_is_whole_pages),
        PAGE_TEST(test_memory_option),      PAGE_TEST(test_what_is_given_back),
        PAGE_TEST(test_a_constant_kernel),  PAGE_TEST(test_snapshots_are_refused),
    };

    return cmocka_run_group_tests_name("a host with large pages", tests, NULL, NULL);
}
