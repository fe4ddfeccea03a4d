/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot's files: complete or absent, whole or refused, and memory that comes back as it was. */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "devices/registry.h"
#include "tests/support/loading.h"
#include "tests/support/own_directory.h"
#include "tests/support/saved.h"
#include "vmm/arch/arch.h"
#include "vmm/cleanup.h"
#include "vmm/sandbox/filter.h"
#include "vmm/snapshot/folder.h"
#include "vmm/snapshot/machine_state.h"
#include "vmm/snapshot/memory_chain.h"

#define LOW (8ull << 20)
#define HIGH (4ull << 20)
#define SIZE (LOW + HIGH)

static const uint8_t id[SNAPSHOT_ID_SIZE] = "0123456789abcde", other_id[SNAPSHOT_ID_SIZE] = "another";
static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

/* ---- memory ---- */

static const struct guest_range ranges[] = {
    { .address = 0, .size = LOW }, { .address = LOADING_HIGH, .size = HIGH },
};

static int page_map(void)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

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
        cleanup_fd int map = with_map ? page_map() : -1;
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
        cleanup_fd int map = with_map ? page_map() : -1;
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
        cleanup_fd int map = with_map ? page_map() : -1;
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

/* ---- folders ---- */

static void begin(struct snapshot_folder *folder, const char *name)
{
    struct error error = ERROR_INIT;

    if (snapshot_folder_begin(folder, path_of(name), SIZE, id, &error) < 0)
        fail_msg("%s", error.message);
    assert_int_equal(pwrite(folder->state_fd, "state", 5, 0), 5);
}

static void finished_or_absent(void **state)
{
    struct snapshot_folder folder;
    struct vm_snapshot_source source;
    struct error error = ERROR_INIT;
    char text[8] = "";

    (void)state;
    begin(&folder, "a");
    assert_true(is_there("a.partial"));
    assert_false(is_there("a"));
    snapshot_folder_drop(&folder);
    assert_false(is_there("a.partial"));
    begin(&folder, "a/");
    assert_int_equal(snapshot_folder_finish(&folder, &error), 0);
    assert_false(is_there("a.partial"));
    assert_int_equal(snapshot_folder_open(&source, path_of("a"), &error), 0);
    assert_int_equal(pread(source.state_fd, text, 5, 0), 5);
    assert_string_equal(text, "state");
    assert_int_equal(memory_file_check(source.memory_fd, SIZE, id, MEMORY_FULL, &error), 0);
    snapshot_source_close(&source);
    /* Nothing begun is dropped, too. */
    folder = (struct snapshot_folder)SNAPSHOT_FOLDER_INIT;
    snapshot_folder_drop(&folder);
}

/* A process of its own, in which fsync(FD) fails from now on: finishes FOLDER, and exits with the errno. */
static int finish_without_sync(struct snapshot_folder *folder, int fd)
{
    const struct filter_rule rules[] = { REFUSE_IF(fsync, EIO, IS(1, fd)) };
    struct sock_filter code[FILTER_LENGTH_MAX];
    struct sock_fprog program = { .filter = code };
    struct error error = ERROR_INIT;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        program.len = (unsigned short)filter_translate(rules, 1, arch_audit_number, SECCOMP_RET_ALLOW, code);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
            _exit(99);
        _exit(-snapshot_folder_finish(folder, &error));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* What a power cut could take is no snapshot: neither half of one stays, nor a whole one. */
static void unsynced_is_absent(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct snapshot_folder folder;

        begin(&folder, "a");
        assert_int_equal(finish_without_sync(&folder, ((int[]){ folder.state_fd, folder.memory_fd, folder.folder,
                                                                folder.parent })[i]), EIO);
        assert_false(is_there("a"));
        assert_false(is_there("a.partial"));
        snapshot_folder_drop(&folder);
    }
}

