/* SPDX-License-Identifier: Apache-2.0 */
/* What is unpacked of a bzImage, by hostile headers too, and how it is kept, found again and thrown away. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/images/kernel_payload.h"
#include "vmm/job/kernel_cache.h"

#define SECTORS 0x1f1
#define VERSION 0x206
#define PAYLOAD_OFFSET 0x248
#define PAYLOAD_LENGTH 0x24c
#define PAYLOAD 1024 /* behind a boot sector and one of setup */

static const char vmlinux[] = "\x7f" "ELF, as far as anybody looks here";

static struct test_directory directory;
static unsigned int unpacked; /* calls */

static int set_up(void **state)
{
    (void)state;
    test_directory_create(&directory);
    setenv("MOTE_CACHE", directory.path, 1);
    unpacked = 0;
    return 0;
}

static int tear_down(void **state)
{
    char command[300];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s/unpacked-kernels'", directory.path);
    assert_int_equal(system(command), 0);
    test_directory_remove(&directory);
    return 0;
}

static void put(uint8_t *bytes, uint32_t value, unsigned int size)
{
    for (unsigned int i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t crc32_of(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < length; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* A gzip file with CONTENT in it as it is.  Returns its length. */
static size_t pack(uint8_t *bytes, const void *content, size_t length)
{
    static const uint8_t header[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1 };

    memcpy(bytes, header, sizeof(header));
    put(bytes + 11, (uint32_t)length, 2);
    put(bytes + 13, ~(uint32_t)length, 2);
    memcpy(bytes + 15, content, length);
    put(bytes + 15 + length, crc32_of(content, length), 4);
    put(bytes + 19 + length, (uint32_t)length, 4);
    return length + 23;
}

/* A bzImage with CONTENT packed in it.  Returns its length. */
static size_t craft(uint8_t bytes[2048], const void *content, size_t length)
{
    size_t packed;

    memset(bytes, 0, 2048);
    bytes[SECTORS] = 1;
    put(bytes + 0x1fe, 0xaa55, 2);
    memcpy(bytes + 0x202, "HdrS", 4);
    put(bytes + VERSION, 0x020f, 2);
    packed = pack(bytes + PAYLOAD, content, length);
    put(bytes + PAYLOAD_LENGTH, (uint32_t)packed, 4);
    return PAYLOAD + packed;
}

static const char *path_of(const char *name)
{
    static char path[400];

    snprintf(path, sizeof(path), "%s/%s", directory.path, name);
    return path;
}

static void write_kernel(const char *name)
{
    uint8_t bytes[2048];

    test_directory_write(&directory, name, (const char *)bytes,
                         craft(bytes, vmlinux, sizeof(vmlinux)));
}

/* ---- the payload ---------------------------------------------------------- */

/* Unpacks LENGTH bytes; what came is in CONTENT, its length is returned, or an error. */
static ssize_t unpack_bytes(const uint8_t *bytes, size_t length, char *content, size_t size)
{
    cleanup_fd int from = memfd_create("from", MFD_CLOEXEC), to = memfd_create("to", MFD_CLOEXEC);
    struct error error = ERROR_INIT;
    int result;

    assert_int_equal(write(from, bytes, length), length);
    result = kernel_payload_unpack(from, to, &error);
    if (result < 0) {
        assert_true(error.message[0] != '\0');
        return result;
    }
    return pread(to, content, size, 0);
}

static void test_payload(void **state)
{
    uint8_t bytes[2048];
    char content[256];
    size_t length = craft(bytes, vmlinux, sizeof(vmlinux));

    (void)state;
    assert_int_equal(unpack_bytes(bytes, length, content, sizeof(content)), sizeof(vmlinux));
    assert_memory_equal(content, vmlinux, sizeof(vmlinux));
}

static void test_lying_headers(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
        unsigned int size;
    } lies[] = {
        { 0x1fe, 0, 2 },                  /* no boot flag */
        { 0x202, 0, 4 },                  /* no magic */
        { VERSION, 0x0207, 2 },           /* before there was a payload's place */
        { SECTORS, 0xff, 1 },             /* setup beyond the file */
        { PAYLOAD_OFFSET, UINT32_MAX, 4 }, { PAYLOAD_OFFSET, 2000, 4 },
        { PAYLOAD_LENGTH, UINT32_MAX, 4 }, { PAYLOAD_LENGTH, 0, 4 }, { PAYLOAD_LENGTH, 7, 4 },
        { PAYLOAD_LENGTH, 20, 4 },        /* cut off in the middle */
        { PAYLOAD, 0x4d5a, 2 },           /* no compression that is known */
    };
    uint8_t bytes[2048];
    char content[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(lies); i++) {
        size_t length = craft(bytes, vmlinux, sizeof(vmlinux));

        put(bytes + lies[i].offset, lies[i].value, lies[i].size);
        assert_true(unpack_bytes(bytes, length, content, sizeof(content)) < 0);
    }
    for (size_t length = 0; length < PAYLOAD + 10; length += 13) {
        craft(bytes, vmlinux, sizeof(vmlinux));
        assert_true(unpack_bytes(bytes, length, content, sizeof(content)) < 0);
    }
    assert_true(unpack_bytes(bytes, craft(bytes, "no ELF", 6), content, sizeof(content)) < 0);
    assert_true(unpack_bytes(bytes, craft(bytes, "", 0), content, sizeof(content)) < 0);
}

/* ---- the cache ------------------------------------------------------------ */

static int unpack(const struct image_program *program, int from, int to, struct error *error)
{
    (void)program;
    unpacked++;
    return kernel_payload_unpack(from, to, error);
}

static int no_room(const struct image_program *program, int from, int to, struct error *error)
{
    (void)program;
    (void)from;
    unpacked++;
    assert_int_equal(write(to, vmlinux, 4), 4);
    return error_set(error, ENOSPC, "no room");
}

/* The kernel NAME's unpacked file, which must be right; to be freed. */
static char *get(const char *name)
{
    struct error error = ERROR_INIT;
    char *path = NULL, content[256];
    int fd;

    assert_int_equal(kernel_cache_get(path_of(name), unpack, NULL, &path, &error), 1);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, content, sizeof(content)), sizeof(vmlinux));
    assert_memory_equal(content, vmlinux, sizeof(vmlinux));
    close(fd);
    return path;
}

