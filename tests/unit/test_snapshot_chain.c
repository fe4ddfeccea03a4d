/* SPDX-License-Identifier: Apache-2.0 */
/* Differences of memory: what they hold, what a chain of them makes up, and chains that are none. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/loading.h"
#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/snapshot/memory_chain.h"
#include "vmm/snapshot/working_set.h"

/* 3 MiB and 12 KiB, in two regions: a number of pages that fills no byte of a map. */
#define LOW (3ull << 20)
#define HIGH 0x3000ull
#define SIZE (LOW + HIGH)
#define PAGES (SIZE / 4096)

static const uint8_t id[SNAPSHOT_ID_SIZE] = "0123456789abcde";
static const struct guest_range ranges[] = {
    { .address = 0, .size = LOW }, { .address = LOADING_HIGH, .size = HIGH },
};

static int new_file(enum memory_file_kind kind)
{
    int fd = memfd_create("memory", MFD_CLOEXEC);
    struct error error = ERROR_INIT;

    assert_true(fd >= 0);
    assert_int_equal(memory_file_begin(fd, SIZE, id, kind, &error), 0);
    return fd;
}

/* COUNT files are a chain. */
static struct memory_chain chain_of(const int *fds, size_t count)
{
    struct memory_chain chain;
    struct error error = ERROR_INIT;

    if (memory_chain_open(&chain, fds, count, SIZE, &error) < 0)
        fail_msg("%s", error.message);
    return chain;
}

static int saved(const struct guest_memory *memory, int map, struct memory_chain *source,
                 struct memory_chain *base)
{
    struct memory_saving saving = { .page_map = map, .source = source, .base = base };
    enum memory_file_kind kind = base ? MEMORY_DIFFERENCE : MEMORY_FULL;
    struct error error = ERROR_INIT;
    int fd = new_file(kind);

    if (memory_file_write(fd, memory, &saving, &error) < 0)
        fail_msg("%s", error.message);
    assert_int_equal(memory_file_check(fd, SIZE, id, kind, &error), 0);
    return fd;
}

static struct guest_memory *restored(struct memory_chain *chain)
{
    struct guest_memory *memory;
    struct error error = ERROR_INIT;

    assert_int_equal(guest_memory_create_from(&memory, ranges, 2,
                                              chain->layers[chain->count - 1].fd, &error), 0);
    if (memory_chain_map(chain, memory, &error) < 0)
        fail_msg("%s", error.message);
    return memory;
}

static uint8_t *page_of(const struct guest_memory *memory, uint64_t page)
{
    uint64_t offset = page * 4096;

    return loading_bytes(memory, offset < LOW ? offset : LOADING_HIGH + offset - LOW, 4096);
}

static void assert_same(const struct guest_memory *a, const struct guest_memory *b)
{
    for (uint64_t page = 0; page < PAGES; page++)
        if (memcmp(page_of(a, page), page_of(b, page), 4096) != 0)
            fail_msg("page %llu differs", (unsigned long long)page);
}

static off_t allocated(int fd)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    return status.st_blocks * 512;
}

static unsigned int in_map(struct memory_chain *chain)
{
    unsigned int count = 0;

    for (uint64_t page = 0; page < PAGES; page++)
        count += memory_map_has(chain->layers[0].map, page);
    return count;
}

static void discard(struct guest_memory *memory, uint64_t page)
{
    struct guest_slice slice = { .bytes = page_of(memory, page), .length = 4096 };

    assert_int_equal(guest_memory_discard(memory, &slice), 0);
}

static void fill(struct guest_memory *memory)
{
    for (uint64_t page = 10; page < 20; page++)
        memset(page_of(memory, page), (int)page, 4096);
    page_of(memory, PAGES - 1)[4095] = 0xee;
    page_of(memory, LOW / 4096 - 1)[0] = 0xdd;
}

