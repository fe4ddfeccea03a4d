/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --warm.  A VM that is restored from a template is the job's only once that was sent
 * to its guest: until then whatever goes wrong with it costs the template, and a VM
 * that boots takes its place.  One that boots is saved when its guest is ready,
 * and gets its job afterwards: so no template has anything of a job's.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"
#include "vmm/job/job_run_internal.h"
#include "vmm/snapshot/working_set.h"

/* From the fork of the VM to HELLO, which takes milliseconds. */
#define PATIENCE_SECONDS 20 /* as it is told below */

static struct template *template_of(const struct job_run *run)
{
    return run->options->warm ? run->options->warm->template : NULL;
}

/* ---- starting --------------------------------------------------------------- */

static void begin_saving(struct job_run *run)
{
    const struct job_run_options *options = run->options;
    struct error error = ERROR_INIT;

    /* A file that grows longer than files may is an error, not our end. */
    signal(SIGXFSZ, SIG_IGN);
    if (template_begin(template_of(run), options->config->memory, &error) == 0)
        run->warm = WARM_SAVES;
    else if (error.number == EEXIST || error.number == EWOULDBLOCK)
        log_info(options->log, "%s", error.message); /* another job makes it just now */
    else
        log_warn(options->log, "--warm: the next job boots, too: %s", error.message);
}

void warm_begin(struct job_run *run)
{
    struct template *template = template_of(run);

    run->warm = WARM_NONE;
    if (!template || !template->key)
        return;
    if (run->options->config->snapshot) {
        run->warm = WARM_RESTORED;
        working_set_prepare(&template->source, template->path);
    } else {
        begin_saving(run);
    }
}

/* ---- saving ----------------------------------------------------------------- */

static void not_saved(struct job_run *run, const struct error *error)
{
    template_drop(template_of(run));
    log_warn(run->options->log, "--warm: the next job boots, too: %s", error->message);
}

/* In the background, as a disk may take its time: neither the job nor Ctrl-C waits for it. */
static int keep(void *context, struct error *error)
{
    struct job_run *run = context;
    const struct job_run_options *options = run->options;

    /* Who waits for the end of these is told by the parent alone. */
    vm_process_leave(run->vm.process);
    vm_control_leave(run->vm_control);
    return template_keep(template_of(run), options->config, &options->warm->about, error);
}

static void kept(void *context, const struct error *error)
{
    struct job_run *run = context;

    if (error->number) {
        not_saved(run, error); /* also what is left by a child that was killed */
    } else {
        template_kept(template_of(run));
        timeline_mark(run->options->timeline, "template saved");
    }
    if (run->over)
        event_loop_stop(run->loop);
}

/* Kept before the job comes: afterwards a monitor that its guest has broken could write of the job there. */
static void recorded(struct job_run *run)
{
    struct template *template = template_of(run);

    working_set_keep(&template->source, template->path);
    job_run_send_job(run);
}

static void saved(struct job_run *run, const struct answer *answer)
{
    struct error error = ERROR_INIT;

    answer_take_error(answer, &error);
    /* Before the job comes; the little that a template in memory takes of the VM's room is not worth the wait. */
    vm_process_files_written(run->vm.process, !error.number);
    if (error.number || background_task_start(&run->keeping, run->loop, keep, kept, run, &error) < 0)
        not_saved(run, &error);
    job_run_send_job(run);
}

/* A VM that does not answer is not waited for: another boots in its place. */
static void replied(void *context, enum vm_reply reply, const struct answer *answer)
{
    struct job_run *run = context;

    if (run->distrust || reply == VM_GONE)
        return; /* it was killed or ended meanwhile: no job is for it */
    if (reply == VM_SILENT) {
        run->distrust = "its process did not answer when it was to be saved";
        vm_process_signal(run->vm.process, SIGKILL);
    } else if (run->warm == WARM_SAVES) {
        saved(run, answer);
    } else {
        recorded(run);
    }
}

/* Whether its job has to wait. */
static bool save(struct job_run *run)
{
    struct template *template = template_of(run);
    struct vm_reply_handler handler = { .replied = replied, .context = run };
    struct vm_saving saving = {
        .state_fd = template->saving.state_fd, .memory_fd = template->saving.memory_fd,
        .memory = run->options->config->memory,
    };
    struct error error = ERROR_INIT;

    memcpy(saving.request.id, template->id, sizeof(saving.request.id));
    if (vm_process_save(run->vm.process, &saving, &handler, &error) < 0) {
        vm_process_files_written(run->vm.process, false);
        not_saved(run, &error);
        return false;
    }
    run->phase = PHASE_SAVING;
    return true;
}

