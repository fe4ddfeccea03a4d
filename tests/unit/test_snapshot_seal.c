/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot's seal: memory that was altered is told, and chains of folders that are none. */
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
#include "tests/support/own_directory.h"
#include "tests/support/saved.h"
#include "vmm/base/cleanup.h"
#include "vmm/supervisor/snapshot/folder.h"
#include "vmm/snapshot/machine_state.h"
#include "vmm/snapshot/memory_sum.h"
#include "vmm/supervisor/snapshot/merge.h"

#define SIZE (1ull << 20)

static void id_of(const char *name, uint8_t id[SNAPSHOT_ID_SIZE])
{
    memset(id, 0, SNAPSHOT_ID_SIZE);
    memcpy(id, name, strnlen(name, SNAPSHOT_ID_SIZE));
}

/* The snapshot NAME, whose id is its name; BASE may be NULL. */
static void make(const char *name, const char *base)
{
    struct snapshot_folder folder;
    struct error error = ERROR_INIT;
    uint8_t id[SNAPSHOT_ID_SIZE], base_id[SNAPSHOT_ID_SIZE];
    int result;

    id_of(name, id);
    result = snapshot_folder_begin(&folder, path_of(name), SIZE, id, &error);
    if (result == 0 && base) {
        id_of(base, base_id);
        result = snapshot_folder_set_base(&folder, path_of(name), path_of(base), base_id, &error);
    }
    if (result == 0)
        result = memory_file_put(folder.memory_fd, name, strlen(name), 8192, &error);
    assert_int_equal(pwrite(folder.state_fd, "state", 5, 0), 5);
    if (result == 0)
        result = snapshot_folder_finish(&folder, &error);
    if (result < 0)
        fail_msg("%s", error.message);
}

static int open_it(const char *name, struct error *error)
{
    struct vm_snapshot_source source;
    int result = snapshot_folder_open(&source, path_of(name), error);

    if (result == 0) {
        assert_int_equal(source.size, SIZE);
        snapshot_source_close(&source);
    }
    return result;
}

static int verify(const char *name, struct error *error)
{
    struct vm_snapshot_source source;
    int result = snapshot_folder_verify(&source, path_of(name), error);

    if (result == 0)
        snapshot_source_close(&source);
    return result;
}