/* Five pages change: other bytes, zeros, given back, new ones, the last one. */
static void change(struct guest_memory *memory, uint8_t byte)
{
    page_of(memory, 10)[7] = byte;
    memset(page_of(memory, 11), 0, 4096);
    discard(memory, 12);
    page_of(memory, 300)[0] = byte;
    page_of(memory, PAGES - 1)[0] = byte;
    /* As they were, if written to. */
    page_of(memory, 13)[0] = 13;
    page_of(memory, 400)[0] = 0;
}

/* One that ran on after it was saved, booted or restored: what is its base's is found by comparison. */
static void a_vm_that_ran_on(void **state)
{
    (void)state;
    for (int with_map = 0; with_map < 2; with_map++) {
        struct guest_memory *memory = loading_memory(LOW, HIGH), *again;
        cleanup_fd int map = with_map ? loading_page_map() : -1, base = -1, difference = -1;
        struct memory_chain below, both;

        fill(memory);
        base = saved(memory, map, NULL, NULL);
        change(memory, 0x55);
        below = chain_of(&base, 1);
        difference = saved(memory, map, NULL, &below);
        both = chain_of((int[]){ difference, base }, 2);
        assert_int_equal(in_map(&both), 5);
        /* Three pages that are not zero, the end and the map. */
        assert_int_equal(allocated(difference), 5 * 4096);
        again = restored(&both);
        assert_same(memory, again);
        guest_memory_destroy(again);
        guest_memory_destroy(memory);
        memory_chain_close(&both);
        memory_chain_close(&below);
    }
}

/* From a base, changed, saved, from that, and so on, as deep as it goes; and whole from the end of it. */
static void a_chain(void **state)
{
    int fds[SNAPSHOT_CHAIN_MAX], files[SNAPSHOT_CHAIN_MAX + 1];
    struct memory_chain chain;
    struct error error = ERROR_INIT;

    (void)state;
    for (int with_map = 0; with_map < 2; with_map++) {
        struct guest_memory *memory = loading_memory(LOW, HIGH), *again;
        cleanup_fd int map = with_map ? loading_page_map() : -1, whole = -1;
        size_t count = 1;

        fill(memory);
        fds[SNAPSHOT_CHAIN_MAX - 1] = saved(memory, map, NULL, NULL);
        while (count < SNAPSHOT_CHAIN_MAX) {
            int *top = &fds[SNAPSHOT_CHAIN_MAX - count];

            chain = chain_of(top, count);
            again = restored(&chain);
            change(again, (uint8_t)(0x80 + count));
            page_of(again, 500 + count)[0] = 1;
            change(memory, (uint8_t)(0x80 + count));
            page_of(memory, 500 + count)[0] = 1;
            top[-1] = saved(again, map, &chain, &chain);
            guest_memory_destroy(again);
            memory_chain_close(&chain);
            count++;
        }
        chain = chain_of(fds, count);
        assert_in_range(in_map(&chain), 4, 6);
        again = restored(&chain);
        assert_same(memory, again);
        whole = saved(again, map, &chain, NULL);
        guest_memory_destroy(again);
        memory_chain_close(&chain);
        chain = chain_of(&whole, 1);
        again = restored(&chain);
        assert_same(memory, again);
        guest_memory_destroy(again);
        guest_memory_destroy(memory);
        memory_chain_close(&chain);
        memcpy(files, fds, sizeof(fds));
        files[count] = whole;
        loading_assert_error(memory_chain_open(&chain, files, count + 1, SIZE, &error), &error, EINVAL,
                             "1 to 16 are possible");
        memory_chain_close(&chain);
        for (size_t i = 0; i < SNAPSHOT_CHAIN_MAX; i++)
            close(fds[i]);
    }
}