/* The same.  Without a record the next job's VM makes one. */
static bool record(struct job_run *run)
{
    struct vm_reply_handler handler = { .replied = replied, .context = run };
    struct message request = { .header.type = REQUEST_RECORD };

    if (vm_process_request(run->vm.process, &request, NULL, 0, &handler, &(struct error)ERROR_INIT) < 0)
        return false;
    run->phase = PHASE_SAVING;
    return true;
}

static bool save_or_record(struct job_run *run)
{
    return run->warm == WARM_SAVES ? save(run) : record(run);
}

static bool records(const struct job_run *run)
{
    return run->warm == WARM_RESTORED && template_of(run)->source.record_fd >= 0;
}

bool warm_comes_first(struct job_run *run)
{
    const struct job_run_options *options = run->options;

    if (run->warm != WARM_SAVES && !records(run))
        return false;
    if (!options->prepare)
        return save_or_record(run);
    run->phase = PHASE_PREPARING;
    job_run_send(run, options->prepare, options->prepare_length);
    return true;
}

void warm_prepared(struct job_run *run)
{
    /* One that nobody asked for changes nothing. */
    if (run->phase == PHASE_PREPARING && !save_or_record(run))
        job_run_send_job(run);
}

/* ---- distrust --------------------------------------------------------------- */

/* Restored, and its job not sent. */
static bool is_on_trial(const struct job_run *run)
{
    return run->warm == WARM_RESTORED && run->phase < PHASE_STARTING;
}

bool warm_distrusts(struct job_run *run, const char *why)
{
    if (!is_on_trial(run))
        return false;
    run->distrust = why;
    vm_process_signal(run->vm.process, SIGKILL);
    return true;
}

static void patience_ended(void *context)
{
    warm_distrusts(context, "its guest said nothing for 20 seconds");
}

int warm_started(struct job_run *run, struct error *error)
{
    int result;

    if (run->warm != WARM_RESTORED)
        return 0;
    result = timer_open(&run->patience, run->loop, patience_ended, run, error);
    if (result == 0)
        timer_set(&run->patience, PATIENCE_SECONDS * 1000);
    return result;
}

void warm_finish(struct job_run *run)
{
    struct error ignored = ERROR_INIT;

    if (!background_task_works(&run->keeping) || run->ends_wanted > 0)
        return;
    timer_set(&run->clock, 0);
    event_loop_run(run->loop, &ignored);
}

void warm_hurry(struct job_run *run)
{
    background_task_abandon(&run->keeping, "the command was ended while it was saved");
}

void warm_close(struct job_run *run)
{
    background_task_end(&run->keeping);
    timer_close(&run->patience);
    if (template_of(run))
        template_drop(template_of(run));
}

void warm_leave(struct job_run *run)
{
    cleanup_close(&run->patience.fd);
    if (template_of(run))
        template_leave(template_of(run));
}

/* ---- starting anew ---------------------------------------------------------- */

/* What is said of a VM that ended before it had a job. */
static const char *reason(const struct job_run *run, const struct vm_exit *exit)
{
    if (run->distrust)
        return run->distrust;
    if (exit->error.number)
        return exit->error.message;
    if (exit->end == VM_FAILED)
        return "KVM stopped its guest";
    return exit->end == VM_PANICKED ? "its guest panicked" : "its guest ended";
}

bool warm_starts_anew(struct job_run *run, const struct vm_exit *exit)
{
    const struct job_run_options *options = run->options;
    bool restored = is_on_trial(run);
    struct error error = ERROR_INIT;
    int result = 0;

    if (!restored && !(run->warm == WARM_SAVES && run->phase == PHASE_SAVING))
        return false;
    log_info(options->log, "template %s: is not used, and the VM boots: %s",
             template_of(run)->name, reason(run, exit));
    job_vm_close(run);
    warm_close(run);
    run->distrust = NULL;
    run->tail = (struct console_tail){ .line = "" };
    if (restored) {
        template_remove(template_of(run));
        result = options->warm->go_cold(options->warm->context, &error);
    } else {
        template_close(template_of(run)); /* once is enough */
    }
    if (result == 0)
        result = job_vm_start(run, &error);
    if (result < 0) {
        job_run_complain(run, "%s", error.message);
        job_run_end(run, CAUSE_VMM_FAULT, STATUS_FAILED);
    }
    return true;
}