static int opened_to_write(const char *file)
{
    int fd;

    assert_int_equal(chmod(path_of(file), 0600), 0);
    fd = open(path_of(file), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void poke(const char *file, off_t at, char byte)
{
    cleanup_fd int fd = opened_to_write(file);

    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* ---- the checksum ---- */

static void the_published_function(void **state)
{
    uint8_t bytes[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    assert_true(xxh64(bytes, 32, 0) == 0x91b0cb0931a8c629);
    assert_true(xxh64(bytes, 4096, 0) == 0x2f2095dbb4b78856);
    assert_true(xxh64(bytes, 4096, 0x123456789abcdef0) == 0xd15885c7d889d62a);
}

static uint64_t sum_of(int fd)
{
    struct progress progress;
    struct error error = ERROR_INIT;
    uint64_t sum;

    progress_init(&progress, false);
    if (memory_sum(fd, SIZE, &sum, &progress, &error) < 0)
        fail_msg("%s", error.message);
    return sum;
}

/* Each bit counts, and where a page is; whether zeros are a hole does not. */
static void what_is_summed(void **state)
{
    cleanup_fd int fd = memfd_create("memory", MFD_CLOEXEC);
    static const off_t places[] = { 0, 4095, 4096, 300000, SIZE - 1 };
    char zeros[20000] = { 0 };
    uint64_t empty, one;

    (void)state;
    assert_int_equal(ftruncate(fd, SIZE), 0);
    empty = sum_of(fd);
    for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
        assert_int_equal(pwrite(fd, "\1", 1, places[i]), 1);
        one = sum_of(fd);
        assert_true(one != empty);
        assert_int_equal(pwrite(fd, "\3", 1, places[i]), 1);
        assert_true(sum_of(fd) != one);
        assert_int_equal(pwrite(fd, "", 1, places[i]), 1);
        assert_true(sum_of(fd) == empty);
    }
    assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 5000), (ssize_t)sizeof(zeros));
    assert_true(sum_of(fd) == empty);
    assert_int_equal(pwrite(fd, "a", 1, 8192), 1);
    one = sum_of(fd);
    assert_int_equal(pwrite(fd, "", 1, 8192), 1);
    assert_int_equal(pwrite(fd, "a", 1, 12288), 1);
    assert_true(sum_of(fd) != one);
}

/* ---- memory that was altered ---- */

static void altered_memory_is_refused(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    make("a", NULL);
    assert_int_equal(open_it("a", &error), 0);
    assert_int_equal(verify("a", &error), 0);
    poke("a/memory", 8192, 'b');
    loading_assert_error(open_it("a", &error), &error, EINVAL, "was altered, its checksum does not fit");
    loading_assert_error(verify("a", &error), &error, EINVAL, "its checksum does not fit");
    /* As it was: of another time, but sound. */
    poke("a/memory", 8192, 'a');
    assert_int_equal(open_it("a", &error), 0);
    /* What stands behind the memory. */
    poke("a/memory", SIZE + 100, 'b');
    loading_assert_error(open_it("a", &error), &error, EINVAL, "its checksum does not fit");
}

static struct seal seal_of(const char *file)
{
    cleanup_fd int fd = open(path_of(file), O_RDONLY | O_CLOEXEC);
    struct seal seal;
    struct error error = ERROR_INIT;

    if (seal_read(&seal, fd, &error) < 0)
        fail_msg("%s", error.message);
    return seal;
}

/* After verify the time is the seal's again, and nothing needs to be read. */
static void a_verified_copy_has_its_time(void **state)
{
    struct error error = ERROR_INIT;
    struct seal before, after;
    struct stat status;

    (void)state;
    make("a", NULL);
    before = seal_of("a/seal");
    poke("a/memory", 8192, 'a');
    assert_int_equal(open_it("a", &error), 0);
    assert_int_equal(verify("a", &error), 0);
    after = seal_of("a/seal");
    assert_int_equal(stat(path_of("a/memory"), &status), 0);
    assert_true(after.changed_seconds == (uint64_t)status.st_ctim.tv_sec &&
                after.changed_nanoseconds == (uint64_t)status.st_ctim.tv_nsec);
    assert_true(after.sum == before.sum);
    assert_int_equal(access(path_of("a/seal.new"), F_OK), -1);
}

/* Who may not wait for memory to be read is told what to do, also of a base. */
static void at_once_or_not_at_all(void **state)
{
    struct vm_snapshot_source source;
    struct error error = ERROR_INIT;

    (void)state;
    make("a", NULL);
    make("b", "a");
    assert_int_equal(snapshot_folder_open_sealed(&source, path_of("b"), &error), 0);
    snapshot_source_close(&source);
    poke("a/memory", 8192, 'a');
    assert_int_equal(open_it("b", &error), 0);
    loading_assert_error(snapshot_folder_open_sealed(&source, path_of("b"), &error), &error, ESTALE,
                         "b/../a: its memory was copied or touched");
    assert_int_equal(verify("b", &error), 0);
    assert_int_equal(snapshot_folder_open_sealed(&source, path_of("b"), &error), 0);
    snapshot_source_close(&source);
}

/* The file that is written to once it was read; "": none. */
static char disturbed[160];

int __real_memory_sum(int fd, uint64_t length, uint64_t *sum, struct progress *progress,
                      struct error *error);
int __wrap_memory_sum(int fd, uint64_t length, uint64_t *sum, struct progress *progress,
                      struct error *error);

int __wrap_memory_sum(int fd, uint64_t length, uint64_t *sum, struct progress *progress,
                      struct error *error)
{
    int result = __real_memory_sum(fd, length, sum, progress, error);

    if (disturbed[0]) {
        usleep(30000); /* more than the clock of files needs for another time */
        assert_int_equal(chmod(disturbed, 0600), 0);
        {
            cleanup_fd int own = open(disturbed, O_WRONLY | O_CLOEXEC);

            assert_int_equal(pwrite(own, "z", 1, 8192), 1);
        }
        disturbed[0] = '\0';
    }
    return result;
}

/* What was not in the checksum any more is not taken at its time. */
static void written_while_it_is_sealed(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    make("a", NULL);
    snprintf(disturbed, sizeof(disturbed), "%s", path_of("a/memory"));
    assert_int_equal(verify("a", &error), 0);
    loading_assert_error(open_it("a", &error), &error, EINVAL, "its checksum does not fit");
    snprintf(disturbed, sizeof(disturbed), "%s", path_of("b.partial/memory"));
    make("b", NULL);
    loading_assert_error(open_it("b", &error), &error, EINVAL, "its checksum does not fit");
}

/* ---- chains of folders ---- */

static void a_chain_of_folders(void **state)
{
    struct vm_snapshot_source source;
    struct error error = ERROR_INIT;
    struct seal seal;

    (void)state;
    assert_int_equal(mkdir(path_of("in"), 0700), 0);
    make("a", NULL);
    make("in/b", "a");
    make("c", "in/b");
    seal = seal_of("c/seal");
    assert_string_equal(seal.base, "../in/b");
    seal_release(&seal);
    assert_int_equal(snapshot_folder_open(&source, path_of("c"), &error), 0);
    assert_int_equal(source.base_count, 2);
    snapshot_source_close(&source);
    assert_int_equal(verify("c", &error), 0);
    poke("a/memory", 0, 'x');
    loading_assert_error(open_it("c", &error), &error, EINVAL, "its checksum does not fit");
    poke("a/memory", 0, 0);
    assert_int_equal(rename(path_of("a"), path_of("away")), 0);
    loading_assert_error(open_it("c", &error), &error, ENOENT, "its base ../../a is not there");
    make("a", NULL); /* the same name and id, with another contents: it is what its seal says */
    assert_int_equal(open_it("c", &error), 0);
    assert_int_equal(rename(path_of("a"), path_of("away2")), 0);
    make("other", NULL);
    assert_int_equal(rename(path_of("other"), path_of("a")), 0);
    loading_assert_error(open_it("c", &error), &error, EINVAL, "is another snapshot than");
}

/* Whoever could write a base could write what is made of it. */
static void bases_of_others(void **state)
{
    static const char *const parts[] = { "a", "a/memory", "a/seal" };
    struct error error = ERROR_INIT;

    (void)state;
    make("a", NULL);
    make("b", "a");
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        assert_int_equal(chmod(path_of(parts[i]), 0720), 0);
        loading_assert_error(open_it("b", &error), &error, EPERM, "can be written by others");
        assert_int_equal(chmod(path_of(parts[i]), 0700), 0);
    }
    assert_int_equal(open_it("b", &error), 0);
}