/* What nobody touched since is not looked at: the base's file could as well be empty. */
static void untouched_pages_cost_nothing(void **state)
{
    struct guest_memory *memory = loading_memory(LOW, HIGH), *again;
    cleanup_fd int map = loading_page_map(), base = -1, difference = -1;
    struct memory_chain below, both;

    (void)state;
    fill(memory);
    base = saved(memory, map, NULL, NULL);
    below = chain_of(&base, 1);
    again = restored(&below);
    assert_int_equal(page_of(again, 15)[0], 15); /* read alone */
    page_of(again, 16)[0] = 1;
    difference = saved(again, map, &below, &below);
    both = chain_of((int[]){ difference, base }, 2);
    assert_int_equal(in_map(&both), 1);
    assert_int_equal(below.buffered, 0); /* the group of page 16, the one that was compared */
    guest_memory_destroy(again);
    guest_memory_destroy(memory);
    memory_chain_close(&both);
    memory_chain_close(&below);
}

/* More pieces than may be mapped: the last of them are read. */
static void more_pieces_than_mappings(void **state)
{
    const struct guest_range range = { .address = 0, .size = 160ull << 20 };
    cleanup_fd int base = memfd_create("base", MFD_CLOEXEC), top = memfd_create("top", MFD_CLOEXEC);
    cleanup_free uint8_t *map = malloc(memory_file_map_length(range.size));
    struct guest_memory *memory;
    struct memory_chain chain;
    struct error error = ERROR_INIT;

    (void)state;
    assert_non_null(map);
    memset(map, 0xaa, memory_file_map_length(range.size));
    memset(map + range.size / 4096 / 8, 0, memory_file_map_length(range.size) - range.size / 4096 / 8);
    assert_int_equal(memory_file_begin(base, range.size, id, MEMORY_FULL, &error), 0);
    assert_int_equal(memory_file_begin(top, range.size, id, MEMORY_DIFFERENCE, &error), 0);
    assert_int_equal(memory_file_put(top, map, memory_file_map_length(range.size), range.size + 4096,
                                     &error), 0);
    for (uint64_t page = 1; page < range.size / 4096; page += 4097) {
        assert_int_equal(memory_file_put(top, "top", 3, page * 4096, &error), 0);
        assert_int_equal(memory_file_put(base, "base", 4, page * 4096, &error), 0);
        assert_int_equal(memory_file_put(base, "base", 4, (page + 1) * 4096, &error), 0);
    }
    assert_int_equal(guest_memory_create_from(&memory, &range, 1, base, &error), 0);
    assert_int_equal(memory_chain_open(&chain, (int[]){ top, base }, 2, range.size, &error), 0);
    if (memory_chain_map(&chain, memory, &error) < 0)
        fail_msg("%s", error.message);
    for (uint64_t page = 1; page < range.size / 4096; page += 4097) {
        assert_string_equal(loading_bytes(memory, page * 4096, 4096), page % 2 ? "top" : "base");
        assert_string_equal(loading_bytes(memory, (page + 1) * 4096, 4096), page % 2 ? "base" : "");
    }
    memory_chain_close(&chain);
    guest_memory_destroy(memory);
}

