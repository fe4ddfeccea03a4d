/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of system calls: their translation, tried on the kernel itself in children, and what is on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"
#include "vmm/jail/lists.h"

/* ---- the translation of lists --------------------------------------------- */

/* What a child makes of CHECK with LIST in force; OTHERWISE is for all else. */
static int in_list(const struct filter_list *list, const struct filter_descriptors *descriptors, uint32_t otherwise,
                   int (*check)(void))
{
    struct sock_filter code[FILTER_LENGTH_MAX];
    struct sock_fprog program = { .filter = code };
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        program.len = (unsigned short)filter_translate(list, descriptors, arch_audit_number, otherwise, code);
        if (program.len == 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
            _exit(99);
        syscall(SYS_exit_group, check());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int in_filter(const struct filter_rule *rules, size_t count,
                     const struct filter_descriptors *descriptors, uint32_t otherwise, int (*check)(void))
{
    struct filter_list list = { .rules = rules, .count = count };

    return in_list(&list, descriptors, otherwise, check);
}

static int with_rules(const struct filter_rule *rules, size_t count, int (*check)(void))
{
    return in_filter(rules, count, NULL, SECCOMP_RET_ERRNO | EDOM, check);
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

static int check_outputs(void)
{
    for (int fd = 100; fd < 100 + FILTER_OUTPUTS_MAX; fd++)
        EXPECT(lseek(fd, 0, SEEK_SET), EPERM);
    EXPECT(lseek(99, 0, SEEK_SET), EBADF); /* the kernel's own */
    EXPECT(lseek(100 + FILTER_OUTPUTS_MAX, 0, SEEK_SET), EBADF);
    EXPECT(lseek(100 + FILTER_OUTPUTS_MAX, 0, SEEK_END), EDOM); /* the rules that follow are looked at */
    EXPECT(syscall(SYS_lseek, 100 + (1L << 32), 0, SEEK_SET), EPERM);
    return 0;
}

static void test_outputs(void **state)
{
    static const struct filter_rule rules[] = {
        ALLOW(exit_group), REFUSE_OUTPUTS(lseek, EPERM), ALLOW_IF(lseek, IS(3, SEEK_SET)),
    };
    struct filter_descriptors descriptors = { .output_count = FILTER_OUTPUTS_MAX };

    (void)state;
    for (int i = 0; i < FILTER_OUTPUTS_MAX; i++)
        descriptors.outputs[i] = 100 + i;
    assert_int_equal(in_filter(rules, ARRAY_LENGTH(rules), &descriptors, SECCOMP_RET_ERRNO | EDOM,
                               check_outputs), 0);
}

static int check_handoff(void)
{
    struct msghdr nothing = { .msg_iovlen = 0 };

    EXPECT(sendmsg(500, &nothing, MSG_DONTWAIT), EBADF); /* the kernel's own */
    EXPECT(sendmsg(500, &nothing, MSG_OOB), EDOM);
    EXPECT(sendmsg(501, &nothing, MSG_DONTWAIT), EDOM);
    EXPECT(close(500), EPERM);
    EXPECT(close(501), EBADF);
    return 0;
}

static int check_no_handoff(void)
{
    struct msghdr nothing = { .msg_iovlen = 0 };

    EXPECT(sendmsg(0, &nothing, MSG_DONTWAIT), EDOM);
    EXPECT(sendmsg(500, &nothing, MSG_DONTWAIT), EDOM);
    EXPECT(close(500), EBADF);
    return 0;
}

/* Descriptors leave the jail over one socket, or over none. */
static void test_handoff(void **state)
{
    static const struct filter_rule rules[] = {
        ALLOW(exit_group), HANDOFF_IF(sendmsg, "", MASKED(3, ~(uint32_t)MSG_DONTWAIT, 0)), REFUSE_HANDOFF(close, EPERM),
        ALLOW(close),
    };
    const struct filter_descriptors descriptors = { .hands_over = true, .handoff = 500 };

    (void)state;
    assert_int_equal(in_filter(rules, ARRAY_LENGTH(rules), &descriptors, SECCOMP_RET_ERRNO | EDOM,
                               check_handoff), 0);
    assert_int_equal(in_filter(rules, ARRAY_LENGTH(rules), &(struct filter_descriptors){ .output_count = 0 },
                               SECCOMP_RET_ERRNO | EDOM, check_no_handoff), 0);
    assert_int_equal(with_rules(rules, ARRAY_LENGTH(rules), check_no_handoff), 0);
}

/* The longest list with the most outputs still has room. */
static void test_lists_have_room(void **state)
{
    struct filter_descriptors descriptors = { .output_count = FILTER_OUTPUTS_MAX, .hands_over = true };
    struct sock_filter code[FILTER_LENGTH_MAX];

    (void)state;
    for (size_t kind = 0; kind < SANDBOX_THREAD_COUNT; kind++)
        assert_int_not_equal(filter_translate(&filter_lists[kind], &descriptors, arch_audit_number, SECCOMP_RET_TRAP,
                                              code), 0);
}

static int check_error_is_unread(void)
{
    char bytes[2];
    struct iovec piece = { bytes, 1 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    const long tries[] = {
        read(STDERR_FILENO, bytes, 1), readv(STDERR_FILENO, &piece, 1), pread(STDERR_FILENO, bytes, 1, 0),
        preadv(STDERR_FILENO, &piece, 1, 0), recv(STDERR_FILENO, bytes, 1, MSG_DONTWAIT),
        recvmsg(STDERR_FILENO, &message, MSG_DONTWAIT), fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0),
    };

    for (size_t i = 0; i < ARRAY_LENGTH(tries); i++)
        if (tries[i] >= 0)
            return (int)i + 1;
    EXPECT(write(STDERR_FILENO, "x", 1), 0);
    return 0;
}

/* Nobody in the jail reads from standard error, be it a file or a socket, by whatever call. */
static void test_error_is_not_read(void **state)
{
    static const enum sandbox_thread kinds[] = { SANDBOX_VCPU, SANDBOX_IO, SANDBOX_CONTROL };
    int saved = dup(STDERR_FILENO), ends[2], results[2 * ARRAY_LENGTH(kinds)];
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(kinds); i++) {
        const struct filter_list *list = &filter_lists[kinds[i / 2]];
        bool is_socket = i % 2;

        assert_int_equal(send(ends[1], "secret", 6, 0), 6);
        assert_int_equal(pwrite(fileno(file), "secret", 6, 0), 6);
        lseek(fileno(file), 0, SEEK_SET);
        dup2(is_socket ? ends[0] : fileno(file), STDERR_FILENO);
        results[i] = in_list(list, NULL, SECCOMP_RET_ERRNO | EDOM, check_error_is_unread);
        dup2(saved, STDERR_FILENO);
    }
    close(saved);
    close(ends[0]);
    close(ends[1]);
    fclose(file);
    for (size_t i = 0; i < ARRAY_LENGTH(results); i++)
        assert_int_equal(results[i], 0);
}

static int check_denied(void)
{
    EXPECT(syscall(SYS_getppid), 0); /* all else is allowed */
    EXPECT(syscall(SYS_ptrace, 0, 0, 0, 0), EPERM);
    EXPECT(syscall(SYS_unshare, 0), EPERM);
    EXPECT(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), EPERM);
    EXPECT(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0), EPERM);
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
    assert_int_equal(in_list(&filter_denied, NULL, SECCOMP_RET_ALLOW, check_denied), 0);
}

