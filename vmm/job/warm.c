/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --warm.  A VM that goes on from a template is the job's only once that was sent
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
#include "vmm/job/supervisor_internal.h"
#include "vmm/snapshot/working_set.h"

/* From the fork of the VM to HELLO, which takes milliseconds; and for the answer to an order. */
#define PATIENCE_SECONDS 20 /* as it is told below */
#define SAVE_LOOK_MS 1000
#define SLOWEST (4u << 20) /* bytes a second of a disk that is waited for, as control/orders.c has it */

static struct template *template_of(const struct supervisor *supervisor)
{
    return supervisor->options->warm ? supervisor->options->warm->template : NULL;
}

/* ---- starting --------------------------------------------------------------- */

static void begin_saving(struct supervisor *supervisor)
{
    const struct supervisor_options *options = supervisor->options;
    struct error error = ERROR_INIT;

    /* A file that grows longer than files may is an error, not our end. */
    signal(SIGXFSZ, SIG_IGN);
    if (template_begin(template_of(supervisor), options->config->memory, &error) == 0)
        supervisor->warm = WARM_SAVES;
    else if (error.number == EEXIST || error.number == EWOULDBLOCK)
        log_info(options->log, "%s", error.message); /* another job makes it just now */
    else
        log_warn(options->log, "--warm: the next job boots, too: %s", error.message);
}

bool warm_begin(struct supervisor *supervisor)
{
    struct template *template = template_of(supervisor);

    supervisor->warm = WARM_NONE;
    if (!template || !template->key)
        return false;
    if (supervisor->options->config->snapshot) {
        supervisor->warm = WARM_RESTORED;
        working_set_prepare(&template->source, template->path);
        return template->source.record_fd >= 0;
    }
    begin_saving(supervisor);
    return supervisor->warm == WARM_SAVES;
}

/* ---- saving ----------------------------------------------------------------- */

/* Of no use any more, but to a job that has a name. */
static void close_channel(struct supervisor *supervisor)
{
    if (supervisor->orders || supervisor->vm.channel < 0)
        return;
    event_loop_remove(supervisor->loop, supervisor->vm.channel);
    vm_process_close_channel(&supervisor->vm);
}

static void not_saved(struct supervisor *supervisor, const struct error *error)
{
    template_drop(template_of(supervisor));
    log_warn(supervisor->options->log, "--warm: the next job boots, too: %s", error->message);
}

/* Aside, as a disk may take its time: neither the job nor Ctrl-C waits for it. */
static int keep(void *context, struct error *error)
{
    struct supervisor *supervisor = context;
    const struct supervisor_options *options = supervisor->options;

    /* Who waits for the end of these is told by the parent alone. */
    vm_process_close_channel(&supervisor->vm);
    orders_close(supervisor->orders);
    return template_keep(template_of(supervisor), options->config, &options->warm->about, error);
}

static void kept(void *context, const struct error *error)
{
    struct supervisor *supervisor = context;

    if (error->number) {
        not_saved(supervisor, error); /* also what is left by a child that was killed */
    } else {
        template_kept(template_of(supervisor));
        timeline_mark(supervisor->options->timeline, "template saved");
    }
    if (supervisor->over)
        event_loop_stop(supervisor->loop);
}

/* Kept before the job comes: afterwards a monitor that its guest has broken could write of the job there. */
static void recorded(struct supervisor *supervisor)
{
    struct template *template = template_of(supervisor);

    working_set_keep(&template->source, template->path);
    close_channel(supervisor);
    supervisor_send_job(supervisor);
}

static void saved(struct supervisor *supervisor, const struct answer *answer)
{
    struct error error = ERROR_INIT;

    timer_set(&supervisor->patience, 0);
    answer_take_error(answer, &error);
    /* Before the job comes; the little that a template in memory takes of the VM's room is not worth the wait. */
    sandbox_files_written(supervisor->vm.sandbox, !error.number);
    if (error.number || background_task_start(&supervisor->keeping, supervisor->loop, keep, kept, supervisor, &error) < 0)
        not_saved(supervisor, &error);
    close_channel(supervisor);
    supervisor_send_job(supervisor);
}

void warm_answered(struct supervisor *supervisor, const struct answer *answer)
{
    if (supervisor->distrust)
        return; /* it was killed meanwhile: no job is for it */
    if (supervisor->warm == WARM_SAVES)
        saved(supervisor, answer);
    else
        recorded(supervisor);
}

/* Whether its job has to wait. */
static bool save(struct supervisor *supervisor)
{
    struct template *template = template_of(supervisor);
    struct vm_saving files = {
        template->saving.state_fd, template->saving.memory_fd, template->id,
    };
    struct error error = ERROR_INIT;

    if (vm_process_save(&supervisor->vm, supervisor->options->config, &files, &error) < 0) {
        sandbox_files_written(supervisor->vm.sandbox, false);
        not_saved(supervisor, &error);
        close_channel(supervisor);
        return false;
    }
    supervisor->phase = PHASE_SAVING;
    supervisor->save_looks = 0;
    timer_set(&supervisor->patience, SAVE_LOOK_MS);
    return true;
}

/* The same.  Without a record the next job's VM makes one. */
static bool record(struct supervisor *supervisor)
{
    if (vm_process_record(&supervisor->vm, &(struct error)ERROR_INIT) < 0)
        return false;
    supervisor->phase = PHASE_SAVING;
    return true;
}

