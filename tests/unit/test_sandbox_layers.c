/* SPDX-License-Identifier: Apache-2.0 */
/* The jail's layers that can be tried without a VM, on the kernel itself, in children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/jail/layers.h"

/* ---- what is written ------------------------------------------------------ */

#define IN_MEMORY "/dev/shm" /* tmpfs wherever there is one */

static int temporary(const char *folder, int flags, off_t size)
{
    int fd = open(folder, O_TMPFILE | flags | O_CLOEXEC, 0600);

    assert_true(fd > STDERR_FILENO);
    assert_int_equal(ftruncate(fd, size), 0);
    return fd;
}

static void test_files_that_are_disks_and_outputs(void **state)
{
    int small = temporary("/var/tmp", O_RDWR, 5000), large = temporary("/var/tmp", O_RDWR, 70000);
    int output = temporary("/var/tmp", O_WRONLY, 0), log = temporary("/var/tmp", O_RDWR, 0);
    int reader = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), ends[2];
    struct sandbox_files files = { .largest = 0 };

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    files_note(&files, reader);
    files_note(&files, ends[1]);
    files_note(&files, 4000); /* closed */
    assert_int_equal(files.largest, 0);
    files_note(&files, small);
    files_note(&files, large);
    assert_int_equal(files.largest, 70000);
    files_note(&files, output);
    assert_true(files.largest == UINT64_MAX);
    files = (struct sandbox_files){ .largest = 0 };
    assert_int_equal(fcntl(log, F_SETFL, O_APPEND), 0);
    files_note(&files, log);
    assert_true(files.largest == UINT64_MAX);
    for (int *fd = (int[]){ small, large, output, log, reader, ends[0], ends[1], -1 }; *fd >= 0; fd++)
        close(*fd);
}

/* Files of one file system take no more than that has. */
static void test_files_in_memory(void **state)
{
    struct sandbox_files files = { .largest = 0 };
    struct statfs system;
    uint64_t whole;
    int disk, output;

    (void)state;
    assert_int_equal(statfs(IN_MEMORY, &system), 0);
    if (system.f_type != TMPFS_MAGIC)
        skip();
    whole = system.f_blocks ? system.f_blocks * (uint64_t)system.f_bsize : UINT64_MAX;
    disk = temporary(IN_MEMORY, O_RDWR, 1 << 20);
    output = temporary(IN_MEMORY, O_WRONLY, 0);
    files_note(&files, disk);
    assert_int_equal(files.memory, 1 << 20);
    files_note(&files, output);
    files_note(&files, output);
    files_note(&files, disk);
    assert_true(files.memory == whole);
    close(disk);
    close(output);
}

/* ---- layers --------------------------------------------------------------- */

static int in_child(int (*check)(struct sandbox *sandbox))
{
    struct sandbox sandbox = { .config = { .memory = 1 << 20, .cpus = 1 }, .reason_fd = -1 };
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(check(&sandbox));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int check_limits(struct sandbox *sandbox)
{
    struct rlimit limit = { .rlim_cur = 100, .rlim_max = 200 };
    struct error error = ERROR_INIT;

    setrlimit(RLIMIT_NOFILE, &limit);
    if (layer_limits(sandbox, &error) < 0)
        return 1;
    if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max != 0)
        return 2;
    if (getrlimit(RLIMIT_DATA, &limit) < 0 || limit.rlim_max < 256 << 20 ||
        limit.rlim_max > 300 << 20)
        return 3;
    /* What was lower stays. */
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != 100 || limit.rlim_max != 200)
        return 4;
    return 0;
}

/* A write beyond the disks is an error, not the VM's end. */
static int check_file_size(struct sandbox *sandbox)
{
    struct error error = ERROR_INIT;
    int fd = temporary("/var/tmp", O_RDWR, 8192);

    files_note(&sandbox->files, fd);
    if (layer_limits(sandbox, &error) < 0)
        return 1;
    if (pwrite(fd, "x", 1, 8191) != 1)
        return 2;
    if (pwrite(fd, "x", 1, 8192) >= 0 || errno != EFBIG)
        return 3;
    if (ftruncate(fd, 8193) >= 0 || errno != EFBIG)
        return 4;
    return 0;
}

/* Until the supervisor allows it. */
static void test_a_disk_that_grows(void **state)
{
    struct sandbox sandbox = { .config = { .memory = 1ull << 46, .cpus = 1 }, .reason_fd = -1 };
    struct error error = ERROR_INIT;
    int go[2], status;

    (void)state;
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    sandbox.pid = fork();
    if (sandbox.pid == 0) {
        int fd = temporary("/var/tmp", O_RDWR, 8192);
        char byte;

        files_note(&sandbox.files, fd);
        if (layer_limits(&sandbox, &error) < 0 || ftruncate(fd, 8193) == 0 ||
            kill(getpid(), SIGSTOP) < 0 || read(go[0], &byte, 1) != 1)
            _exit(1);
        _exit(ftruncate(fd, 16384) == 0 ? 0 : 2);
    }
    assert_int_equal(waitpid(sandbox.pid, &status, WUNTRACED), sandbox.pid);
    assert_true(WIFSTOPPED(status));
    sandbox_files_grew(&sandbox);
    assert_int_equal(write(go[1], "", 1), 1);
    kill(sandbox.pid, SIGCONT);
    assert_int_equal(waitpid(sandbox.pid, &status, 0), sandbox.pid);
    assert_int_equal(status, 0);
    close(go[0]);
    close(go[1]);
}

