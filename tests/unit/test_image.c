/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/loading.h"

static char directory[] = "/tmp/mote-image-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[100];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void make_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int set_up(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    (void)state;
    assert_non_null(mkdtemp(directory));
    make_file("regular", "0123456789", 0600);
    make_file("empty", "", 0600);
    assert_int_equal(mkdir(path_of("folder"), 0700), 0);
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(symlink("nowhere", path_of("dangling")), 0);
    assert_int_equal(symlink("loop", path_of("loop")), 0);
    assert_int_equal(symlink("regular", path_of("link")), 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("socket"));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {
        "regular", "empty", "fifo", "dangling", "loop", "link", "socket", "secret",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(path_of(names[i]));
    rmdir(path_of("folder"));
    rmdir(directory);
    return 0;
}

struct open_case {
    const char *name;
    const char *file; /* below the directory, or an absolute path, or empty */
    int number;
    const char *text;
};

static const struct open_case open_cases[] = {
    { "regular_file_opens", "regular", 0, "" },
    { "link_to_a_regular_file_opens", "link", 0, "" },
    { "missing_file", "missing", ENOENT, "No such file or directory; check the path" },
    { "file_below_a_file", "regular/x", ENOTDIR, "Not a directory; check the path" },
    { "empty_name", "", EINVAL, "the file name is empty; name a file" },
    { "empty_file", "empty", EINVAL, "the file is empty; fetch or build it again" },
    { "folder", "folder", EISDIR, "is a directory; name the kernel file in it" },
    { "fifo_does_not_block", "fifo", EINVAL, "is not a regular file" },
    { "socket", "socket", ENXIO, "No such device or address" },
    { "character_device", "/dev/null", EINVAL, "is not a regular file; copy it to one first" },
    { "dangling_link", "dangling", ENOENT, "No such file" },
    { "endless_link", "loop", ELOOP, "kernel " },
};

static void check_open(void **state)
{
    const struct open_case *c = *state;
    const char *path = c->file[0] == '/' || !c->file[0] ? c->file : path_of(c->file);
    struct image image = { .fd = -1 };
    struct error error = ERROR_INIT;
    int result = image_open(&image, "kernel", path, &error);

    if (c->number) {
        loading_assert_error(result, &error, c->number, c->text);
        assert_int_equal(image.fd, -1);
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(image.size, 10);
    assert_string_equal(image.role, "kernel");
    assert_true(fcntl(image.fd, F_GETFD) & FD_CLOEXEC);
    image_close(&image);
    assert_int_equal(image.fd, -1);
    image_close(&image);
}

static void unreadable_file(void **state)
{
    struct image image;
    struct error error = ERROR_INIT;

    (void)state;
    make_file("secret", "x", 0000);
    /* root reads what it likes */
    if (access(path_of("secret"), R_OK) == 0)
        return;
    loading_assert_error(image_open(&image, "initrd", path_of("secret"), &error), &error, EACCES,
                         "Permission denied; make it readable for this user");
}

static void message_has_role_and_path(void **state)
{
    struct image image;
    struct error error = ERROR_INIT;

    (void)state;
    loading_assert_error(image_open(&image, "initrd", "/no\nsuch", &error), &error, ENOENT,
                         "initrd /no?such: ");
}

static void reads_are_bounded(void **state)
{
    static const struct {
        uint64_t offset;
        size_t length;
        bool good;
    } reads[] = {
        { 0, 10, true },  { 9, 1, true },   { 10, 0, true },         { 0, 0, true },
        { 0, 11, false }, { 9, 2, false },  { 10, 1, false },        { 11, 0, false },
        { UINT64_MAX, 1, false },           { UINT64_MAX - 4, 16, false },
        { 5, SIZE_MAX, false },             { 1ull << 63, 1, false },
    };
    struct image image;
    struct error error = ERROR_INIT;
    char bytes[16];

    (void)state;
    assert_int_equal(image_open(&image, "kernel", path_of("regular"), &error), 0);
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        int result = image_read(&image, reads[i].offset, bytes, reads[i].length, &error);

        if (!reads[i].good)
            loading_assert_error(result, &error, EINVAL, "ends too early (truncated)");
        else
            assert_int_equal(result, 0);
    }
    assert_int_equal(image_read(&image, 3, bytes, 4, &error), 0);
    assert_memory_equal(bytes, "3456", 4);
    image_close(&image);
}

static void file_that_shrinks_is_truncated(void **state)
{
    struct crafted crafted;
    struct image image;
    struct error error = ERROR_INIT;
    uint8_t bytes[4096];

    (void)state;
    craft_bzimage(&crafted);
    image = crafted_open(&crafted, "kernel");
    assert_int_equal(ftruncate(image.fd, 100), 0);
    loading_assert_error(image_read(&image, 0, bytes, sizeof(bytes), &error), &error, EINVAL,
                         "ends too early (truncated)");
    assert_int_equal(image_read(&image, 0, bytes, 100, &error), 0);
    image_close(&image);
}