static void too_long_or_in_a_circle(void **state)
{
    char name[16], last[16] = "0";
    struct error error = ERROR_INIT;
    struct seal seal;

    (void)state;
    make("0", NULL);
    for (int i = 1; i < SNAPSHOT_CHAIN_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        make(name, last);
        memcpy(last, name, sizeof(last));
    }
    assert_int_equal(open_it(last, &error), 0);
    make("deep", last);
    loading_assert_error(open_it("deep", &error), &error, ELOOP, "fold it by 'mote snapshot merge'");
    /* The first of them becomes a difference from the last: its seal is forged. */
    seal = seal_of("1/seal");
    free(seal.base);
    seal.base = strdup("../15");
    id_of("15", seal.base_id);
    {
        cleanup_fd int fd = opened_to_write("1/seal");

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(seal_write(&seal, fd, &error), 0);
    }
    seal_release(&seal);
    loading_assert_error(open_it(last, &error), &error, ELOOP, "or from itself");
}

/* ---- merging ---- */

static void byte_is(const char *file, off_t at, char wanted)
{
    cleanup_fd int fd = open(path_of(file), O_RDONLY | O_CLOEXEC);
    char byte;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    assert_int_equal(byte, wanted);
}

static void a_chain_is_folded(void **state)
{
    struct error error = ERROR_INIT;
    struct stat status;

    (void)state;
    make("a", NULL);
    make("b", "a");
    make("c", "b");
    /* None of their maps says that the page is theirs. */
    assert_int_equal(snapshot_merge(path_of("c"), path_of("into"), &error), 0);
    byte_is("into/memory", 8192, 'a');
    {
        cleanup_fd int fd = opened_to_write("b/memory");
        struct seal seal = seal_of("b/seal");
        cleanup_fd int own = opened_to_write("b/seal");

        assert_int_equal(pwrite(fd, "\4", 1, SIZE + 4096), 1);
        assert_int_equal(seal_memory(&seal, fd, &error), 0);
        assert_int_equal(seal_write(&seal, own, &error), 0);
        seal_release(&seal);
    }
    assert_int_equal(snapshot_merge(path_of("b"), NULL, &error), 0);
    byte_is("b/memory", 8192, 'b');
    assert_int_equal(stat(path_of("b/memory"), &status), 0);
    assert_int_equal(status.st_blocks * 512, 2 * 4096);
    assert_int_equal(access(path_of("b.partial"), F_OK), -1);
    assert_int_equal(open_it("c", &error), 0);
    loading_assert_error(snapshot_merge(path_of("b"), NULL, &error), &error, EINVAL, "is full already");
    loading_assert_error(snapshot_merge(path_of("c"), path_of("into"), &error), &error, EEXIST,
                         "is there already");
}

