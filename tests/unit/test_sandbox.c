/* SPDX-License-Identifier: Apache-2.0 */
/* The jail's parts that can be tried without a VM, on the kernel itself, in children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/arch/arch.h"
#include "vmm/cleanup.h"
#include "vmm/sandbox/layers.h"
#include "vmm/sandbox/lists.h"

/* ---- the translation of lists --------------------------------------------- */

/* What a child makes of CHECK with RULES in force; OTHERWISE is for all else. */
static int in_filter(const struct filter_rule *rules, size_t count, uint32_t otherwise,
                     int (*check)(void))
{
    struct sock_filter code[FILTER_LENGTH_MAX];
    struct sock_fprog program = { .filter = code };
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        program.len = (unsigned short)filter_translate(rules, count, arch_audit_number, otherwise,
                                                       code);
        if (program.len == 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
            _exit(99);
        syscall(SYS_exit_group, check());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int with_rules(const struct filter_rule *rules, size_t count, int (*check)(void))
{
    return in_filter(rules, count, SECCOMP_RET_ERRNO | EDOM, check);
}

/* 0, or the line of the first expectation that failed. */
#define EXPECT(call, number)                              \
    do {                                                  \
        errno = 0;                                        \
        (void)(call);                                     \
        if (errno != (number))                            \
            return __LINE__ % 199 + 1;                    \
    } while (0)

static int check_plain(void)
{
    EXPECT(syscall(SYS_getppid), 0);
    EXPECT(syscall(SYS_getuid), EDOM);
    EXPECT(syscall(SYS_gettid), EXDEV);
    EXPECT(syscall(999), EDOM);
    EXPECT(syscall((long)(SYS_getppid | 0x40000000)), EDOM); /* x32's numbers are others */
    return 0;
}

static void test_allowed_refused_and_all_else(void **state)
{
    static const struct filter_rule rules[] = {
        ALLOW(exit_group), ALLOW(getppid), REFUSE(gettid, EXDEV),
    };

    (void)state;
    assert_int_equal(with_rules(rules, ARRAY_LENGTH(rules), check_plain), 0);
}

static int check_conditions(void)
{
    EXPECT(syscall(SYS_dup3, 1, 50, O_CLOEXEC), 0);
    EXPECT(syscall(SYS_dup3, 2, 50, O_CLOEXEC), 0); /* a second rule of the call, further down */
    EXPECT(syscall(SYS_dup3, 0, 50, O_CLOEXEC), EDOM);
    EXPECT(syscall(SYS_dup3, 1, 50, 0), EDOM); /* one condition of two */
    EXPECT(syscall(SYS_dup3, 1 + (1L << 32), 50, O_CLOEXEC), 0); /* an int in the kernel's eyes */
    EXPECT(syscall(SYS_mprotect, 0, 0, PROT_READ), 0);
    EXPECT(syscall(SYS_mprotect, 0, 0, PROT_READ | PROT_EXEC), EDOM);
    EXPECT(syscall(SYS_mprotect, 0, 0, PROT_EXEC), EDOM);
    return 0;
}

static void test_conditions_on_arguments(void **state)
{
    static const struct filter_rule rules[] = {
        ALLOW(exit_group),
        ALLOW_IF(dup3, IS(1, 1), IS(3, O_CLOEXEC)),
        ALLOW_IF(mprotect, MASKED(3, PROT_EXEC, 0)),
        ALLOW_IF(dup3, IS(1, 2)),
    };

    (void)state;
    assert_int_equal(with_rules(rules, ARRAY_LENGTH(rules), check_conditions), 0);
}

static int check_own_pid(void)
{
    long own = syscall(SYS_getpid);

    EXPECT(syscall(SYS_kill, own, 0), 0);
    EXPECT(syscall(SYS_kill, own - 1, 0), EDOM);
    EXPECT(syscall(SYS_kill, 0, 0), EDOM);
    EXPECT(syscall(SYS_kill, -1, 0), EDOM);
    return 0;
}

static void test_own_pid(void **state)
{
    static const struct filter_rule rules[] = {
        ALLOW(exit_group), ALLOW(getpid), ALLOW_IF(kill, OWN_PID(1)),
    };

    (void)state;
    assert_int_equal(with_rules(rules, ARRAY_LENGTH(rules), check_own_pid), 0);
}

static int check_denied(void)
{
    EXPECT(syscall(SYS_getppid), 0); /* all else is allowed */
    EXPECT(syscall(SYS_ptrace, 0, 0, 0, 0), EPERM);
    EXPECT(syscall(SYS_unshare, 0), EPERM);
    EXPECT(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), EPERM);
    EXPECT(close((int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0)), 0);
    EXPECT(syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0), EPERM);
    EXPECT(syscall(SYS_ioctl, 0, TIOCSTI, "x"), EPERM);
    EXPECT(syscall(SYS_chmod, "/", 0755), EPERM);
    EXPECT(syscall(452, 0, 0, 0, 0), ENOSYS); /* fchmodat2, younger than the list */
    EXPECT(syscall((long)(SYS_ptrace | 0x40000000), 0, 0, 0, 0), ENOSYS);
    return 0;
}