static void read_error_is_reported(void **state)
{
    struct image image = { .role = "kernel", .path = "x", .fd = -1, .size = 10 };
    struct error error = ERROR_INIT;
    uint8_t byte;

    (void)state;
    loading_assert_error(image_read(&image, 0, &byte, 1, &error), &error, EBADF,
                         "kernel x: read: Bad file descriptor");
}

static void loads_only_into_ram(void **state)
{
    static const struct {
        uint64_t address, length;
        bool good;
    } loads[] = {
        { 0, 10, true },
        { 2 * MIB - 10, 10, true },
        { 2 * MIB - 9, 10, false },
        { 2 * MIB, 1, false },
        { LOADING_HIGH, 10, true },
        { LOADING_HIGH - 1, 2, false },
        { LOADING_HIGH + MIB - 1, 2, false },
        { UINT64_MAX, 10, false },
        { 0, UINT64_MAX, false },
    };
    struct guest_memory *memory = loading_memory(2 * MIB, MIB);
    struct image image;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(image_open(&image, "kernel", path_of("regular"), &error), 0);
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        int result = image_load(&image, 0, loads[i].length, memory, loads[i].address, &error);

        if (!loads[i].good)
            loading_assert_error(result, &error, EINVAL, "do not lie in the guest's memory");
        else
            assert_memory_equal(loading_bytes(memory, loads[i].address, 10), "0123456789", 10);
    }
    image_close(&image);
    guest_memory_destroy(memory);
}

/* 16 MiB of which PAGES hold their letter; returns the opened file. */
static void make_sparse(struct image *image, const char *pages, size_t count)
{
    struct error error = ERROR_INIT;
    int fd = open(path_of("sparse"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 16 * MIB), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pwrite(fd, &pages[i], 1, (off_t)MIB * (pages[i] - 'a')), 1);
    close(fd);
    assert_int_equal(image_open(image, "kernel", path_of("sparse"), &error), 0);
}

static void holes_are_not_written(void **state)
{
    struct guest_memory *memory = loading_memory(16 * MIB, MIB);
    uint8_t *bytes = loading_bytes(memory, 0, 16 * MIB);
    struct image image;
    struct error error = ERROR_INIT;

    (void)state;
    make_sparse(&image, "adh", 3);
    memset(bytes, 'x', 16 * MIB);
    assert_int_equal(image_load(&image, 0, 16 * MIB, memory, 0, &error), 0);
    assert_int_equal(bytes[0], 'a');
    assert_int_equal(bytes[3 * MIB], 'd');
    assert_int_equal(bytes[7 * MIB], 'h');
    /* Around what is there, where file systems place blocks of up to 64 KiB. */
    assert_int_equal(bytes[MIB], 'x');
    assert_int_equal(bytes[16 * MIB - 1], 'x');
    assert_int_equal(bytes[1], 0);

    /* From the middle of a hole to the middle of the next, and a hole alone. */
    memset(bytes, 'x', 16 * MIB);
    assert_int_equal(image_load(&image, 2 * MIB, 4 * MIB, memory, 0, &error), 0);
    assert_int_equal(bytes[MIB], 'd');
    assert_int_equal(bytes[4 * MIB - 1], 'x');
    assert_int_equal(image_load(&image, 9 * MIB, 5 * MIB, memory, 5 * MIB, &error), 0);
    assert_int_equal(bytes[5 * MIB], 'x');
    image_close(&image);
    guest_memory_destroy(memory);
}

static void sparse_file_that_shrinks_is_truncated(void **state)
{
    struct guest_memory *memory = loading_memory(16 * MIB, MIB);
    struct image image;
    struct error error = ERROR_INIT;

    (void)state;
    make_sparse(&image, "ah", 2);
    assert_int_equal(truncate(path_of("sparse"), 4 * MIB), 0);
    loading_assert_error(image_load(&image, 0, 16 * MIB, memory, 0, &error), &error, EINVAL,
                         "truncated");
    loading_assert_error(image_load(&image, 16 * MIB, 2 * MIB, memory, 0, &error), &error, EINVAL,
                         "truncated");
    image_close(&image);
    guest_memory_destroy(memory);
}

/* A file of five pages, none of which is like another. */
#define PLACED (5 * 4096)
static void make_placed(uint8_t bytes[PLACED])
{
    int fd = open(path_of("placed"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0400);

    for (size_t i = 0; i < PLACED; i++)
        bytes[i] = (uint8_t)(1 + (i ^ i >> 8) % 255);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, PLACED), PLACED);
    close(fd);
}

/* Whole pages between the two ends are the file's, and nothing else is. */
static void assert_placed(const struct guest_memory *memory, uint64_t address, uint64_t length,
                          bool shared)
{
    for (uint64_t page = 0; page < 2 * MIB; page += 4096)
        assert_int_equal(guest_memory_page_has_file(memory, page),
                         shared && page >= address && page + 4096 <= address + length);
}

