/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/program.h"

/* Away from the user's terminal and pipes, which somebody may read to their end. */
static int redirect(const struct store_entry *entry, struct error *error)
{
    cleanup_fd int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cleanup_fd int output = store_open_file(entry, "stdout", error);
    cleanup_fd int errors = store_open_file(entry, "stderr", error);

    if (output < 0 || errors < 0)
        return -EIO;
    if (input < 0 || dup2(input, STDIN_FILENO) < 0 ||
        dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
        return error_system(error, errno, "job %s", entry->name);
    return 0;
}

static void release(struct detached *detached)
{
    cleanup_close(&detached->started);
    detached->started = -1;
    store_close(&detached->entry);
}

static void become_child(struct detached *detached, struct detached *others, size_t other_count)
{
    struct error error = ERROR_INIT;

    /* An entry is running as long as any process has its lock. */
    for (size_t i = 0; i < other_count; i++)
        release(&others[i]);
    setsid();
    if (redirect(&detached->entry, &error) == 0 && store_claim(&detached->entry, &error) == 0)
        return;
    _exit(command_failed(&error));
}

/* Errno NUMBER tells why there is no process, and so nothing to tell of. */
static int give_up(const struct detached *detached, int number, struct error *error)
{
    struct error ignored = ERROR_INIT;

    store_remove(&detached->entry, &ignored);
    return error_system(error, number, "%s: a process in the background", detached->entry.name);
}

int detach_fork(struct detached *detached, struct detached *others, size_t other_count, int *started_fd,
                struct error *error)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return give_up(detached, errno, error);
    /* What is not written yet would be written by both. */
    fflush(stdout);
    detached->process = fork();
    if (detached->process < 0) {
        int number = errno;

        close(ends[0]);
        close(ends[1]);
        return give_up(detached, number, error);
    }
    if (detached->process == 0) {
        close(ends[0]);
        *started_fd = ends[1];
        become_child(detached, others, other_count);
        return 0;
    }
    close(ends[1]);
    detached->started = ends[0];
    return 1;
}

/* What was said before it could begin. */
static void show_errors(const struct store_entry *entry)
{
    char text[4096];

    store_read(entry, "stderr", text, sizeof(text));
    dprintf(STDERR_FILENO, "%s", text);
}

static int read_byte(int fd)
{
    ssize_t count;
    char byte;

    do
        count = read(fd, &byte, 1);
    while (count < 0 && errno == EINTR);
    return (int)count;
}

int detach_await(struct detached *detached, struct error *error)
{
    struct error other = ERROR_INIT;
    int result = STATUS_OK, status;

    if (read_byte(detached->started) != 1) {
        if (waitpid(detached->process, &status, 0) != detached->process || !WIFEXITED(status))
            result = error_set(error, ECHILD, "%s: its process was killed; try again",
                               detached->entry.name);
        else
            result = WEXITSTATUS(status);
        show_errors(&detached->entry);
        if (store_remove(&detached->entry, result < 0 ? &other : error) < 0 && result >= 0)
            result = -error->number;
    }
    cleanup_close(&detached->started);
    detached->started = -1;
    return result;
}

int detach_tell(const char *name, struct error *error)
{
    printf("%s\n", name);
    return fflush(stdout) == 0 ? STATUS_OK : error_system(error, errno, "standard output");
}