static void what_is_in_the_way(void **state)
{
    struct snapshot_folder folder, second;
    struct error error = ERROR_INIT;

    (void)state;
    begin(&folder, "a");
    loading_assert_error(snapshot_folder_begin(&second, path_of("a"), SIZE, id, &error), &error,
                         EWOULDBLOCK, "is being saved by another");
    assert_true(is_there("a.partial/memory"));
    /* As if its process had died: the next one takes it over. */
    close(folder.folder);
    folder.folder = -1;
    begin(&second, "a");
    assert_int_equal(snapshot_folder_finish(&second, &error), 0);
    snapshot_folder_drop(&folder);
    assert_true(is_there("a/state"));
    loading_assert_error(snapshot_folder_begin(&second, path_of("a"), SIZE, id, &error), &error,
                         EEXIST, "is there already");
    loading_assert_error(snapshot_folder_begin(&second, path_of("none/a"), SIZE, id, &error), &error,
                         ENOENT, "none");
    loading_assert_error(snapshot_folder_begin(&second, path_of("a/.."), SIZE, id, &error), &error,
                         EINVAL, "names no new folder");
    loading_assert_error(snapshot_folder_begin(&second, "/", SIZE, id, &error), &error, EINVAL,
                         "names no new folder");
    assert_int_equal(mkdir(path_of("open.partial"), 0777), 0);
    assert_int_equal(chmod(path_of("open.partial"), 0777), 0);
    loading_assert_error(snapshot_folder_begin(&second, path_of("open"), SIZE, id, &error), &error,
                         EPERM, "open to others");
    assert_int_equal(symlink("a", path_of("link.partial")), 0);
    assert_true(snapshot_folder_begin(&second, path_of("link"), SIZE, id, &error) < 0);
    assert_true(is_there("a/state"));
    /* One that appears at the last moment stays. */
    begin(&second, "late");
    assert_int_equal(mkdir(path_of("late"), 0700), 0);
    assert_int_equal(mkdir(path_of("late/full"), 0700), 0);
    assert_true(snapshot_folder_finish(&second, &error) < 0);
    assert_true(is_there("late/full"));
    assert_false(is_there("late.partial"));
}

static void folders_of_others(void **state)
{
    static const char *const parts[] = { "a", "a/state", "a/memory", "a/seal" };
    struct snapshot_folder folder;
    struct vm_snapshot_source source;
    struct error error = ERROR_INIT;

    (void)state;
    begin(&folder, "a");
    assert_int_equal(snapshot_folder_finish(&folder, &error), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        mode_t mode = i == 0 ? 0700 : 0400;

        assert_int_equal(chmod(path_of(parts[i]), mode | 020), 0);
        loading_assert_error(snapshot_folder_open(&source, path_of("a"), &error), &error, EPERM,
                             "can be written by others");
        assert_int_equal(chmod(path_of(parts[i]), mode), 0);
    }
    assert_int_equal(unlink(path_of("a/state")), 0);
    loading_assert_error(snapshot_folder_open(&source, path_of("a"), &error), &error, ENOENT,
                         "has no file 'state'");
    assert_int_equal(symlink("/etc/passwd", path_of("a/state")), 0);
    assert_true(snapshot_folder_open(&source, path_of("a"), &error) < 0);
    loading_assert_error(snapshot_folder_open(&source, path_of("none"), &error), &error, ENOENT,
                         "give a folder that mote snapshot made");
}

/* ---- the machine's section ---- */

/* TEXT is that of its second device. */
static struct vm_config config_with(const char *text)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    config.cpus = 3;
    config.memory = SIZE;
    assert_int_equal(vm_config_add_device(&config, virtio_registry_find("entropy"), "on", &error), 0);
    assert_int_equal(vm_config_add_device(&config, virtio_registry_find("port"), text, &error), 0);
    assert_int_equal(vm_config_add_device(&config, virtio_registry_find("port"), "c=file:/d", &error), 0);
    return config;
}

static struct saved saved_machine(void)
{
    struct vm_config config = config_with("a=file:/b");
    struct machine_state machine;
    struct error error = ERROR_INIT;
    struct saved saved;
    struct state *state;
    const void *bytes;

    assert_int_equal(machine_state_of(&machine, &config, id, &error), 0);
    assert_int_equal(state_create(&state, &error), 0);
    machine_state(&machine, state);
    machine_state_release(&machine);
    assert_int_equal(state_finish(state, &error), 0);
    bytes = state_saved(state, &saved.length);
    saved.bytes = malloc(saved.length);
    assert_non_null(saved.bytes);
    memcpy(saved.bytes, bytes, saved.length);
    state_destroy(state);
    vm_config_release(&config);
    return saved;
}

static int load_machine(const struct saved *saved, struct vm_config *config, struct error *error)
{
    struct machine_state machine = { .arch = NULL };
    struct state *state;
    int result;

    *error = (struct error)ERROR_INIT;
    *config = vm_config_default();
    assert_int_equal(state_open(&state, saved->bytes, saved->length, error), 0);
    machine_state(&machine, state);
    result = state_first_fault(state, error);
    state_destroy(state);
    if (result == 0)
        result = machine_state_configure(&machine, config, error);
    machine_state_release(&machine);
    return result;
}

