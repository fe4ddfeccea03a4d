/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/background_task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/reap.h"

/* One message, which a pipe keeps whole. */
_Static_assert(sizeof(struct error) <= 4096, "at most PIPE_BUF");

void background_task_end(struct background_task *task)
{
    if (!background_task_works(task))
        return;
    kill(task->pid, SIGKILL);
    reap_killed(task->pid, NULL);
    event_loop_remove(task->loop, task->fd);
    close(task->fd);
    *task = (struct background_task)BACKGROUND_TASK_INIT;
}

void background_task_abandon(struct background_task *task, const char *why)
{
    if (!background_task_works(task))
        return;
    task->why = why;
    kill(task->pid, SIGKILL);
}

/* A message, or the end of a child that was killed. */
static void told(void *context, uint32_t events)
{
    struct background_task *task = context;
    struct background_task had = *task;
    struct error error;

    (void)events;
    if (read(task->fd, &error, sizeof(error)) != (ssize_t)sizeof(error)) {
        error = (struct error)ERROR_INIT;
        error_set(&error, ECANCELED, "%s", had.why ? had.why : "the background task was killed; "
                  "see what killed it, and try again");
    }
    background_task_end(task);
    had.done(had.context, &error);
}

_Noreturn static void be_the_child(int fd, pid_t parent,
                                   int (*work)(void *context, struct error *error), void *context)
{
    struct error error = ERROR_INIT;

    /* The parent may have ended before it is heard of. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(1);
    if (work(context, &error) == 0)
        error.number = 0;
    _exit(write(fd, &error, sizeof(error)) == (ssize_t)sizeof(error) ? 0 : 1);
}

int background_task_start(struct background_task *task, struct event_loop *loop,
                int (*work)(void *context, struct error *error),
                void (*done)(void *context, const struct error *error), void *context,
                struct error *error)
{
    struct event_source source = { .events = EPOLLIN, .handler = told, .context = task };
    pid_t parent = getpid(), pid;
    int ends[2], result;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_system(error, errno, "a background process");
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        be_the_child(ends[1], parent, work, context);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return error_system(error, errno, "a background process");
    }
    *task = (struct background_task){ .loop = loop, .pid = pid, .fd = ends[0], .done = done, .context = context };
    source.fd = ends[0];
    result = event_loop_add(loop, &source);
    if (result < 0) {
        background_task_end(task);
        return error_system(error, -result, "event loop");
    }
    return 0;
}
