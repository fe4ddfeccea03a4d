/* SPDX-License-Identifier: Apache-2.0 */
/* `mote run`: a job, in the foreground or not, and its verdict. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/run/session.h"
#include "vmm/store.h"
#include "vmm/run/supervisor.h"
#include "vmm/run/verdict.h"

static int go_cold(void *context, struct error *error)
{
    return session_go_cold(context, error);
}

static int run_job(struct session *session, int started_fd, struct outcome *outcome,
                   struct error *error)
{
    const struct run_options *asked = &session->options;
    struct warm_start warm = {
        .template = &session->template,
        .about = {
            .kernel = session->kernel.path,
            .root = asked->image ? asked->image : asked->rootfs,
            .memory = asked->vm.memory,
            .cpus = asked->vm.cpus,
        },
        .go_cold = go_cold,
        .context = session,
    };
    struct supervisor_options options = {
        .warm = asked->warm ? &warm : NULL,
        .config = &session->options.vm,
        .sandbox = &session->options.sandbox,
        .job = session->job,
        .job_length = session->job_length,
        .flags = session->flags,
        .command = session->arguments.items[0],
        .output = session->options.output,
        .timeout_ms = session->options.timeout_ms,
        .output_limit = session->options.output_limit,
        .quiet = session->options.quiet,
        .verbose = session->options.verbose,
        .started_fd = started_fd,
        .log = &session->log,
        .timeline = session->timeline,
    };

    return supervise(&options, outcome, error);
}

static int write_verdict(const struct session *session, const struct outcome *outcome,
                         const char *message, const char *path, struct error *error)
{
    struct verdict verdict = {
        .outcome = outcome,
        .message = message,
        .command = &session->arguments,
        .timeline = session->timeline,
    };

    return verdict_write(&verdict, path, error);
}

/* The account of a job, also of one that Mote could not run: FAILURE, or NULL, tells why. */
static void give_verdict(struct session *session, const struct store_entry *entry,
                         struct outcome *outcome, const char *failure)
{
    cleanup_free char *kept = entry ? store_path(entry, "verdict") : NULL;
    const char *const paths[] = { session->options.verdict, kept };

    if (session->options.timeline)
        timeline_print(session->timeline, STDERR_FILENO);
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        struct error error = ERROR_INIT;

        if (paths[i] && write_verdict(session, outcome, failure, paths[i], &error) < 0)
            outcome->status = command_failed(&error);
    }
}

/* That there is no job to tell of.  Why is said already: if this fails, too, that is enough. */
static void note_failure(const struct session *session, const struct error *failure)
{
    struct outcome outcome = { .cause = CAUSE_VMM_FAULT, .status = STATUS_FAILED };
    struct error ignored = ERROR_INIT;

    if (session->options.verdict)
        write_verdict(session, &outcome, failure->message, session->options.verdict, &ignored);
}

/* Runs the job and tells how it ended; STARTED_FD and ENTRY are as for those below. */
static struct outcome run_to_the_end(struct session *session, const struct store_entry *entry,
                                     int started_fd)
{
    struct outcome outcome = { .cause = CAUSE_VMM_FAULT, .status = STATUS_FAILED };
    struct error error = ERROR_INIT;
    int result = run_job(session, started_fd, &outcome, &error);

    if (result < 0) {
        command_failed(&error);
        give_verdict(session, entry, &outcome, error.message);
    } else {
        give_verdict(session, entry, &outcome, outcome.message[0] ? outcome.message : NULL);
    }
    return outcome;
}

/* ---- with a name, and apart from us ---------------------------------------- */

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

static _Noreturn void be_detached(struct session *session, struct store_entry *entry,
                                  int started_fd)
{
    struct outcome outcome = { .status = STATUS_FAILED };
    struct error error = ERROR_INIT;

    setsid();
    if (redirect(entry, &error) == 0 && store_claim(entry, &error) == 0)
        outcome = run_to_the_end(session, entry, started_fd);
    else
        command_failed(&error);
    /* One that did not begin is the parent's, who tells why. */
    if (outcome.began && session->options.remove && store_remove(entry, &error) < 0)
        outcome.status = command_failed(&error);
    _exit(outcome.status);
}

/* What was said before the job could begin. */
static void show_errors(const struct store_entry *entry)
{
    char text[4096];

    store_read(entry, "stderr", text, sizeof(text));
    dprintf(STDERR_FILENO, "%s", text);
}

/* Returns when the job has begun, or cannot. */
static int detach(struct session *session, struct store_entry *entry, struct error *error)
{
    cleanup_fd int started = -1, theirs = -1;
    int ends[2], status;
    pid_t process;
    char byte;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_system(error, errno, "--detach");
    started = ends[0];
    theirs = ends[1];
    process = fork();
    if (process < 0)
        return error_system(error, errno, "--detach");
    if (process == 0)
        be_detached(session, entry, theirs);
    cleanup_close(&theirs);
    theirs = -1;
    if (read(started, &byte, 1) == 1) {
        printf("%s\n", entry->name);
        return fflush(stdout) == 0 ? STATUS_OK
                                   : error_system(error, errno, "standard output");
    }
    if (waitpid(process, &status, 0) != process || !WIFEXITED(status))
        return error_set(error, ECHILD, "--detach: the job's process was killed; try again");
    show_errors(entry);
    store_remove(entry, error);
    return WEXITSTATUS(status);
}

/* mote's status, or a negative errno. */
static int run_named(struct session *session, struct error *error)
{
    const struct run_options *options = &session->options;
    struct store_entry entry;
    int result = store_create(&entry, options->name, session->arguments.items,
                              session->arguments.count, error);

    if (result == 0 && options->detach) {
        result = detach(session, &entry, error);
    } else if (result == 0 && (result = store_claim(&entry, error)) == 0) {
        result = run_to_the_end(session, &entry, -1).status;
        if (store_remove(&entry, error) < 0)
            result = -error->number;
    }
    store_close(&entry);
    return result;
}

int cmd_run(int argc, char **argv)
{
    struct session session = SESSION_INIT;
    struct error error = ERROR_INIT;
    bool helped = false;
    int result = run_options_parse(&session.options, argc, argv, &helped, &error);

    if (result == 0 && helped)
        return STATUS_OK;
    if (result == 0)
        result = session_open(&session, &error);
    if (result == 0 && (result = session_prepare(&session, &error)) < 0)
        note_failure(&session, &error);
    if (result == 0)
        result = session.options.name || session.options.detach
                     ? run_named(&session, &error)
                     : run_to_the_end(&session, NULL, -1).status;
    session_close(&session);
    if (result >= 0)
        return result;
    /* Without a message a companion program has told. */
    return error.message[0] ? command_failed(&error) : STATUS_FAILED;
}
