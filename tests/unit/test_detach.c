/* SPDX-License-Identifier: Apache-2.0 */
/* Processes in the background, and what is left in the store of those that never began: nothing. */
#include "vmm/supervisor/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"
#include "vmm/base/exit_status.h"

static struct test_directory directory;
static char first[] = "boot", *const words[] = { first };

static int set_up(void **state)
{
    (void)state;
    test_directory_create(&directory);
    setenv("XDG_RUNTIME_DIR", directory.path, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_directory_remove(&directory);
    return 0;
}

static void make(struct detached *detached)
{
    struct error error = ERROR_INIT;

    *detached = (struct detached)DETACHED_INIT;
    assert_int_equal(store_create(&detached->entry, "vm", words, 1, &error), 0);
}

static void check_gone(struct detached *detached)
{
    struct store_entry entry = STORE_ENTRY_INIT;
    struct error error = ERROR_INIT;

    store_close(&detached->entry);
    assert_int_equal(store_find(&entry, "vm", &error), -ENOENT);
    store_close(&entry);
}

/* Forks one that does ACTS in the background; what is awaited of it. */
static int run(struct detached *detached, void (*acts)(int fd), struct error *error)
{
    int fd = -1, result;

    make(detached);
    result = detach_fork(detached, NULL, 0, &fd, error);
    if (result == 0) {
        acts(fd);
        _exit(STATUS_FAILED);
    }
    assert_int_equal(result, 1);
    return detach_await(detached, error);
}

static void begin(int fd)
{
    _exit(write(fd, "", 1) == 1 ? 0 : 1);
}

static void fail_early(int fd)
{
    (void)fd;
}

static void be_killed(int fd)
{
    (void)fd;
    kill(getpid(), SIGKILL);
}

static void test_one_that_begins(void **state)
{
    struct detached detached;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(run(&detached, begin, &error), STATUS_OK);
    assert_int_equal(store_remove(&detached.entry, &error), 0);
    check_gone(&detached);
}

static void test_one_that_fails(void **state)
{
    struct detached detached;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(run(&detached, fail_early, &error), STATUS_FAILED);
    check_gone(&detached);
}

static void test_one_that_is_killed(void **state)
{
    struct detached detached;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(run(&detached, be_killed, &error), -ECHILD);
    assert_non_null(strstr(error.message, "vm: its process was killed"));
    check_gone(&detached);
}

/* With room for one descriptor more, which a pair of sockets is not. */
static void test_none_can_be_made(void **state)
{
    struct rlimit before, limit;
    struct detached detached;
    struct error error = ERROR_INIT;
    int fd = -1, next;

    (void)state;
    make(&detached);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    next = fcntl(detached.entry.lock, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(close(next), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)next + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(detach_fork(&detached, NULL, 0, &fd, &error), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_non_null(strstr(error.message, "ulimit -n"));
    check_gone(&detached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_that_begins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_is_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_none_can_be_made, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("detach", tests, NULL, NULL);
}