static void test_what_images_are_denied(void **state)
{
    (void)state;
    assert_int_equal(in_filter(filter_denied.rules, filter_denied.count, SECCOMP_RET_ALLOW,
                               check_denied), 0);
}

static void test_too_long_a_list(void **state)
{
    static struct filter_rule rules[400];
    struct sock_filter code[FILTER_LENGTH_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rules); i++)
        rules[i] = (struct filter_rule){ .call = (int)i };
    assert_int_equal(filter_translate(rules, ARRAY_LENGTH(rules), arch_audit_number,
                                      SECCOMP_RET_TRAP, code), 0);
    /* Of one call: its jump would not reach. */
    for (size_t i = 0; i < ARRAY_LENGTH(rules); i++)
        rules[i] = (struct filter_rule){ .call = 1, .conditions = { IS(1, i) } };
    assert_int_equal(filter_translate(rules, 100, arch_audit_number, SECCOMP_RET_TRAP, code), 0);
    assert_int_not_equal(filter_translate(rules, 60, arch_audit_number, SECCOMP_RET_TRAP, code), 0);
}

/* ---- the lists themselves ------------------------------------------------- */

/* Calls that no thread of a monitor may have, and whose slip into a list a reader may overlook. */
static void test_lists_have_nothing_dangerous(void **state)
{
    static const int never[] = {
        SYS_openat, SYS_execve, SYS_execveat, SYS_ptrace, SYS_socket, SYS_connect, SYS_bind,
        SYS_mount, SYS_unshare, SYS_setns, SYS_bpf, SYS_kill, SYS_io_uring_setup,
        SYS_io_uring_register, SYS_process_vm_writev, SYS_prctl, SYS_rt_sigaction, SYS_mremap,
        SYS_userfaultfd, SYS_memfd_create, SYS_seccomp, SYS_setuid, SYS_capset,
    };
    static const int conditional[] = { SYS_ioctl, SYS_mmap, SYS_mprotect, SYS_clone, SYS_tgkill };

    (void)state;
    for (size_t kind = 0; kind < SANDBOX_THREAD_COUNT; kind++)
        for (size_t i = 0; i < filter_lists[kind].count; i++) {
            const struct filter_rule *rule = &filter_lists[kind].rules[i];

            for (size_t j = 0; j < ARRAY_LENGTH(never); j++)
                if (kind != SANDBOX_UNPACK || (never[j] != SYS_openat && never[j] != SYS_mremap))
                    assert_int_not_equal(rule->call, never[j]);
            for (size_t j = 0; j < ARRAY_LENGTH(conditional); j++)
                if (rule->call == conditional[j])
                    assert_int_not_equal(rule->conditions[0].argument, 0);
        }
}

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
    struct sandbox sandbox = { .config = { .memory = 1 << 20, .cpus = 1 }, .words_fd = -1 };
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
    struct sandbox sandbox = { .config = { .memory = 1ull << 46, .cpus = 1 }, .words_fd = -1 };
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
    struct sandbox sandbox = { .config = { .memory = 1ull << 46, .cpus = 1 }, .words_fd = -1 };
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

/* ---- the whole ------------------------------------------------------------ */

static void test_options_that_exclude_each_other(void **state)
{
    struct sandbox_config config = SANDBOX_CONFIG_DEFAULT;
    struct log log = { .fd = -1, .level = LOG_ERROR };
    struct error error = ERROR_INIT;
    struct sandbox *sandbox = NULL;

    (void)state;
    config.mode = SANDBOX_OFF;
    config.required = true;
    assert_int_equal(sandbox_create(&sandbox, &config, &log, &error), -EINVAL);
    assert_non_null(strstr(error.message, "--sandbox off"));
    config.required = false;
    config.uid = 5;
    assert_true(sandbox_create(&sandbox, &config, &log, &error) < 0);
    assert_non_null(strstr(error.message, "--uid"));
}