static void test_too_long_a_list(void **state)
{
    static struct filter_rule rules[400];
    struct filter_list list = { .rules = rules, .count = ARRAY_LENGTH(rules) };
    struct sock_filter code[FILTER_LENGTH_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rules); i++)
        rules[i] = (struct filter_rule){ .call = (int)i };
    assert_int_equal(filter_translate(&list, NULL, arch_audit_number, SECCOMP_RET_TRAP, code), 0);
    /* Of one call: its jump would not reach. */
    for (size_t i = 0; i < ARRAY_LENGTH(rules); i++)
        rules[i] = (struct filter_rule){ .call = 1, .conditions = { IS(1, i) } };
    list.count = 100;
    assert_int_equal(filter_translate(&list, NULL, arch_audit_number, SECCOMP_RET_TRAP, code), 0);
    list.count = 60;
    assert_int_not_equal(filter_translate(&list, NULL, arch_audit_number, SECCOMP_RET_TRAP, code), 0);
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
    /* Of a monitor's: what these do hangs on an argument that can be looked at. */
    static const int in_monitors[] = {
        SYS_fcntl, SYS_fallocate, SYS_madvise, SYS_futex, SYS_socketpair, SYS_sendto, SYS_sendmsg,
        SYS_recvfrom, SYS_recvmsg, SYS_accept4, SYS_eventfd2, SYS_timerfd_settime, SYS_io_uring_enter,
        SYS_clock_gettime, SYS_getrandom, SYS_newfstatat, SYS_waitid, SYS_pidfd_open, SYS_rseq,
    };

    (void)state;
    for (size_t kind = 0; kind < SANDBOX_THREAD_COUNT; kind++)
        for (size_t i = 0; filter_rule_at(&filter_lists[kind], i); i++) {
            const struct filter_rule *rule = filter_rule_at(&filter_lists[kind], i);

            if (rule->refusal)
                continue;
            /* What it carries stands in memory, where no list can look. */
            assert_true(rule->call != SYS_sendmsg || rule->descriptor == FILTER_HANDOFF);
            for (size_t j = 0; j < ARRAY_LENGTH(never); j++)
                if (kind != SANDBOX_UNPACK || (never[j] != SYS_openat && never[j] != SYS_mremap))
                    assert_int_not_equal(rule->call, never[j]);
            for (size_t j = 0; kind != SANDBOX_UNPACK && j < ARRAY_LENGTH(in_monitors); j++)
                if (rule->call == in_monitors[j])
                    assert_int_not_equal(rule->conditions[0].argument, 0);
            for (size_t j = 0; j < ARRAY_LENGTH(conditional); j++)
                if (rule->call == conditional[j])
                    assert_int_not_equal(rule->conditions[0].argument, 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed_refused_and_all_else),
        cmocka_unit_test(test_conditions_on_arguments),
        cmocka_unit_test(test_own_pid),
        cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_handoff),
        cmocka_unit_test(test_lists_have_room),
        cmocka_unit_test(test_error_is_not_read),
        cmocka_unit_test(test_what_images_are_denied),
        cmocka_unit_test(test_too_long_a_list),
        cmocka_unit_test(test_lists_have_nothing_dangerous),
    };

    return cmocka_run_group_tests_name("sandbox lists", tests, NULL, NULL);
}