static bool save_or_record(struct supervisor *supervisor)
{
    return supervisor->warm == WARM_SAVES ? save(supervisor) : record(supervisor);
}

static bool records(const struct supervisor *supervisor)
{
    return supervisor->warm == WARM_RESTORED && template_of(supervisor)->source.record_fd >= 0;
}

bool warm_comes_first(struct supervisor *supervisor)
{
    const struct supervisor_options *options = supervisor->options;

    if (supervisor->warm != WARM_SAVES && !records(supervisor))
        return false;
    if (!options->prepare)
        return save_or_record(supervisor);
    supervisor->phase = PHASE_PREPARING;
    supervisor_send(supervisor, options->prepare, options->prepare_length);
    return true;
}

void warm_prepared(struct supervisor *supervisor)
{
    /* One that nobody asked for changes nothing. */
    if (supervisor->phase == PHASE_PREPARING && !save_or_record(supervisor))
        supervisor_send_job(supervisor);
}

/* ---- distrust --------------------------------------------------------------- */

/* Restored, and its job not sent. */
static bool is_on_trial(const struct supervisor *supervisor)
{
    return supervisor->warm == WARM_RESTORED && supervisor->phase < PHASE_STARTING;
}

bool warm_distrusts(struct supervisor *supervisor, const char *why)
{
    if (!is_on_trial(supervisor))
        return false;
    supervisor->distrust = why;
    vm_process_kill(&supervisor->vm);
    return true;
}

/* A VM's process that was told to save and does not answer: a second more for each few MiB that it got through. */
static void look_at_saving(struct supervisor *supervisor)
{
    uint64_t most = supervisor->options->config->memory;
    off_t offset = lseek(template_of(supervisor)->saving.memory_fd, 0, SEEK_CUR);
    uint64_t done = offset < 0 ? 0 : (uint64_t)offset;

    if (supervisor->phase != PHASE_SAVING)
        return;
    if (++supervisor->save_looks < PATIENCE_SECONDS + (done < most ? done : most) / SLOWEST) {
        timer_set(&supervisor->patience, SAVE_LOOK_MS);
        return;
    }
    supervisor->distrust = "its process did not answer when it was to be saved";
    vm_process_kill(&supervisor->vm);
}

static void patience_ended(void *context)
{
    struct supervisor *supervisor = context;

    if (supervisor->warm == WARM_SAVES)
        look_at_saving(supervisor);
    else
        warm_distrusts(supervisor, "its guest said nothing for 20 seconds");
}

int warm_started(struct supervisor *supervisor, struct error *error)
{
    int result;

    if (supervisor->warm == WARM_NONE)
        return 0;
    result = timer_open(&supervisor->patience, supervisor->loop, patience_ended, supervisor, error);
    if (result == 0 && supervisor->warm == WARM_RESTORED)
        timer_set(&supervisor->patience, PATIENCE_SECONDS * 1000);
    return result;
}

void warm_finish(struct supervisor *supervisor)
{
    struct error ignored = ERROR_INIT;

    if (!background_task_works(&supervisor->keeping) || supervisor->ends_wanted > 0)
        return;
    timer_set(&supervisor->clock, 0);
    event_loop_run(supervisor->loop, &ignored);
}

void warm_hurry(struct supervisor *supervisor)
{
    background_task_abandon(&supervisor->keeping, "the command was ended while it was saved");
}

void warm_close(struct supervisor *supervisor)
{
    background_task_end(&supervisor->keeping);
    timer_close(&supervisor->patience);
    if (template_of(supervisor))
        template_drop(template_of(supervisor));
}

void warm_leave(struct supervisor *supervisor)
{
    cleanup_close(&supervisor->patience.fd);
    if (template_of(supervisor))
        template_leave(template_of(supervisor));
}

/* ---- starting anew ---------------------------------------------------------- */

/* What is said of a VM that ended before it had a job. */
static const char *reason(const struct supervisor *supervisor)
{
    const struct vm_process *vm = &supervisor->vm;

    if (supervisor->distrust)
        return supervisor->distrust;
    if (vm->error.message[0])
        return vm->error.message;
    return vm->status == STATUS_PANIC ? "its guest panicked" : "its guest ended";
}

bool warm_starts_anew(struct supervisor *supervisor)
{
    const struct supervisor_options *options = supervisor->options;
    bool restored = is_on_trial(supervisor);
    struct error error = ERROR_INIT;
    int result = 0;

    if (!restored && !(supervisor->warm == WARM_SAVES && supervisor->phase == PHASE_SAVING))
        return false;
    log_info(options->log, "template %s: is not used, and the VM boots: %s",
             template_of(supervisor)->name, reason(supervisor));
    supervisor_close_vm(supervisor);
    warm_close(supervisor);
    supervisor->distrust = NULL;
    supervisor->tail = (struct console_tail){ .line = "" };
    if (restored) {
        template_remove(template_of(supervisor));
        result = options->warm->go_cold(options->warm->context, &error);
    } else {
        template_close(template_of(supervisor)); /* once is enough */
    }
    if (result == 0)
        result = supervisor_start_vm(supervisor, &error);
    if (result < 0) {
        supervisor_complain(supervisor, "%s", error.message);
        supervisor_end(supervisor, CAUSE_VMM_FAULT, STATUS_FAILED);
    }
    return true;
}
