/* SPDX-License-Identifier: Apache-2.0 */
/* `mote run`: a job, in the foreground or not, and its verdict. */
#include <errno.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/supervisor/detach.h"
#include "vmm/supervisor/kept_output.h"
#include "vmm/job/job_session.h"
#include "vmm/supervisor/store.h"
#include "vmm/job/job_run.h"
#include "vmm/job/verdict.h"

static int go_cold(void *context, struct error *error)
{
    return job_session_go_cold(context, error);
}

static int run_job(struct job_session *session, const struct store_entry *entry, int started_fd,
                   struct outcome *outcome, struct error *error)
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
    struct job_run_options options = {
        .warm = asked->warm ? &warm : NULL,
        .config = &session->options.vm,
        .sandbox = &session->options.sandbox,
        .job = session->job,
        .job_length = session->job_length,
        .prepare = session->prepare,
        .prepare_length = session->prepare_length,
        .flags = session->flags,
        .command = session->arguments.items[0],
        .output = session->options.output,
        .output_merge = session->options.output_merge,
        .timeout_ms = session->options.timeout_ms,
        .stop_signal = session->stop_signal,
        .output_limit = session->options.output_limit,
        .log_limit = started_fd < 0 ? 0 : session->options.log_limit ? session->options.log_limit : KEPT_OUTPUT_DEFAULT,
        .quiet = session->options.quiet,
        .verbose = session->options.verbose,
        .started_fd = started_fd,
        .entry = entry,
        .log = &session->log,
        .timeline = session->timeline,
    };

    return job_run(&options, outcome, error);
}

static int write_verdict(const struct job_session *session, const struct outcome *outcome,
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
static void give_verdict(struct job_session *session, const struct store_entry *entry,
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
static void note_failure(const struct job_session *session, const struct error *failure)
{
    struct outcome outcome = { .cause = CAUSE_VMM_FAULT, .status = STATUS_FAILED };
    struct error ignored = ERROR_INIT;

    if (session->options.verdict)
        write_verdict(session, &outcome, failure->message, session->options.verdict, &ignored);
}

/* Runs the job and tells how it ended; STARTED_FD and ENTRY are as for those below. */
static struct outcome run_to_the_end(struct job_session *session, const struct store_entry *entry,
                                     int started_fd)
{
    struct outcome outcome = { .cause = CAUSE_VMM_FAULT, .status = STATUS_FAILED };
    struct error error = ERROR_INIT;
    int result = run_job(session, entry, started_fd, &outcome, &error);

    if (result < 0) {
        command_failed(&error);
        give_verdict(session, entry, &outcome, error.message);
    } else {
        give_verdict(session, entry, &outcome, outcome.message[0] ? outcome.message : NULL);
    }
    return outcome;
}

/* ---- with a name, and apart from us ---------------------------------------- */

/* In the process of its own, to its end. */
static int be_detached(struct job_session *session, const struct store_entry *entry, int started_fd)
{
    struct outcome outcome = run_to_the_end(session, entry, started_fd);
    struct error error = ERROR_INIT;

    /* One that did not begin is the parent's, who tells why. */
    if (outcome.began && session->options.remove && store_remove(entry, &error) < 0)
        return command_failed(&error);
    return outcome.status;
}

/* mote's status, or a negative errno. */
static int run_detached(struct job_session *session, struct detached *detached, struct error *error)
{
    int started_fd, result = detach_fork(detached, NULL, 0, &started_fd, error);

    if (result < 0)
        return result;
    if (result == 0)
        _exit(be_detached(session, &detached->entry, started_fd));
    result = detach_await(detached, error);
    return result == STATUS_OK ? detach_tell(detached->entry.name, error) : result;
}

static int run_named(struct job_session *session, struct error *error)
{
    const struct run_options *options = &session->options;
    struct detached detached = DETACHED_INIT;
    int result = store_create(&detached.entry, options->name, session->arguments.items,
                              session->arguments.count, error);

    if (result == 0 && options->detach) {
        result = run_detached(session, &detached, error);
    } else if (result == 0 && (result = store_claim(&detached.entry, error)) == 0) {
        result = run_to_the_end(session, &detached.entry, -1).status;
        if (store_remove(&detached.entry, error) < 0)
            result = -error->number;
    }
    store_close(&detached.entry);
    return result;
}

int cmd_run(int argc, char **argv)
{
    struct job_session session = JOB_SESSION_INIT;
    struct error error = ERROR_INIT;
    bool helped = false;
    int result = run_options_parse(&session.options, argc, argv, &helped, &error);

    if (result == 0 && helped)
        return STATUS_OK;
    if (result == 0)
        result = job_session_open(&session, &error);
    if (result == 0 && (result = job_session_prepare(&session, &error)) < 0)
        note_failure(&session, &error);
    if (result == 0)
        result = session.options.name || session.options.detach
                     ? run_named(&session, &error)
                     : run_to_the_end(&session, NULL, -1).status;
    job_session_close(&session);
    if (result >= 0)
        return result;
    /* Without a message a helper program program has told. */
    return error.message[0] ? command_failed(&error) : STATUS_FAILED;
}
