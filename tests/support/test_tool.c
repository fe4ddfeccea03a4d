/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test_tool.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

extern char **environ;

void test_directory_create(struct test_directory *directory)
{
    snprintf(directory->path, sizeof(directory->path), "/tmp/mote-test-XXXXXX");
    assert_non_null(mkdtemp(directory->path));
}

static void run(const char *where, char *const arguments[], int *status, char *output, size_t size)
{
    posix_spawn_file_actions_t actions;
    size_t length = 0;
    int pipes[2], result;
    ssize_t got;
    char rest[256];
    pid_t child;

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
    posix_spawn_file_actions_addchdir_np(&actions, where);
    result = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    if (result != 0)
        fail_msg("%s: cannot run it: %s; install it by scripts/setup test", arguments[0],
                 strerror(result));
    while (length < size - 1 && (got = read(pipes[0], output + length, size - 1 - length)) > 0)
        length += (size_t)got;
    output[length] = '\0';
    while (read(pipes[0], rest, sizeof(rest)) > 0)
        ;
    close(pipes[0]);
    assert_int_equal(waitpid(child, status, 0), child);
}

void test_directory_remove(struct test_directory *directory)
{
    char rm[] = "rm", recursive[] = "-rf", *arguments[] = { rm, recursive, directory->path, NULL };
    char output[256];
    int status;

    run("/", arguments, &status, output, sizeof(output));
}

void test_directory_write(const struct test_directory *directory, const char *name,
                          const void *bytes, size_t length)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory->path, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

void test_tool_run(const struct test_directory *directory, char *const arguments[], char *output,
                   size_t size)
{
    int status;

    run(directory->path, arguments, &status, output, size);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s: wait status 0x%x:\n%s", arguments[0], (unsigned int)status, output);
}
