/* SPDX-License-Identifier: Apache-2.0 */
/* The jail as a whole: its process, how that ends, and what is told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/jail/layers.h"

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

/* It is a stranger's: any bytes make one line. */
static void test_exit_reason_of_a_liar(void **state)
{
    struct exit_reason reason = { .signal = SIGSYS, .call = -5, .thread = 77 };
    struct error error = ERROR_INIT;

    (void)state;
    exit_reason_tell(SANDBOX_MONITOR, &reason, false, SIGSYS, &error);
    assert_non_null(strstr(error.message, "the sandbox ended the VM: one thread called system call -5"));
    reason.call = INT32_MAX;
    reason.thread = SANDBOX_IO;
    exit_reason_tell(SANDBOX_MONITOR, &reason, false, SIGSYS, &error);
    assert_non_null(strstr(error.message, "I/O thread called system call 2147483647"));
    reason.call = SYS_execve;
    exit_reason_tell(SANDBOX_MONITOR, &reason, false, SIGSYS, &error);
    assert_non_null(strstr(error.message, "called execve"));
}

/* What the kernel does not confirm is a claim, whatever it is. */
static void test_claims(void **state)
{
    static const int32_t signals[] = { SIGSYS, SIGBUS, SIGKILL, 0, -1, INT32_MAX };
    static const int statuses[] = { 0, 125 << 8, SIGKILL, SIGSEGV, SIGBUS, SIGSYS };

    (void)state;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        for (size_t j = 0; j < sizeof(statuses) / sizeof(statuses[0]); j++) {
            struct exit_reason reason = { .signal = signals[i], .call = SYS_execve };
            struct error error = ERROR_INIT;
            bool confirmed = signals[i] == statuses[j] && (signals[i] == SIGSYS || signals[i] == SIGBUS);

            assert_true(exit_reason_tell(SANDBOX_MONITOR, &reason, false, statuses[j], &error) < 0);
            assert_int_equal(strstr(error.message, "is not confirmed by the host's kernel") == NULL, confirmed);
        }
}

static void lie(struct sandbox *sandbox, size_t length, bool ends)
{
    struct exit_reason reason = { .signal = SIGSYS, .call = SYS_execve };

    if (write(sandbox->reason_fd, &reason, length) == (ssize_t)length && ends)
        _exit(0);
    be_killed();
}

/* sandbox_look() never waits, sandbox_wait() not for ever. */
static void test_exit_reason_without_an_end(void **state)
{
    (void)state;
    for (size_t length = 1; length <= sizeof(struct exit_reason); length += sizeof(struct exit_reason) - 1) {
        struct sandbox_config config = SANDBOX_CONFIG_DEFAULT;
        struct log log = { .fd = -1, .level = LOG_ERROR };
        struct error error = ERROR_INIT;
        struct sandbox *sandbox;

        assert_int_equal(sandbox_create(&sandbox, &config, &log, &error), 0);
        assert_int_equal(sandbox_look(sandbox), SANDBOX_RUNS);
        if (sandbox_fork(sandbox, &error) == 0)
            lie(sandbox, length, false);
        alarm(20);
        while (sandbox_look(sandbox) == SANDBOX_RUNS)
            usleep(1000);
        assert_int_equal(sandbox_look(sandbox), SANDBOX_ENDS);
        assert_true(sandbox_wait(sandbox, &error) < 0);
        assert_non_null(strstr(error.message, "did not end and was killed"));
        if (sandbox_fork(sandbox, &error) == 0)
            lie(sandbox, length, true);
        assert_true(sandbox_wait(sandbox, &error) < 0);
        assert_non_null(strstr(error.message, "is not confirmed"));
        alarm(0);
        sandbox_destroy(sandbox);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_that_exclude_each_other),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_a_killed_child),
        cmocka_unit_test(test_exit_reason_of_a_liar),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_exit_reason_without_an_end),
    };

    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
