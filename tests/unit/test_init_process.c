/* SPDX-License-Identifier: Apache-2.0 */
/* How the guest's init starts a job: whose its streams are, where it starts, and what is told when it cannot. */
#include "guest/init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"

#define OTHER 4711

static struct test_directory directory;
static char secret[256], file[256];

/* ---- in place of the rest of the init ---- */

_Noreturn void init_failed(int number, const char *format, ...)
{
    fprintf(stderr, "init_failed: %s: %s\n", format, strerror(number));
    abort();
}

pid_t cgroup_fork(void) { return fork(); }
void cgroup_count_anew(void) { }

/* ---- a job ---- */

static int set_up(void **state)
{
    int fd;

    (void)state;
    test_directory_create(&directory);
    assert_int_equal(chmod(directory.path, 0755), 0);
    snprintf(secret, sizeof(secret), "%s/secret", directory.path);
    snprintf(file, sizeof(file), "%s/file", directory.path);
    assert_int_equal(mkdir(secret, 0700), 0);
    fd = open(file, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_directory_remove(&directory);
    return 0;
}

/* Runs SCRIPT by /bin/sh as another user; what it wrote goes to OUT and ERROR. */
static struct start_failure run(uint32_t flags, const char *where, char **arguments, char out[256], char error[256])
{
    char path[] = "PATH=/usr/bin:/bin", *environment[] = { path, NULL };
    struct job job = {
        .head = { .flags = flags, .rows = 24, .columns = 80 }, .work_directory = where,
        .arguments = arguments, .environment = environment,
    };
    struct user user = { .uid = OTHER, .gid = OTHER, .group_count = 1, .groups = { OTHER }, .home = "/" };
    struct process process;
    struct start_failure why;
    ssize_t length = 0, more;

    process_start(&job, &user, &process);
    why = process_exec_result(&process);
    if (process.input >= 0 && !(flags & RUN_TTY)) {
        assert_int_equal(write(process.input, "typed", 5), why.number ? -1 : 5);
        close(process.input);
    }
    while ((more = read(process.output, out + length, 255 - (size_t)length)) > 0)
        length += more;
    out[length] = '\0';
    length = process.error < 0 ? 0 : read(process.error, error, 255);
    error[length] = '\0';
    assert_int_equal(waitpid(process.pid, NULL, 0), process.pid);
    close(process.output);
    if (process.error >= 0)
        close(process.error);
    return why;
}

static void skip_without_root(void)
{
    if (geteuid() != 0)
        skip();
}

#define SCRIPT(text) (char *[]){ (char[]){ "/bin/sh" }, (char[]){ "-c" }, (char[]){ text }, NULL }

static void test_streams_by_their_names(void **state)
{
    char out[256], error[256];

    (void)state;
    skip_without_root();
    assert_int_equal(run(RUN_STDIN, "/", SCRIPT("cat /dev/stdin; echo out >>/dev/stdout; echo error >/dev/stderr; id -u"),
                         out, error).number, 0);
    assert_string_equal(out, "typedout\n4711\n");
    assert_string_equal(error, "error\n");
    /* Without input of its own it has the system's null device, which is nobody's to have. */
    assert_int_equal(run(0, "/", SCRIPT("cat /dev/stdin; test $(stat -L -c %u /dev/stdin) = 4711 || echo kept"), out, error).number, 0);
    assert_string_equal(out, "kept\n");
}

static void test_the_terminal(void **state)
{
    char out[256], error[256];

    (void)state;
    skip_without_root();
    assert_int_equal(run(RUN_TTY | RUN_STDIN, "/", SCRIPT("stat -c %u $(tty); echo name >$(tty); echo out >/dev/stdout"),
                         out, error).number, 0);
    assert_string_equal(out, "4711\r\nname\r\nout\r\n");
}

static void test_where_it_starts(void **state)
{
    char out[256], error[256], below[300];
    struct start_failure why;

    (void)state;
    skip_without_root();
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(run(0, secret, SCRIPT("pwd"), out, error).number, 0);
    assert_int_equal(strncmp(out, secret, strlen(secret)), 0);
    why = run(0, file, SCRIPT("pwd"), out, error);
    assert_int_equal(why.failure, RUN_FAILED_DIRECTORY);
    assert_int_equal(why.number, ENOTDIR);
    snprintf(below, sizeof(below), "%s/none", secret);
    why = run(0, below, SCRIPT("pwd"), out, error);
    assert_int_equal(why.failure, RUN_FAILED_DIRECTORY);
    assert_int_equal(why.number, EACCES); /* as the user, who may be told less */
}

static void test_what_cannot_be_executed(void **state)
{
    char out[256], error[256];
    struct start_failure why;

    (void)state;
    skip_without_root();
    why = run(0, "/", (char *[]){ (char[]){ "no-such-command" }, NULL }, out, error);
    assert_int_equal(why.failure, RUN_FAILED_EXEC);
    assert_int_equal(why.number, ENOENT);
    why = run(0, "/", (char *[]){ file, NULL }, out, error);
    assert_int_equal(why.failure, RUN_FAILED_EXEC);
    assert_int_equal(why.number, EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_streams_by_their_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_terminal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_where_it_starts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_executed, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("init, process", tests, NULL, NULL);
}
