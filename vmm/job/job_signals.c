/* SPDX-License-Identifier: Apache-2.0 */
/* What a job's supervisor does at its user's signals, and when the time is up. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"
#include "vmm/job/job_run_internal.h"

/* After the stop signal, until SIGKILL. */
#define GRACE_MS 2000
/* After SIGKILL, until the VM is ended without the guest's account. */
#define LAST_MS 10000
/* For /output. */
#define OUTPUT_MS 120000

/* ---- to the job ------------------------------------------------------------- */

static int send_signal(struct job_run *run, int number)
{
    struct {
        struct run_header header;
        struct run_signal signal;
    } record = {
        { RUN_SIGNAL, sizeof(struct run_signal) }, { (uint32_t)number },
    };

    /* A paused job would not end; others wait, as they do for a process that is stopped. */
    if (number != SIGUSR1 && number != SIGUSR2)
        vm_control_resume(run->vm_control);
    return run->control ? control_send(run->control, &record, sizeof(record)) : -ENOTCONN;
}

void job_run_stop_job(struct job_run *run, enum cause cause)
{
    if (run->stop_cause != CAUSE_COUNT || run->phase >= PHASE_ENDED)
        return;
    run->stop_cause = cause;
    if (run->phase != PHASE_RUNNING || send_signal(run, run->options->stop_signal) < 0) {
        /* The job has not begun: there is nobody to be gentle with. */
        job_run_end(run, cause, job_run_stop_status(cause));
        return;
    }
    run->alarm = ALARM_GRACE;
    timer_set(&run->clock, GRACE_MS);
}

/* ---- the clock -------------------------------------------------------------- */

static void time_is_up(struct job_run *run)
{
    if (run->phase == PHASE_ENDED) {
        /* In time, says the guest; but its streams, in a VM that may be paused, have to end some day, too. */
        vm_control_resume(run->vm_control);
        run->alarm = ALARM_LAST;
        timer_set(&run->clock, LAST_MS);
        return;
    }
    log_warn(run->options->log, "%s: ran longer than --timeout allows; it is ended", run->options->command);
    job_run_stop_job(run, CAUSE_TIMEOUT);
}

static void clock_rang(void *context)
{
    struct job_run *run = context;

    switch (run->alarm) {
    case ALARM_TIMEOUT:
        time_is_up(run);
        break;
    case ALARM_GRACE:
        send_signal(run, SIGKILL);
        run->alarm = ALARM_LAST;
        timer_set(&run->clock, LAST_MS);
        break;
    case ALARM_LAST:
        if (run->stop_cause == CAUSE_COUNT)
            run->stop_cause = CAUSE_TIMEOUT;
        job_run_end(run, run->stop_cause, job_run_stop_status(run->stop_cause));
        break;
    case ALARM_OUTPUT:
        job_run_complain(run, "--output: /output took longer than %u s to come back; write less", OUTPUT_MS / 1000);
        run->failed = true;
        job_run_conclude(run);
        break;
    }
}

void job_run_await_output(struct job_run *run)
{
    vm_control_resume(run->vm_control); /* it may have been paused as its job ended */
    run->alarm = ALARM_OUTPUT;
    timer_set(&run->clock, OUTPUT_MS);
}

/* ---- from the user ---------------------------------------------------------- */

static bool has_terminal(void)
{
    cleanup_fd int fd = open("/dev/tty", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    return fd >= 0;
}

/* NUMBER is SIGTERM for a job that is told to stop, which gets its own. */
static void user_signalled(struct job_run *run, int number, int for_job)
{
    bool ends = number == SIGINT || number == SIGTERM || number == SIGQUIT;

    if (ends)
        run->ends_wanted++;
    if (run->over) { /* all that is left is the template */
        if (ends || number == SIGHUP)
            warm_hurry(run);
        return;
    }
    /* Who asks for the third time means us and not the job. */
    if (run->phase != PHASE_RUNNING || run->ends_wanted >= 3) {
        if (ends || number == SIGHUP)
            job_run_end(run, CAUSE_SIGNALLED, STATUS_SIGNAL + number);
        return;
    }
    send_signal(run, for_job);
    /* The terminal went away, and with it whoever could find the job, which may not mind SIGHUP. */
    if (number == SIGHUP && run->has_terminal && !has_terminal())
        job_run_stop_job(run, CAUSE_SIGNALLED);
}

void job_told_to_stop(void *context)
{
    struct job_run *run = context;

    user_signalled(run, SIGTERM, run->options->stop_signal);
}

static void signal_arrived(void *context, int number)
{
    struct job_run *run = context;

    if (number == SIGCHLD) {
        output_check(run);
        if (run->vm.process && !run->over)
            vm_process_look(run->vm.process);
    } else if (number == SIGNALS_STOP) {
        job_told_to_stop(run);
    } else if (number == SIGWINCH) {
        job_run_send_window(run);
    } else {
        user_signalled(run, number, number);
    }
}

int job_signals_open(struct job_run *run, struct error *error)
{
    static const int numbers[] = {
        SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD,
    };
    int result;

    run->has_terminal = has_terminal();
    run->signals.arrived = signal_arrived;
    run->signals.context = run;
    run->signals.tells_stop = true;
    /* A child that is waited for is not to be reaped by the kernel; a pipe that nobody reads is
     * an error to handle. */
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    result = signals_open(&run->signals, run->loop, numbers, ARRAY_LENGTH(numbers), false, error);
    return result == 0 ? timer_open(&run->clock, run->loop, clock_rang, run, error) : result;
}

void job_signals_close(struct job_run *run)
{
    timer_close(&run->clock);
    signals_close(&run->signals);
}
