/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot's memory: it comes back as it was, and a broken file is refused. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/loading.h"
#include "vmm/base/cleanup.h"
#include "vmm/supervisor/snapshot/folder.h"
#include "vmm/snapshot/memory_chain.h"

#define LOW (8ull << 20)
#define HIGH (4ull << 20)
#define SIZE (LOW + HIGH)

static const uint8_t id[SNAPSHOT_ID_SIZE] = "0123456789abcde", other_id[SNAPSHOT_ID_SIZE] = "another";

static const struct guest_range ranges[] = {
    { .address = 0, .size = LOW }, { .address = LOADING_HIGH, .size = HIGH },
};

static int new_file(void)
{
    int fd = memfd_create("memory", MFD_CLOEXEC);
    struct error error = ERROR_INIT;

    assert_true(fd >= 0);
    assert_int_equal(memory_file_begin(fd, SIZE, id, MEMORY_FULL, &error), 0);
    return fd;
}

/* SOURCE: the file that it came from, or -1. */
static int written(const struct guest_memory *memory, int map, int source)
{
    struct error error = ERROR_INIT;
    struct memory_chain chain = { .count = 0 };
    struct memory_saving saving = { .page_map = map, .source = source < 0 ? NULL : &chain };
    int fd = new_file();

    if (source >= 0)
        assert_int_equal(memory_chain_open(&chain, &source, 1, SIZE, &error), 0);
    assert_int_equal(memory_file_write(fd, memory, &saving, &error), 0);
    memory_chain_close(&chain);
    assert_int_equal(memory_file_check(fd, SIZE, id, MEMORY_FULL, &error), 0);
    return fd;
}

static off_t allocated(int fd)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    return status.st_blocks * 512;
}

static void fill(struct guest_memory *memory)
{
    memset(loading_bytes(memory, 0x1000, 1), 0xaa, 0x3000);
    memset(loading_bytes(memory, LOW - 0x1000, 1), 0xbb, 0x1000);
    *loading_bytes(memory, LOADING_HIGH + HIGH - 1, 1) = 0xcc;
    /* Touched and zero. */
    memset(loading_bytes(memory, 0x400000, 1), 0, 0x10000);
}

static void assert_filled(const struct guest_memory *memory)
{
    loading_assert_zero(memory, 0, 0x1000);
    assert_int_equal(*loading_bytes(memory, 0x1000, 1), 0xaa);
    assert_int_equal(*loading_bytes(memory, 0x3fff, 1), 0xaa);
    loading_assert_zero(memory, 0x4000, LOW - 0x5000);
    assert_int_equal(*loading_bytes(memory, LOW - 1, 1), 0xbb);
    loading_assert_zero(memory, LOADING_HIGH, HIGH - 1);
    assert_int_equal(*loading_bytes(memory, LOADING_HIGH + HIGH - 1, 1), 0xcc);
}

static struct guest_memory *memory_from(int file)
{
    struct guest_memory *memory;
    struct error error = ERROR_INIT;

    assert_int_equal(guest_memory_create_from(&memory, ranges, 2, file, &error), 0);
    return memory;
}

static void memory_comes_back(void **state)
{
    (void)state;
    for (int with_map = 0; with_map < 2; with_map++) {
        struct guest_memory *memory = loading_memory(LOW, HIGH), *restored;
        cleanup_fd int map = with_map ? loading_page_map() : -1;
        cleanup_fd int file = -1;

        fill(memory);
        file = written(memory, map, -1);
        /* Five pages and the last one: all others are holes. */
        assert_int_equal(allocated(file), 6 * 4096);
        restored = memory_from(file);
        assert_filled(restored);
        guest_memory_destroy(restored);
        guest_memory_destroy(memory);
    }
}