static void broken_differences(void **state)
{
    static const struct {
        off_t size; /* of the file, more than it is */
        off_t at;   /* a byte that is altered, from the end of RAM; -1: none */
        uint8_t byte;
        const char *text;
    } cases[] = {
        { -1, -1, 0, "was cut short" },  { -4096, -1, 0, "was cut short" },
        { 4096, -1, 0, "was cut short" }, { 0, 0, 'X', "was altered" },
        { 0, 8, 1, "was altered" },      { 0, 8, 3, "was altered" },
        { 0, 12, 1, "was altered" },     { 0, 16, 1, "was altered" },
        { 0, 24, 'X', "that of another" },
        /* The map: the first page that is none, and the last bit there is. */
        { 0, 4096 + PAGES / 8, 1 << PAGES % 8, "outside of memory" },
        { 0, 4096 + 4095, 0x80, "outside of memory" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cleanup_fd int file = new_file(MEMORY_DIFFERENCE), base = new_file(MEMORY_FULL);
        struct error error = ERROR_INIT;
        struct memory_chain chain;
        struct stat status;
        int result;

        assert_int_equal(fstat(file, &status), 0);
        assert_int_equal(ftruncate(file, status.st_size + cases[i].size), 0);
        if (cases[i].at >= 0)
            assert_int_equal(pwrite(file, &cases[i].byte, 1, (off_t)SIZE + cases[i].at), 1);
        result = memory_file_check(file, SIZE, id, MEMORY_DIFFERENCE, &error);
        if (result == 0) {
            result = memory_chain_open(&chain, (int[]){ file, base }, 2, SIZE, &error);
            memory_chain_close(&chain);
        }
        loading_assert_error(result, &error, EINVAL, cases[i].text);
    }
}

/* A file that is cut short after it was opened is an error, and no endless loop. */
static void cut_short_meanwhile(void **state)
{
    cleanup_fd int file = new_file(MEMORY_DIFFERENCE), base = new_file(MEMORY_FULL);
    struct memory_chain chain = chain_of((int[]){ file, base }, 2);
    struct error error = ERROR_INIT;
    const uint8_t *bytes;

    (void)state;
    assert_int_equal(ftruncate(base, 8192), 0);
    loading_assert_error(memory_chain_page(&chain, 0, &bytes, &error), &error, EIO, "cut short just now");
    memory_chain_close(&chain);
    assert_int_equal(ftruncate(file, (off_t)SIZE + 4097), 0);
    loading_assert_error(memory_chain_open(&chain, (int[]){ file, base }, 2, SIZE, &error), &error, EIO,
                         "cut short just now");
    memory_chain_close(&chain);
}

/* Files stand in a region, whole pages of them, and nowhere else. */
static void mapped_at_the_right_place(void **state)
{
    static const struct guest_range wrong[] = {
        { 0, 0 }, { 0, 100 }, { 1, 4096 }, { LOW - 4096, 8192 }, { LOW, 4096 },
        { LOADING_HIGH + HIGH, 4096 }, { UINT64_MAX - 4095, 4096 },
    };
    cleanup_fd int file = new_file(MEMORY_FULL);
    struct memory_chain chain = chain_of(&file, 1);
    struct guest_memory *memory = restored(&chain);
    struct error error = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        loading_assert_error(guest_memory_map_file(memory, wrong[i].address, wrong[i].size, file, 0,
                                                   &error), &error, EINVAL, "no file can stand");
    guest_memory_destroy(memory);
    memory_chain_close(&chain);
}

/* Pages that were written, or read, are recorded; what is not whole is not kept. */
static void working_set(void **state)
{
    struct vm_snapshot_source source = SNAPSHOT_SOURCE_INIT;
    struct test_directory directory;
    cleanup_fd int map = loading_page_map(), file = new_file(MEMORY_FULL);
    struct memory_chain chain = chain_of(&file, 1);
    struct guest_memory *memory = restored(&chain);
    char path[160], byte;
    struct stat recorded, kept;
    uint8_t bytes[4096];

    (void)state;
    test_directory_create(&directory);
    snprintf(path, sizeof(path), "%s/working-set", directory.path);
    memcpy(source.id, id, sizeof(id));
    source.size = SIZE;
    working_set_prepare(&source, directory.path);
    assert_true(source.record_fd >= 0);
    working_set_keep(&source, directory.path); /* nothing was recorded */
    assert_int_equal(access(path, F_OK), -1);
    page_of(memory, 100)[0] = 1;
    assert_int_equal(page_of(memory, PAGES - 1)[0], 0);
    working_set_record(&source, memory, map);
    assert_int_equal(pread(source.record_fd, bytes, sizeof(bytes), 4096), 4096);
    assert_true(memory_map_has(bytes, 100) && memory_map_has(bytes, PAGES - 1));
    assert_false(memory_map_has(bytes, 600)); /* far from both: the kernel maps some at once */
    /* Each byte of the header, and some of the map. */
    for (off_t at = 0; at < 4096 + 4096; at = at < 47 ? at + 1 : at < 4096 ? 4096 : at + 101) {
        assert_int_equal(pread(source.record_fd, &byte, 1, at), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(source.record_fd, &byte, 1, at), 1);
        working_set_keep(&source, directory.path);
        assert_int_equal(access(path, F_OK), -1);
        byte ^= 0x40;
        assert_int_equal(pwrite(source.record_fd, &byte, 1, at), 1);
    }
    working_set_keep(&source, directory.path);
    /* Its process may have the file open still: what is kept is another. */
    assert_int_equal(stat(path, &kept), 0);
    assert_int_equal(fstat(source.record_fd, &recorded), 0);
    assert_int_not_equal(kept.st_ino, recorded.st_ino);
    assert_int_equal(kept.st_size, recorded.st_size);
    assert_int_equal(kept.st_mode & 0777, 0400);
    source.working_set_fd = open(path, O_RDONLY | O_CLOEXEC);
    working_set_read_ahead(&source, &chain, memory);
    close(source.record_fd);
    source.record_fd = -1;
    working_set_prepare(&source, directory.path);
    assert_int_equal(source.record_fd, -1); /* it is sound */
    close(source.working_set_fd);
    guest_memory_destroy(memory);
    memory_chain_close(&chain);
    test_directory_remove(&directory);
}

static bool is_own(struct guest_memory *memory, int map, uint64_t page)
{
    uint64_t entry;
    off_t at = (off_t)((uintptr_t)page_of(memory, page) / 4096 * sizeof(entry));

    assert_int_equal(pread(map, &entry, sizeof(entry), at), sizeof(entry));
    return (entry >> 63 & 1) && !(entry >> 61 & 1);
}

/* Of a template those that were written; the next VM has them for its own, with what they had. */
static void what_was_written(void **state)
{
    struct vm_snapshot_source source = SNAPSHOT_SOURCE_INIT;
    cleanup_fd int map = loading_page_map(), file = new_file(MEMORY_FULL), record = memfd_create("working-set", MFD_CLOEXEC);
    struct memory_chain chain = chain_of(&file, 1);
    struct guest_memory *memory = restored(&chain);
    uint8_t bytes[4096], before = page_of(memory, 101)[5];

    (void)state;
    memcpy(source.id, id, sizeof(id));
    source.size = SIZE;
    source.awaits_job = true;
    source.record_fd = source.working_set_fd = record;
    page_of(memory, 100)[0] = 1;
    page_of(memory, 101)[5] = (uint8_t)~before;
    page_of(memory, PAGES - 1)[0] = 1;
    assert_true(page_of(memory, 600)[0] <= UINT8_MAX); /* read */
    working_set_record(&source, memory, map);
    assert_int_equal(pread(record, bytes, sizeof(bytes), 4096), 4096);
    for (uint64_t page = 0; page < PAGES; page++)
        assert_int_equal(memory_map_has(bytes, page), page == 100 || page == 101 || page == PAGES - 1);
    guest_memory_destroy(memory);
    memory = restored(&chain);
    working_set_read_ahead(&source, &chain, memory);
    for (uint64_t page = 99; page <= 102; page++)
        assert_int_equal(is_own(memory, map, page), page == 100 || page == 101);
    assert_true(is_own(memory, map, PAGES - 1));
    assert_int_equal(page_of(memory, 101)[5], before);
    guest_memory_destroy(memory);
    memory_chain_close(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_that_ran_on),
        cmocka_unit_test(a_chain),
        cmocka_unit_test(untouched_pages_cost_nothing),
        cmocka_unit_test(more_pieces_than_mappings),
        cmocka_unit_test(broken_differences),
        cmocka_unit_test(cut_short_meanwhile),
        cmocka_unit_test(mapped_at_the_right_place),
        cmocka_unit_test(working_set),
        cmocka_unit_test(what_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
