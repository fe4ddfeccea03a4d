/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot's folder: complete or absent, and in nobody's way. */
#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/loading.h"
#include "tests/support/own_directory.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"
#include "vmm/jail/filter.h"
#include "vmm/supervisor/snapshot/folder.h"
#include "vmm/snapshot/memory_chain.h"

#define SIZE (12ull << 20)

static const uint8_t id[SNAPSHOT_ID_SIZE] = "0123456789abcde";

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

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
    const struct filter_list list = { .rules = rules, .count = 1 };
    struct sock_filter code[FILTER_LENGTH_MAX];
    struct sock_fprog program = { .filter = code };
    struct error error = ERROR_INIT;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        program.len = (unsigned short)filter_translate(&list, NULL, arch_audit_number, SECCOMP_RET_ALLOW, code);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finished_or_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unsynced_is_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_in_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_of_others, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
