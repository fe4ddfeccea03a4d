/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/guest_read.h"
#include "vmm/base/cleanup.h"

/* 64 KiB at 0, a hole, 16 KiB at 256 KiB, and 8 KiB up at 4 GiB. */
static const struct guest_range ranges[] = {
    { 0, 0x10000 },
    { 0x40000, 0x4000 },
    { 0x100000000, 0x2000 },
};

static int set_up(void **state)
{
    struct guest_memory *memory;
    struct error error = ERROR_INIT;

    assert_int_equal(guest_memory_create(&memory, ranges, 3, &error), 0);
    *state = memory;
    return 0;
}

static int tear_down(void **state)
{
    guest_memory_destroy(*state);
    return 0;
}

static void test_regions(void **state)
{
    assert_int_equal(guest_memory_region_count(*state), 3);
    assert_int_equal(guest_memory_size(*state), 0x16000);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(guest_memory_region(*state, i).address, ranges[i].address);
        assert_int_equal(guest_memory_region(*state, i).size, ranges[i].size);
    }
    guest_memory_destroy(NULL);
}

static void test_edges(void **state)
{
    struct guest_slice slice;
    uint8_t bytes[16] = { 0 };

    assert_int_equal(guest_memory_slice(*state, 0, 0x10000, &slice), 0);
    assert_int_equal(slice.length, 0x10000);
    assert_int_equal(slice.bytes[0xffff], 0);
    assert_int_equal(guest_memory_slice(*state, 0, 0x10001, &slice), -EFAULT);
    assert_int_equal(guest_memory_slice(*state, 0xffff, 1, &slice), 0);
    assert_int_equal(guest_memory_slice(*state, 0xffff, 2, &slice), -EFAULT);
    assert_int_equal(guest_memory_slice(*state, 0x10000, 1, &slice), -EFAULT);
    assert_int_equal(guest_memory_slice(*state, 0x3ffff, 2, &slice), -EFAULT);
    assert_int_equal(guest_memory_slice(*state, 0x43fff, UINT64_MAX, &slice), -EFAULT);
    assert_int_equal(guest_memory_slice(*state, UINT64_MAX, 1, &slice), -EFAULT);
    assert_int_equal(guest_memory_slice(*state, UINT64_MAX, UINT64_MAX, &slice), -EFAULT);
    assert_int_equal(guest_memory_slice(*state, 1, UINT64_MAX, &slice), -EFAULT);
    assert_int_equal(guest_memory_slice(*state, 0x100001fff, 1, &slice), 0);
    assert_int_equal(guest_memory_slice(*state, 0x100002000, 0, &slice), -EFAULT);
    assert_int_equal(guest_memory_slice(*state, 5, 0, &slice), 0);
    assert_int_equal(slice.length, 0);
    assert_int_equal(guest_read(*state, 0xfff8, bytes, 16), -EFAULT);
}