static unsigned int files(void)
{
    DIR *folder = opendir(path_of("unpacked-kernels"));
    unsigned int count = 0;

    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

static void test_unpacked_once(void **state)
{
    char *first, *second;

    (void)state;
    write_kernel("kernel");
    first = get("kernel");
    second = get("kernel");
    assert_string_equal(first, second);
    assert_int_equal(unpacked, 1);
    free(first);
    free(second);
    /* Another kernel under the same name is another. */
    unlink(path_of("kernel"));
    write_kernel("kernel");
    free(get("kernel"));
    assert_int_equal(unpacked, 2);
}

static void test_altered_files_are_made_anew(void **state)
{
    (void)state;
    write_kernel("kernel");
    for (int way = 0; way < 5; way++) {
        char *path = get("kernel");

        assert_int_equal(unpacked, way + 1);
        chmod(path, 0600); /* as a kill leaves it that comes before the last step, too */
        if (way == 0) {
            assert_int_equal(truncate(path, 8), 0);
        } else if (way == 1) {
            int fd = open(path, O_WRONLY | O_CLOEXEC);

            assert_int_equal(pwrite(fd, "X", 1, 9), 1);
            close(fd);
        } else if (way == 2) {
            chmod(path, 0666); /* anybody could have written there */
        } else if (way == 3) {
            unlink(path);
            assert_int_equal(symlink("/dev/zero", path), 0);
        }
        free(path);
    }
    free(get("kernel"));
    assert_int_equal(unpacked, 6);
    assert_int_equal(files(), 1);
}

static void test_failures_leave_nothing(void **state)
{
    struct error error = ERROR_INIT;
    char *path = NULL;

    (void)state;
    write_kernel("kernel");
    assert_int_equal(kernel_cache_get(path_of("kernel"), no_room, NULL, &path, &error), -ENOSPC);
    assert_null(path);
    assert_int_equal(files(), 0);
    free(get("kernel"));
    assert_int_equal(unpacked, 2);
}

static void test_a_writer_at_work(void **state)
{
    struct error error = ERROR_INIT;
    char *path, temporary[500];
    int fd;

    (void)state;
    write_kernel("kernel");
    path = get("kernel");
    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    unlink(path);
    free(path);
    fd = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "half of a kernel, and longer than a whole one is in here", 50), 50);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(kernel_cache_get(path_of("kernel"), unpack, NULL, &path, &error), 0);
    assert_int_equal(unpacked, 1);
    close(fd);
    /* Killed: its file goes to the next. */
    free(get("kernel"));
    assert_int_equal(unpacked, 2);
    assert_int_equal(files(), 1);
}

static void test_what_is_no_bzimage(void **state)
{
    struct error error = ERROR_INIT;
    char *path = NULL;

    (void)state;
    test_directory_write(&directory, "elf", vmlinux, sizeof(vmlinux));
    assert_int_equal(kernel_cache_get(path_of("elf"), unpack, NULL, &path, &error), 0);
    assert_int_equal(kernel_cache_get(path_of("absent"), unpack, NULL, &path, &error), 0);
    assert_int_equal(kernel_cache_get(directory.path, unpack, NULL, &path, &error), 0);
    assert_int_equal(kernel_cache_get("/dev/null", unpack, NULL, &path, &error), 0);
    assert_int_equal(unpacked, 0);
}

static void test_folders_of_others(void **state)
{
    struct error error = ERROR_INIT;
    char *path = NULL;

    (void)state;
    write_kernel("kernel");
    free(get("kernel"));
    chmod(path_of("unpacked-kernels"), 0777);
    assert_int_equal(kernel_cache_get(path_of("kernel"), unpack, NULL, &path, &error), -EPERM);
    assert_null(path);
    chmod(path_of("unpacked-kernels"), 0700);
    free(get("kernel"));
}

static void test_few_are_kept(void **state)
{
    (void)state;
    for (int i = 0; i < KERNEL_CACHE_KEPT + 3; i++) {
        char name[24];

        snprintf(name, sizeof(name), "kernel%d", i);
        write_kernel(name);
        free(get(name));
        /* The clock of a file's change is coarse. */
        usleep(20000);
    }
    assert_int_equal(files(), KERNEL_CACHE_KEPT);
    unpacked = 0;
    free(get("kernel6"));
    free(get("kernel3"));
    assert_int_equal(unpacked, 0);
    free(get("kernel2"));
    assert_int_equal(unpacked, 1);
}

#define CACHE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payload),
        cmocka_unit_test(test_lying_headers),
        CACHE_TEST(test_unpacked_once),
        CACHE_TEST(test_altered_files_are_made_anew),
        CACHE_TEST(test_failures_leave_nothing),
        CACHE_TEST(test_a_writer_at_work),
        CACHE_TEST(test_what_is_no_bzimage),
        CACHE_TEST(test_folders_of_others),
        CACHE_TEST(test_few_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