static void a_machine_comes_back(void **state)
{
    struct saved saved = saved_machine();
    struct vm_config config;
    struct error error;

    (void)state;
    assert_int_equal(load_machine(&saved, &config, &error), 0);
    assert_int_equal(config.cpus, 3);
    assert_int_equal(config.memory, SIZE);
    assert_int_equal(config.device_count, 2); /* both ports are one device */
    assert_int_equal(config.text_count, 3);
    assert_string_equal(config.texts[1].text, "a=file:/b");
    vm_config_release(&config);
    saved_release(&saved);
}

/* What the VM's process wrote is a state of the VM that it was given, and no other. */
static void a_machine_is_verified(void **state)
{
    struct vm_config own = config_with("a=file:/b"), other = config_with("a=file:/etc/shadow");
    struct saved saved = saved_machine();
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(machine_state_verify(saved.bytes, saved.length, &own, id, &error), 0);
    loading_assert_error(machine_state_verify(saved.bytes, saved.length, &other, id, &error), &error,
                         EPERM, "names other devices");
    loading_assert_error(machine_state_verify(saved.bytes, saved.length, &own, other_id, &error),
                         &error, EPERM, "names other devices");
    loading_assert_error(machine_state_verify(saved.bytes, 40, &own, id, &error), &error, EPERM,
                         "names other devices");
    loading_assert_error(machine_state_verify(saved.bytes, 0, &own, id, &error), &error, EPERM,
                         "names other devices");
    vm_config_release(&own);
    vm_config_release(&other);
    saved_release(&saved);
}

/* Who has the first file open writes to one that is no more; another machine's is none. */
static void a_state_is_sealed(void **state)
{
    struct vm_config own = config_with("a=file:/b"), other = config_with("a=file:/etc/shadow");
    struct saved saved = saved_machine();
    struct snapshot_folder folder;
    struct vm_snapshot_source source;
    struct error error = ERROR_INIT;
    cleanup_fd int kept = -1;
    cleanup_free void *bytes = NULL;
    size_t length;

    (void)state;
    begin(&folder, "sealed");
    kept = dup(folder.state_fd);
    assert_int_equal(machine_state_write(kept, saved.bytes, saved.length, &error), 0);
    loading_assert_error(snapshot_folder_seal_state(&folder, &other, &error), &error, EPERM,
                         "names other devices");
    assert_int_equal(snapshot_folder_seal_state(&folder, &own, &error), 0);
    assert_int_equal(pwrite(kept, "worse", 5, 0), 5);
    assert_int_equal(snapshot_folder_finish(&folder, &error), 0);
    assert_int_equal(snapshot_folder_open(&source, path_of("sealed"), &error), 0);
    assert_int_equal(machine_state_read(source.state_fd, &bytes, &length, &error), 0);
    assert_int_equal(length, saved.length);
    assert_memory_equal(bytes, saved.bytes, length);
    snapshot_source_close(&source);
    vm_config_release(&own);
    vm_config_release(&other);
    saved_release(&saved);
}

static void altered_machines_are_refused(void **state)
{
    struct saved good = saved_machine();
    struct saved_section section = saved_find(&good, "machine");
    struct vm_config config;
    struct error error;
    unsigned int refused = 0;

    (void)state;
    for (size_t at = 0; at < section.length; at++) {
        for (unsigned int bit = 0; bit < 8; bit += 3) {
            struct saved altered = saved_copy(&good);

            saved_find(&altered, "machine").content[at] ^= (uint8_t)(1u << bit);
            saved_seal(&altered);
            refused += load_machine(&altered, &config, &error) < 0;
            vm_config_release(&config);
            saved_release(&altered);
        }
    }
    assert_true(refused > section.length);
    {
        struct saved foreign = saved_copy(&good);

        memcpy(strstr((char *)saved_find(&foreign, "machine").content + 9, "x86_64"), "arm_64", 6);
        saved_seal(&foreign);
        loading_assert_error(load_machine(&foreign, &config, &error), &error, ENOTSUP,
                             "was saved on arm_64");
        saved_release(&foreign);
    }
    saved_release(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_comes_back),
        cmocka_unit_test(a_restored_memory_is_saved),
        cmocka_unit_test(a_mapped_kernel_is_saved),
        cmocka_unit_test(broken_memory_is_refused),
        cmocka_unit_test_setup_teardown(finished_or_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unsynced_is_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_in_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_of_others, set_up, tear_down),
        cmocka_unit_test(a_machine_comes_back),
        cmocka_unit_test(a_machine_is_verified),
        cmocka_unit_test_setup_teardown(a_state_is_sealed, set_up, tear_down),
        cmocka_unit_test(altered_machines_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
