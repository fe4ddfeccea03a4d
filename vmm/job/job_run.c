/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "vmm/base/exit_status.h"
#include "vmm/job/job_run_internal.h"

uint64_t job_run_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void job_run_complain(struct job_run *run, const char *format, ...)
{
    struct error error = ERROR_INIT;
    va_list arguments;
    char text[sizeof(error.message)];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    error_set(&error, EIO, "%s", text); /* one printable line */
    log_error(run->options->log, "%s", error.message);
    if (!run->outcome->message[0])
        snprintf(run->outcome->message, sizeof(run->outcome->message), "%.255s", error.message);
}

void job_run_end(struct job_run *run, enum cause cause, int status)
{
    if (run->over)
        return;
    run->over = true;
    run->outcome->cause = cause;
    run->outcome->status = status;
    event_loop_stop(run->loop);
}

/* ---- from its start to its end ---------------------------------------------- */

static int open_control(struct job_run *run, struct error *error)
{
    const struct job_run_options *options = run->options;
    struct vm_control_owner owner = {
        .vm = options->config, .log = options->log, .entry = options->entry, .is_job = true,
        .stop = job_told_to_stop, .context = run,
    };

    return options->entry ? vm_control_create(&run->vm_control, &owner, run->loop, error) : 0;
}

static int start(struct job_run *run, struct error *error)
{
    const struct job_run_options *options = run->options;
    int result;

    if ((result = log_share(options->log, error)) < 0 ||
        (result = event_loop_create(&run->loop, error)) < 0 ||
        (result = job_signals_open(run, error)) < 0 ||
        (options->log_limit > 0 &&
         (result = kept_output_open(&run->kept, options->entry, options->log_limit, error)) < 0) ||
        (result = open_control(run, error)) < 0 ||
        (result = job_vm_start(run, error)) < 0)
        return result;
    run->alarm = ALARM_TIMEOUT;
    if (options->timeout_ms > 0)
        timer_set(&run->clock, options->timeout_ms);
    return job_run_open_terminal(run, error);
}

static void close_all(struct job_run *run)
{
    vm_control_attach(run->vm_control, NULL);
    vm_control_destroy(run->vm_control);
    run->vm_control = NULL; /* the loop runs once more, below */
    if (run->loop)
        job_vm_close(run);
    job_run_close_streams(run);
    warm_finish(run);
    warm_close(run);
    kept_output_close(&run->kept);
    job_signals_close(run);
    event_loop_destroy(run->loop);
}

int job_run(const struct job_run_options *options, struct outcome *outcome, struct error *error)
{
    struct job_run run = {
        .options = options, .outcome = outcome, .signals = SIGNALS_INIT, .clock = TIMER_INIT, .patience = TIMER_INIT,
        .console = CONSOLE_SHOW_INIT, .kept = KEPT_OUTPUT_INIT, .vm = JOB_VM_INIT, .keeping = BACKGROUND_TASK_INIT,
        .stop_cause = CAUSE_COUNT,
    };
    uint64_t begin = job_run_now_ms();
    int result;

    *outcome = (struct outcome){ .cause = CAUSE_VMM_FAULT, .status = STATUS_FAILED };
    result = start(&run, error);
    if (result == 0)
        result = event_loop_run(run.loop, error);
    outcome->wall_ms = job_run_now_ms() - begin;
    job_vm_end(&run);
    job_vm_drain_console(&run);
    close_all(&run);
    log_tell_left_out(options->log);
    timeline_mark(options->timeline, "VM destroyed");
    if (result == 0 && run.failed)
        outcome->status = STATUS_FAILED;
    return result;
}