/* What a restored VM changed is saved with what it did not. */
static void a_restored_memory_is_saved(void **state)
{
    (void)state;
    for (int with_map = 0; with_map < 2; with_map++) {
        struct guest_memory *memory = loading_memory(LOW, HIGH), *restored, *again;
        cleanup_fd int map = with_map ? loading_page_map() : -1;
        cleanup_fd int file = -1, second = -1;
        struct guest_slice slice;

        fill(memory);
        file = written(memory, -1, -1);
        restored = memory_from(file);
        *loading_bytes(restored, 0x200000, 1) = 0xdd;
        memset(loading_bytes(restored, 0x1000, 1), 0, 0x1000);
        assert_int_equal(guest_memory_slice(restored, 0x2000, 0x1000, &slice), 0);
        assert_int_equal(guest_memory_discard(restored, &slice), 0);
        loading_assert_zero(restored, 0x2000, 0x1000);
        second = written(restored, map, file);
        again = memory_from(second);
        loading_assert_zero(again, 0, 0x3000);
        assert_int_equal(*loading_bytes(again, 0x3000, 1), 0xaa);
        assert_int_equal(*loading_bytes(again, 0x200000, 1), 0xdd);
        assert_int_equal(*loading_bytes(again, LOW - 1, 1), 0xbb);
        assert_int_equal(*loading_bytes(again, LOADING_HIGH + HIGH - 1, 1), 0xcc);
        /* The file of the first is as it was. */
        guest_memory_destroy(again);
        again = memory_from(file);
        assert_filled(again);
        guest_memory_destroy(again);
        guest_memory_destroy(restored);
        guest_memory_destroy(memory);
    }
}

/* A kernel's file in the memory of a VM that was booted: also the pages that nobody touched. */
static void a_mapped_kernel_is_saved(void **state)
{
    (void)state;
    for (int with_map = 0; with_map < 2; with_map++) {
        struct guest_memory *memory = loading_memory(LOW, HIGH), *restored;
        cleanup_fd int map = with_map ? loading_page_map() : -1;
        cleanup_fd int kernel = memfd_create("kernel", MFD_CLOEXEC), file = -1;
        struct error error = ERROR_INIT;
        uint8_t pages[0x3000];

        memset(pages, 0x77, sizeof(pages));
        memset(pages + 0x1000, 0, 0x1000);
        assert_int_equal(pwrite(kernel, pages, sizeof(pages), 0), sizeof(pages));
        assert_int_equal(guest_memory_map_file(memory, 0x100000, sizeof(pages), kernel, 0, &error),
                         0);
        *loading_bytes(memory, 0x102000, 1) = 0x78;
        file = written(memory, map, -1);
        assert_int_equal(allocated(file), 3 * 4096);
        restored = memory_from(file);
        assert_memory_equal(loading_bytes(restored, 0x100000, 0x2000), pages, 0x2000);
        assert_int_equal(*loading_bytes(restored, 0x102000, 1), 0x78);
        assert_memory_equal(loading_bytes(restored, 0x102001, 0xfff), pages, 0xfff);
        loading_assert_zero(restored, 0x103000, LOW - 0x103000);
        guest_memory_destroy(restored);
        guest_memory_destroy(memory);
    }
}

static void broken_memory_is_refused(void **state)
{
    static const struct {
        off_t size;      /* of the file, from its end */
        off_t at;        /* a byte that is altered, from the trailer's beginning; -1: none */
        const char *text;
    } cases[] = {
        { -1, -1, "was cut short" },         { -4096, -1, "was cut short" },
        { 1, -1, "was cut short" },          { -(off_t)SIZE - 4096, -1, "was cut short" },
        { 0, 0, "was altered" },             { 0, 7, "was altered" },
        { 0, 8, "was altered" },             { 0, 12, "was altered" },
        { 0, 16, "was altered" },            { 0, 23, "was altered" },
        { 0, 24, "that of another" },        { 0, 39, "that of another" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cleanup_fd int file = new_file();
        struct error error = ERROR_INIT;

        assert_int_equal(ftruncate(file, (off_t)SIZE + 4096 + cases[i].size), 0);
        if (cases[i].at >= 0)
            assert_int_equal(pwrite(file, "\xee", 1, (off_t)SIZE + cases[i].at), 1);
        loading_assert_error(memory_file_check(file, SIZE, id, MEMORY_FULL, &error), &error, EINVAL,
                             cases[i].text);
    }
    {
        cleanup_fd int file = new_file();
        struct error error = ERROR_INIT;

        loading_assert_error(memory_file_check(file, SIZE, other_id, MEMORY_FULL, &error), &error, EINVAL,
                             "that of another");
        loading_assert_error(memory_file_check(file, SIZE + 4096, id, MEMORY_FULL, &error), &error, EINVAL,
                             "was cut short");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_comes_back),
        cmocka_unit_test(a_restored_memory_is_saved),
        cmocka_unit_test(a_mapped_kernel_is_saved),
        cmocka_unit_test(broken_memory_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