static void put_file(const char *file)
{
    cleanup_fd int fd = open(path_of(file), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
}

/* Nothing is left under another name: of ours all is removed, and nobody else's file is taken along. */
static void folded_with_files_beside(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    make("a", NULL);
    make("b", "a");
    put_file("b/seal.new");
    put_file("b/working-set");
    put_file("b/notes");
    loading_assert_error(snapshot_merge(path_of("b"), NULL, &error), &error, ENOTEMPTY,
                         "also has 'notes', which is not the snapshot's; move that away");
    assert_int_equal(access(path_of("b/notes"), F_OK), 0);
    assert_int_equal(access(path_of("b.partial"), F_OK), -1);
    assert_int_equal(unlink(path_of("b/notes")), 0);
    assert_int_equal(symlink("b", path_of("link")), 0);
    loading_assert_error(snapshot_merge(path_of("link"), NULL, &error), &error, ENOTDIR, "is a link");
    assert_int_equal(snapshot_merge(path_of("b"), NULL, &error), 0);
    assert_int_equal(access(path_of("b.partial"), F_OK), -1);
    assert_int_equal(access(path_of("b/seal.new"), F_OK), -1);
}

/* ---- seals that were altered ---- */

static void altered_seals_are_refused(void **state)
{
    struct saved good;
    struct error error = ERROR_INIT;
    cleanup_fd int fd = -1;
    void *bytes;
    unsigned int refused = 0;

    (void)state;
    make("a", NULL);
    make("b", "a");
    fd = opened_to_write("b/seal");
    assert_int_equal(machine_state_read(fd, &bytes, &good.length, &error), 0);
    good.bytes = bytes;
    /* A byte or an end that the checksum of the section tells. */
    for (size_t at = 0; at < good.length; at++) {
        poke("b/seal", (off_t)at, (char)(good.bytes[at] ^ 0x10));
        assert_true(open_it("b", &error) < 0);
        poke("b/seal", (off_t)at, (char)good.bytes[at]);
    }
    /* And if that fits: one field after the other, none of which breaks more than the snapshot. */
    for (size_t at = 0; at < saved_find(&good, "seal").length; at++) {
        struct saved altered = saved_copy(&good);

        saved_find(&altered, "seal").content[at] ^= 0x81;
        saved_seal(&altered);
        assert_int_equal(pwrite(fd, altered.bytes, altered.length, 0), (ssize_t)altered.length);
        refused += open_it("b", &error) < 0;
        saved_release(&altered);
    }
    /* All but the sum and the time, of which one alone suffices. */
    assert_int_equal(refused, saved_find(&good, "seal").length - 3 * 8 + 5);
    assert_int_equal(pwrite(fd, good.bytes, good.length, 0), (ssize_t)good.length);
    assert_int_equal(open_it("b", &error), 0);
    for (size_t length = 0; length < good.length; length += 7) {
        assert_int_equal(ftruncate(fd, (off_t)length), 0);
        assert_true(open_it("b", &error) < 0);
        assert_int_equal(pwrite(fd, good.bytes, good.length, 0), (ssize_t)good.length);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_function),
        cmocka_unit_test(what_is_summed),
        cmocka_unit_test_setup_teardown(altered_memory_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_verified_copy_has_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(at_once_or_not_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(written_while_it_is_sealed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_chain_of_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bases_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_long_or_in_a_circle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_chain_is_folded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folded_with_files_beside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(altered_seals_are_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