/* A write that does not fit leaves all of memory as it was. */
static void test_failed_write_changes_nothing(void **state)
{
    uint8_t bytes[16], back[8];

    memset(bytes, 0xee, sizeof(bytes));
    assert_int_equal(guest_memory_write(*state, 0xfff8, bytes, 16), -EFAULT);
    assert_int_equal(guest_read(*state, 0xfff8, back, 8), 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(back[i], 0);
}

static void test_bad_ranges(void **state)
{
    static const struct guest_range bad[][2] = {
        { { 0, 0 }, { 0, 0 } },
        { { 0, 0x1800 }, { 0x4000, 0x1000 } },
        { { 0x800, 0x1000 }, { 0x4000, 0x1000 } },
        { { 0x4000, 0x1000 }, { 0, 0x1000 } },
        { { 0, 0x2000 }, { 0x1000, 0x1000 } },
        { { 0, 0x1000 }, { UINT64_MAX - 0xfff, 0x2000 } },
        { { 0, 0x1000 }, { 0x1000, UINT64_MAX & ~0xfffull } },
    };
    struct guest_memory *memory = NULL;
    struct error error = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(guest_memory_create(&memory, bad[i], 2, &error), -EINVAL);
    assert_int_equal(guest_memory_create(&memory, ranges, 0, &error), -EINVAL);
    assert_int_equal(guest_memory_create(&memory, ranges, GUEST_MEMORY_REGIONS_MAX + 1, &error),
                     -EINVAL);
    assert_null(memory);
}

static void test_more_than_the_host_maps(void **state)
{
    const struct guest_range ok_then_huge[] = { { 0, 0x1000 }, { 0x1000, 1ull << 60 } };
    struct guest_memory *memory = NULL;
    struct error error = ERROR_INIT;

    (void)state;
    assert_true(guest_memory_create(&memory, ok_then_huge, 2, &error) < 0);
    assert_null(memory);
    assert_non_null(strstr(error.message, "--memory"));
}

static void test_huge_page_alignment(void **state)
{
    const struct guest_range range = { 0, 8ull << 20 };
    struct guest_memory *memory;
    struct guest_slice slice;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(guest_memory_create(&memory, &range, 1, &error), 0);
    assert_int_equal(guest_memory_slice(memory, 0, range.size, &slice), 0);
    assert_int_equal((uintptr_t)slice.bytes % (2u << 20), 0);
    slice.bytes[range.size - 1] = 1;
    guest_memory_destroy(memory);
}

/* Whether FLAG is among the VmFlags of the mapping that holds BYTES (proc(5), smaps). */
static bool has_flag(const uint8_t *bytes, const char *flag)
{
    FILE *stream = fopen("/proc/self/smaps", "re");
    bool inside = false, found = false;
    char line[512];

    assert_non_null(stream);
    while (fgets(line, sizeof(line), stream)) {
        unsigned long long start, end;

        if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
            inside = (uintptr_t)bytes >= start && (uintptr_t)bytes < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    fclose(stream);
    return found;
}

static void test_sizes_of_pages(void **state)
{
    static const struct guest_range range = { 0, 8ull << 20 };
    bool has_huge = access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;

    (void)state;
    for (unsigned int pages = 0; pages < GUEST_PAGES_COUNT; pages++) {
        struct guest_memory *memory;
        struct guest_slice slice;
        struct error error = ERROR_INIT;
        int result;

        assert_int_equal(guest_memory_create(&memory, &range, 1, &error), 0);
        result = guest_memory_set_pages(memory, (enum guest_pages)pages, &error);
        assert_int_equal(result, pages == GUEST_PAGES_HUGE && !has_huge ? -EINVAL : 0);
        assert_int_equal(guest_memory_slice(memory, 0, range.size, &slice), 0);
        assert_int_equal(has_flag(slice.bytes, " hg"), pages == GUEST_PAGES_HUGE && has_huge);
        assert_int_equal(has_flag(slice.bytes, " nh"), pages == GUEST_PAGES_SMALL && has_huge);
        guest_memory_destroy(memory);
    }
}

/* Where the model keeps guest address ADDRESS, or -1: byte by byte, no sums. */
static long model_index(uint64_t address)
{
    long base = 0;

    for (size_t i = 0; i < 3; i++) {
        if (address >= ranges[i].address && address - ranges[i].address < ranges[i].size)
            return base + (long)(address - ranges[i].address);
        base += (long)ranges[i].size;
    }
    return -1;
}

/* Whether all LENGTH bytes are in the model, and in one region. */
static bool model_holds(uint64_t address, uint64_t length)
{
    long first = model_index(address);

    if (first < 0)
        return false;
    for (uint64_t i = 1; i < length; i++)
        if (address + i == 0 || model_index(address + i) != first + (long)i)
            return false;
    return true;
}

static uint64_t random_address(uint64_t *random)
{
    static const uint64_t near[] = { 0, 0x10000, 0x40000, 0x44000, 0x100000000, 0x100002000 };
    uint64_t choice = next_random(random);

    if (choice % 8 == 0)
        return next_random(random);
    return near[choice % 6] + next_random(random) % 128 - 64;
}

static void test_against_a_model(void **state)
{
    static uint8_t model[0x16000];
    uint64_t random = 20240611;
    uint8_t bytes[256], back[256];
    unsigned int hits = 0;

    for (unsigned int round = 0; round < 100000; round++) {
        uint64_t address = random_address(&random);
        size_t length = next_random(&random) % sizeof(bytes) + 1;
        bool held = model_holds(address, length);
        int expected = held ? 0 : -EFAULT;

        hits += held;
        memset(bytes, (int)round, length);
        if (round % 2) {
            assert_int_equal(guest_memory_write(*state, address, bytes, length), expected);
            if (held)
                memcpy(model + model_index(address), bytes, length);
        } else {
            assert_int_equal(guest_read(*state, address, back, length), expected);
            if (held)
                assert_memory_equal(back, model + model_index(address), length);
        }
    }
    assert_in_range(hits, 10000, 90000);
}

static void test_discard(void **state)
{
    static _Alignas(4096) uint8_t elsewhere[4096];
    struct guest_memory *memory = *state;
    struct guest_range region = guest_memory_region(memory, 0);
    struct guest_slice all, slice;

    assert_int_equal(guest_memory_slice(memory, region.address, region.size, &all), 0);
    memset(all.bytes, 0x5a, all.length);
    slice = (struct guest_slice){ all.bytes + 4096, 8192 };
    assert_int_equal(guest_memory_discard(memory, &slice), 0);
    for (size_t i = 0; i < all.length; i++)
        assert_int_equal(all.bytes[i], i >= 4096 && i < 12288 ? 0 : 0x5a);
    slice = (struct guest_slice){ all.bytes + 1, 4096 };
    assert_int_equal(guest_memory_discard(memory, &slice), -EINVAL);
    slice = (struct guest_slice){ all.bytes, 4095 };
    assert_int_equal(guest_memory_discard(memory, &slice), -EINVAL);
    slice = (struct guest_slice){ all.bytes + all.length - 4096, 8192 };
    assert_int_equal(guest_memory_discard(memory, &slice), -EFAULT);
    slice = (struct guest_slice){ all.bytes + all.length - 4096, SIZE_MAX - 4095 };
    assert_int_equal(guest_memory_discard(memory, &slice), -EFAULT);
    slice = (struct guest_slice){ elsewhere, sizeof(elsewhere) };
    assert_int_equal(guest_memory_discard(memory, &slice), -EFAULT);
}

/* Five pages of 1, 2, 3, 4, 5. */
static int numbered_pages(void)
{
    int fd = memfd_create("pages", MFD_CLOEXEC);
    uint8_t page[4096];

    assert_true(fd >= 0);
    for (int i = 0; i < 5; i++) {
        memset(page, i + 1, sizeof(page));
        assert_int_equal(pwrite(fd, page, sizeof(page), i * 4096), 4096);
    }
    return fd;
}

static void assert_pages(const struct guest_memory *memory, uint64_t address, const char *wanted)
{
    struct guest_slice slice;

    assert_int_equal(guest_memory_slice(memory, address, strlen(wanted) * 4096, &slice), 0);
    for (size_t i = 0; i < slice.length; i++)
        assert_int_equal(slice.bytes[i], wanted[i / 4096] - '0');
}

/* A file stands in memory that began with none: its pages are the guest's own once it writes. */
static void test_file_amid_memory(void **state)
{
    cleanup_fd int file = numbered_pages();
    struct guest_memory *memory = *state;
    struct error error = ERROR_INIT;
    uint8_t byte = 9;

    assert_false(guest_memory_page_has_file(memory, 0x42000));
    assert_int_equal(guest_memory_map_file(memory, 0x41000, 0x2000, file, 0x1000, &error), 0);
    assert_pages(memory, 0x40000, "0230");
    assert_int_equal(guest_memory_write(memory, 0x41000, &byte, 1), 0);
    assert_int_equal(guest_memory_write(memory, 0x43000, &byte, 1), 0);
    assert_int_equal(pread(file, &byte, 1, 0x1000), 1);
    assert_int_equal(byte, 2);
    for (uint64_t address = 0; address < 0x44000; address += 0x1000)
        assert_int_equal(guest_memory_page_has_file(memory, address),
                         address == 0x41000 || address == 0x42000);
    assert_false(guest_memory_page_has_file(memory, UINT64_MAX));
}

/* What is given back reads as zero, whether it was written to or is the file's still. */
static void test_discard_of_a_file(void **state)
{
    cleanup_fd int file = numbered_pages();
    struct guest_memory *memory = *state;
    struct error error = ERROR_INIT;
    struct guest_slice slice;
    uint8_t byte = 9;

    assert_int_equal(guest_memory_map_file(memory, 0x1000, 0x5000, file, 0, &error), 0);
    assert_int_equal(guest_memory_write(memory, 0x2000, &byte, 1), 0);
    for (uint64_t address = 0x2000; address < 0x4000; address += 0x1000) {
        assert_int_equal(guest_memory_slice(memory, address, 0x1000, &slice), 0);
        assert_int_equal(guest_memory_discard(memory, &slice), 0);
    }
    assert_pages(memory, 0, "01004500");
    assert_true(guest_memory_page_has_file(memory, 0x1000));
    assert_false(guest_memory_page_has_file(memory, 0x2000));
    /* With neighbours that never had one; and once more, with none left. */
    for (int round = 0; round < 2; round++) {
        assert_int_equal(guest_memory_slice(memory, 0x4000, 0x4000, &slice), 0);
        assert_int_equal(guest_memory_write(memory, 0x7000, &byte, 1), 0);
        assert_int_equal(guest_memory_discard(memory, &slice), 0);
        assert_pages(memory, 0, "01000000");
    }
}

static unsigned int mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned int lines = 0;
    int c;

    assert_non_null(maps);
    while ((c = fgetc(maps)) != EOF)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

/* A restored guest that gives back every other page cuts its memory into more than the host has mappings. */
static void test_every_other_page_of_a_file(void **state)
{
    const struct guest_range range = { 0, 2 * 40000 * 4096ull };
    cleanup_fd int file = memfd_create("pages", MFD_CLOEXEC);
    struct guest_memory *memory;
    struct error error = ERROR_INIT;
    unsigned int before;
    uint8_t byte = 1;

    (void)state;
    assert_int_equal(ftruncate(file, (off_t)range.size), 0);
    assert_int_equal(guest_memory_create_from(&memory, &range, 1, file, &error), 0);
    before = mappings();
    for (uint64_t address = 0; address < range.size; address += 2 * 4096) {
        struct guest_slice slice;

        assert_int_equal(guest_memory_write(memory, address, &byte, 1), 0);
        assert_int_equal(guest_memory_slice(memory, address, 4096, &slice), 0);
        assert_int_equal(guest_memory_discard(memory, &slice), 0);
        /* It is given back, one way or the other. */
        assert_int_equal(slice.bytes[0], 0);
    }
    assert_in_range(mappings(), before, before + 20000);
    guest_memory_destroy(memory);
}

static void test_files_have_their_place(void **state)
{
    static const struct { uint64_t address, length, offset; } wrong[] = {
        { 0x40000, 0, 0 }, { 0x40000, 100, 0 }, { 0x40001, 4096, 0 }, { 0x40000, 4096, 1 },
        { 0x43000, 0x2000, 0 }, { 0x20000, 4096, 0 }, { 0x44000, 4096, 0 },
        { UINT64_MAX - 4095, 4096, 0 }, { 0x40000, UINT64_MAX - 4095, 0 },
    };
    cleanup_fd int file = numbered_pages();
    struct error error = ERROR_INIT;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(guest_memory_map_file(*state, wrong[i].address, wrong[i].length, file,
                                               wrong[i].offset, &error), -EINVAL);
    assert_false(guest_memory_page_has_file(*state, 0x40000));
    assert_true(guest_memory_map_file(*state, 0x40000, 4096, -1, 0, &error) < 0);
    assert_false(guest_memory_page_has_file(*state, 0x40000));
}

#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(test_regions),
        MEMORY_TEST(test_edges),
        MEMORY_TEST(test_failed_write_changes_nothing),
        MEMORY_TEST(test_against_a_model),
        MEMORY_TEST(test_discard),
        MEMORY_TEST(test_file_amid_memory),
        MEMORY_TEST(test_discard_of_a_file),
        MEMORY_TEST(test_files_have_their_place),
        cmocka_unit_test(test_every_other_page_of_a_file),
        cmocka_unit_test(test_bad_ranges),
        cmocka_unit_test(test_more_than_the_host_maps),
        cmocka_unit_test(test_huge_page_alignment),
        cmocka_unit_test(test_sizes_of_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
