/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/program.h"

int worker_answer(int pipe, const void *bytes, size_t length, struct error *error)
{
    const char *at = bytes;

    while (length > 0) {
        ssize_t sent = write(pipe, at, length);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return error_system(error, errno, "the answer");
        at += sent;
        length -= (size_t)sent;
    }
    return 0;
}

/* The answer comes first, what went wrong last: an answer that is cut short has no end. */
static _Noreturn void be_worker(const struct worker *worker, pid_t parent, int pipe)
{
    struct error error = ERROR_INIT;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(1);
    if (sandbox_confine(worker->sandbox, worker->folder, -1, &error) == 0) {
        sandbox_thread(worker->sandbox, SANDBOX_UNPACK);
        /* What was refused and passed over is no error. */
        if (worker->run(worker->context, pipe, &error) == 0)
            error.number = 0;
    }
    if (worker->progress)
        progress_end(worker->progress);
    _exit(worker_answer(pipe, &error, sizeof(error), &(struct error)ERROR_INIT) == 0 ? 0 : 1);
}

/* All that comes, as far as there is room: *LENGTH; whether that was all. */
static bool read_answer(int pipe, char *bytes, size_t size, size_t *length)
{
    *length = 0;
    for (;;) {
        char more;
        ssize_t got = *length < size ? read(pipe, bytes + *length, size - *length)
                                     : read(pipe, &more, 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || *length == size)
            return got == 0;
        *length += (size_t)got;
    }
}

/* What comes may be an attacker's words. */
static int take_words(struct error *words, struct error *error)
{
    char *at = words->message;

    at[sizeof(words->message) - 1] = '\0';
    for (; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    if (words->number == 0)
        return 0;
    return error_set(error, words->number > 0 ? words->number : EIO, "%s", words->message);
}

static int died(const struct worker *worker, int status, struct error *error)
{
    /* Its exit reason went to the jail's supervisor, who reports it: once is enough. */
    if ((WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) ||
        (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_FAILED)) {
        *error = (struct error){ .number = ECANCELED };
        return -error->number;
    }
    return error_set(error, EIO, "%s was ended (%s%s); fetch the image anew, unless the host had no "
                     "memory left", worker->what, WIFSIGNALED(status) ? "SIG" : "no reason given",
                     WIFSIGNALED(status) && sigabbrev_np(WTERMSIG(status))
                         ? sigabbrev_np(WTERMSIG(status)) : "");
}

/* Waits for PROCESS, which answers by PIPE into BYTES. */
static int await(const struct worker *worker, pid_t process, int pipe, char *bytes, size_t size,
                 size_t *length, struct error *error)
{
    struct error words;
    bool whole = read_answer(pipe, bytes, size, length);
    int status;

    if (!whole)
        kill(process, SIGKILL); /* it says more than there can be */
    while (waitpid(process, &status, 0) < 0)
        if (errno != EINTR)
            return error_system(error, errno, "%s", worker->what);
    if (!whole || *length < sizeof(words))
        return died(worker, status, error);
    *length -= sizeof(words);
    memcpy(&words, bytes + *length, sizeof(words));
    return take_words(&words, error);
}

static int start(const struct worker *worker, pid_t *process, int *from, struct error *error)
{
    pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_system(error, errno, "%s", worker->what);
    *process = fork();
    if (*process == 0) {
        close(ends[0]);
        be_worker(worker, parent, ends[1]);
    }
    close(ends[1]);
    *from = ends[0];
    return *process < 0 ? error_system(error, errno, "%s", worker->what) : 0;
}

int worker_run(const struct worker *worker, void *answer, size_t size, size_t *length,
               struct error *error)
{
    cleanup_free char *bytes = malloc(size + sizeof(struct error));
    cleanup_fd int from = -1;
    pid_t process = -1;
    int result;

    if (!bytes)
        return error_system(error, ENOMEM, "%s", worker->what);
    result = start(worker, &process, &from, error);
    if (result == 0)
        result = await(worker, process, from, bytes, size + sizeof(struct error), length, error);
    if (result == 0 && *length > 0) /* ANSWER is NULL where none is wanted */
        memcpy(answer, bytes, *length);
    return result;
}