/* How a child that does WHAT ends in its supervisor's words. */
static int end_of(void (*what)(void), unsigned int mode, struct error *error)
{
    struct sandbox_config config = SANDBOX_CONFIG_DEFAULT;
    struct log log = { .fd = -1, .level = LOG_ERROR };
    struct sandbox *sandbox;
    int result;

    *error = (struct error)ERROR_INIT;
    config.mode = mode;
    config.memory = 1ull << 46; /* the sanitizers map much more than a monitor may */
    assert_int_equal(sandbox_create(&sandbox, &config, &log, error), 0);
    result = sandbox_fork(sandbox, error);
    if (result == 0) {
        sandbox_enter(sandbox, error);
        what();
        _exit(7);
    }
    assert_true(result > 0);
    result = sandbox_wait(sandbox, error);
    sandbox_destroy(sandbox);
    return result;
}

static void do_nothing(void)
{
}

static void trap(void)
{
    signal(SIGILL, SIG_DFL); /* the sanitizers' handler would end it otherwise */
    __builtin_trap();
}

static void be_killed(void)
{
    for (;;)
        pause();
}

static void test_ends(void **state)
{
    struct error error;

    (void)state;
    for (unsigned int mode = SANDBOX_ON; mode <= SANDBOX_OFF; mode++) {
        assert_int_equal(end_of(do_nothing, mode, &error), 7);
        assert_true(end_of(trap, mode, &error) < 0);
        assert_non_null(strstr(error.message, "SIGILL"));
    }
}

static void test_a_killed_child(void **state)
{
    struct sandbox_config config = SANDBOX_CONFIG_DEFAULT;
    struct log log = { .fd = -1, .level = LOG_ERROR };
    struct error error = ERROR_INIT;
    struct sandbox *sandbox;
    pid_t pid;

    (void)state;
    assert_int_equal(sandbox_create(&sandbox, &config, &log, &error), 0);
    pid = sandbox_fork(sandbox, &error);
    if (pid == 0)
        be_killed();
    sandbox_signal(sandbox, SIGKILL);
    assert_true(sandbox_wait(sandbox, &error) < 0);
    assert_non_null(strstr(error.message, "SIGKILL"));
    /* One that nobody waited for goes with its sandbox. */
    pid = sandbox_fork(sandbox, &error);
    if (pid == 0)
        be_killed();
    sandbox_destroy(sandbox);
    assert_int_equal(kill(pid, 0), -1);
}

/* The words are a stranger's: any bytes make one line. */
static void test_last_words_of_a_liar(void **state)
{
    struct last_words words = { .signal = SIGSYS, .call = -5, .thread = 77 };
    struct error error = ERROR_INIT;

    (void)state;
    last_words_tell(SANDBOX_MONITOR, &words, 0, &error);
    assert_non_null(strstr(error.message, "one thread called system call -5"));
    words.call = INT32_MAX;
    words.thread = SANDBOX_IO;
    last_words_tell(SANDBOX_MONITOR, &words, 0, &error);
    assert_non_null(strstr(error.message, "I/O thread called system call 2147483647"));
    words.call = SYS_execve;
    last_words_tell(SANDBOX_MONITOR, &words, 0, &error);
    assert_non_null(strstr(error.message, "called execve"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed_refused_and_all_else),
        cmocka_unit_test(test_conditions_on_arguments),
        cmocka_unit_test(test_own_pid),
        cmocka_unit_test(test_what_images_are_denied),
        cmocka_unit_test(test_too_long_a_list),
        cmocka_unit_test(test_lists_have_nothing_dangerous),
        cmocka_unit_test(test_files_that_are_disks_and_outputs),
        cmocka_unit_test(test_files_in_memory),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_file_size),
        cmocka_unit_test(test_a_disk_that_grows),
        cmocka_unit_test(test_files_of_a_snapshot),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_landlock),
        cmocka_unit_test(test_root_wants_namespaces),
        cmocka_unit_test(test_options_that_exclude_each_other),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_a_killed_child),
        cmocka_unit_test(test_last_words_of_a_liar),
    };

    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
