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

#include "vmm/sandbox/layers.h"

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
        cmocka_unit_test(test_options_that_exclude_each_other),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_a_killed_child),
        cmocka_unit_test(test_last_words_of_a_liar),
    };

    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