static rlim_t file_size_of(pid_t pid)
{
    struct rlimit limit;

    assert_int_equal(prlimit(pid, RLIMIT_FSIZE, NULL, &limit), 0);
    return limit.rlim_cur;
}

/* While it writes them, and not a moment longer; unless a disk grew. */
static void test_files_of_a_snapshot(void **state)
{
    struct sandbox sandbox = { .config = { .memory = 1ull << 46, .cpus = 1 }, .reason_fd = -1 };
    struct error error = ERROR_INIT;
    int fd = temporary("/var/tmp", O_RDWR, 8192), status;
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    sandbox.pid = fork();
    if (sandbox.pid == 0) {
        files_note(&sandbox.files, fd);
        if (layer_limits(&sandbox, &error) < 0)
            _exit(1);
        kill(getpid(), SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(sandbox.pid, &status, WUNTRACED), sandbox.pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(file_size_of(sandbox.pid), 8192);
    sandbox_allow_file(&sandbox, fd, 100);
    sandbox_allow_file(&sandbox, fd, 200);
    assert_int_equal(file_size_of(sandbox.pid), limit.rlim_max);
    sandbox_files_written(&sandbox, true);
    assert_int_equal(file_size_of(sandbox.pid), 8192);
    sandbox_files_written(&sandbox, false);
    assert_int_equal(file_size_of(sandbox.pid), 8192);
    sandbox_allow_file(&sandbox, fd, 100);
    sandbox_files_grew(&sandbox);
    sandbox_files_written(&sandbox, false);
    assert_int_equal(file_size_of(sandbox.pid), limit.rlim_max);
    kill(sandbox.pid, SIGCONT);
    assert_int_equal(waitpid(sandbox.pid, &status, 0), sandbox.pid);
    assert_int_equal(status, 0);
    close(fd);
}

/* A snapshot that is still being kept has its room in the cgroup, which the next child shares. */
static void test_files_of_the_child_before(void **state)
{
    struct sandbox sandbox = {
        .config = { .mode = SANDBOX_OFF, .cpus = 1 }, .reason_fd = -1, .files_lifted = true, .file_memory = 4096,
    };
    struct error error = ERROR_INIT;

    (void)state;
    if (sandbox_fork(&sandbox, &error) == 0)
        _exit(0);
    assert_int_equal(sandbox_wait(&sandbox, &error), 0);
    assert_false(sandbox.files_lifted);
    assert_int_equal(sandbox.file_memory, 4096);
    sandbox_files_written(&sandbox, true);
    assert_int_equal(sandbox.file_memory, 0);
}

static void test_file_size(void **state)
{
    (void)state;
    assert_int_equal(in_child(check_file_size), 0);
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(in_child(check_limits), 0);
}

static int check_descriptors(struct sandbox *sandbox)
{
    struct error error = ERROR_INIT;
    int own = open("/dev/null", O_RDONLY | O_CLOEXEC), stray = dup(own), far = dup2(own, 900);

    if (own < 0 || stray < 0 || far < 0 || layer_descriptors(sandbox, &error) < 0)
        return 1;
    if (fcntl(own, F_GETFD) < 0)
        return 2;
    if (fcntl(stray, F_GETFD) >= 0 || fcntl(far, F_GETFD) >= 0)
        return 3;
    return fcntl(STDERR_FILENO, F_GETFD) < 0 ? 4 : 0;
}

static void test_descriptors(void **state)
{
    (void)state;
    assert_int_equal(in_child(check_descriptors), 0);
}

static int check_landlock(struct sandbox *sandbox)
{
    struct error error = ERROR_INIT;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return 1;
    if (layer_landlock(sandbox, &error) < 0)
        return 77;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
        return 2;
    return kill(getppid(), 0) == 0 && syscall(SYS_landlock_create_ruleset, NULL, 0, 1u) >= 6 ? 3 : 0;
}

static void test_landlock(void **state)
{
    int result = in_child(check_landlock);

    (void)state;
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
}

/* The tmpfs must never be mounted over the host's own. */
static int check_root(struct sandbox *sandbox)
{
    struct error error = ERROR_INIT;

    return layer_root(sandbox, &error) < 0 && access("/etc/passwd", F_OK) == 0 ? 0 : 1;
}

static void test_root_wants_namespaces(void **state)
{
    (void)state;
    assert_int_equal(in_child(check_root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_that_are_disks_and_outputs),
        cmocka_unit_test(test_files_in_memory),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_file_size),
        cmocka_unit_test(test_a_disk_that_grows),
        cmocka_unit_test(test_files_of_a_snapshot),
        cmocka_unit_test(test_files_of_the_child_before),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_landlock),
        cmocka_unit_test(test_root_wants_namespaces),
    };

    return cmocka_run_group_tests_name("sandbox layers", tests, NULL, NULL);
}