static void whole_pages_are_shared(void **state)
{
    static const struct {
        uint64_t offset, length, address;
        bool shared;
    } places[] = {
        { 0, PLACED, 0x10000, true },         { 4096, 8192, 2 * MIB - 8192, true },
        { 0, PLACED - 1, 0x10000, true },     { 1, PLACED - 1, 0x10001, true },
        { 4095, 4098, 0x10fff, true },        { 4095, 4097, 0x10fff, true },
        { 4095, 4096, 0x10fff, false },       { 0, 4095, 0x10000, false },
        { 1, 4096, 0x10001, false },          { 0, PLACED, 0x10001, false },
        { 1, PLACED - 1, 0x10000, false },    { 0, 0, 0x10000, false },
    };
    uint8_t bytes[PLACED];
    struct image image;
    struct error error = ERROR_INIT;

    (void)state;
    make_placed(bytes);
    assert_int_equal(image_open(&image, "kernel", path_of("placed"), &error), 0);
    assert_true(image.constant);
    for (size_t i = 0; i < 2 * sizeof(places) / sizeof(places[0]); i++) {
        struct guest_memory *memory = loading_memory(2 * MIB, 0);
        uint64_t offset = places[i / 2].offset, length = places[i / 2].length;
        uint64_t address = places[i / 2].address;

        image.constant = i % 2;
        if (image_place(&image, offset, length, memory, address, &error) < 0)
            fail_msg("%s", error.message);
        assert_memory_equal(loading_bytes(memory, address, length), bytes + offset, length);
        loading_assert_zero(memory, 0, address);
        if (address + length < 2 * MIB)
            loading_assert_zero(memory, address + length, 2 * MIB - address - length);
        assert_placed(memory, address, length, places[i / 2].shared && image.constant);
        guest_memory_destroy(memory);
    }
    image_close(&image);
    unlink(path_of("placed"));
}

static void places_are_bounded(void **state)
{
    static const struct {
        uint64_t offset, length, address;
        const char *text;
    } places[] = {
        { 0, PLACED + 1, 0, "truncated" },           { 4096, PLACED, 0, "truncated" },
        { PLACED + 4096, 4096, 0, "truncated" },     { 4096, UINT64_MAX - 4096, 0, "truncated" },
        { 1ull << 63, 4096, 0, "truncated" },        { UINT64_MAX - 4095, 4096, 0, "truncated" },
        { 0, 8192, 2 * MIB - 4096, "do not lie in" }, { 0, 4096, 2 * MIB, "do not lie in" },
        { 0, 4096, UINT64_MAX - 4095, "do not lie in" },
    };
    struct guest_memory *memory = loading_memory(2 * MIB, 0);
    uint8_t bytes[PLACED];
    struct image image;
    struct error error = ERROR_INIT;

    (void)state;
    make_placed(bytes);
    assert_int_equal(image_open(&image, "kernel", path_of("placed"), &error), 0);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        loading_assert_error(image_place(&image, places[i].offset, places[i].length, memory,
                                         places[i].address, &error),
                             &error, EINVAL, places[i].text);
    image_close(&image);
    unlink(path_of("placed"));
    guest_memory_destroy(memory);
}

/* A file that has no pages: procfs does not map. */
static void unmappable_is_read(void **state)
{
    struct guest_memory *memory = loading_memory(2 * MIB, 0);
    int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
    struct image image = { .role = "kernel", .path = "x", .fd = fd, .size = MIB, .constant = true };
    struct error error = ERROR_INIT;
    uint8_t bytes[8192];

    (void)state;
    if (image_read(&image, 0, bytes, sizeof(bytes), &error) == 0) {
        assert_int_equal(image_place(&image, 0, sizeof(bytes), memory, 0x10000, &error), 0);
        assert_memory_equal(loading_bytes(memory, 0x10000, sizeof(bytes)), bytes, sizeof(bytes));
        assert_placed(memory, 0x10000, sizeof(bytes), false);
    }
    if (fd >= 0)
        close(fd);
    guest_memory_destroy(memory);
}

/* By its owner, by its group, by anybody. */
static void written_to_is_not_constant(void **state)
{
    static const mode_t modes[] = { 0600, 0420, 0402, 0755 };
    struct image image;
    struct error error = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(path_of("regular"), modes[i]), 0);
        assert_int_equal(image_open(&image, "kernel", path_of("regular"), &error), 0);
        assert_false(image.constant);
        image_close(&image);
    }
}

int main(void)
{
    struct CMUnitTest tests[32] = {
        cmocka_unit_test(unreadable_file),
        cmocka_unit_test(message_has_role_and_path),
        cmocka_unit_test(reads_are_bounded),
        cmocka_unit_test(file_that_shrinks_is_truncated),
        cmocka_unit_test(read_error_is_reported),
        cmocka_unit_test(loads_only_into_ram),
        cmocka_unit_test(holes_are_not_written),
        cmocka_unit_test(sparse_file_that_shrinks_is_truncated),
        cmocka_unit_test(whole_pages_are_shared),
        cmocka_unit_test(places_are_bounded),
        cmocka_unit_test(unmappable_is_read),
        cmocka_unit_test(written_to_is_not_constant),
    };
    size_t count = 12;

    count += LOADING_ADD(tests + count, open_cases, check_open);
    return _cmocka_run_group_tests("image", tests, count, set_up, tear_down);
}
