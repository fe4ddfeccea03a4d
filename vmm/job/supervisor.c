/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/supervisor_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/socket_handoff.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"

/* After the stop signal, until SIGKILL. */
#define GRACE_MS 2000
/* After SIGKILL, until the VM is ended without the guest's account. */
#define EXIT_REASON_MS 10000
/* For /output. */
#define OUTPUT_MS 120000
/* For the last of the guest's console, with --verbose. */
#define LAST_CONSOLE_MS 1000
#define HANDOFFS_PER_EVENT 16
/* A sound VM's process makes half as many, all that it may at once among them (vsock_internal.h). */
#define HANDOFFS_IN_A_SECOND 4000
/* One answer may come too late; a dozen come from an attacker. */
#define UNASKED_MAX 16

uint64_t supervisor_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void supervisor_complain(struct supervisor *supervisor, const char *format, ...)
{
    struct error error = ERROR_INIT;
    va_list arguments;
    char text[sizeof(error.message)];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    error_set(&error, EIO, "%s", text); /* one printable line */
    log_error(supervisor->options->log, "%s", error.message);
    if (!supervisor->outcome->message[0])
        snprintf(supervisor->outcome->message, sizeof(supervisor->outcome->message), "%.255s",
                 error.message);
}

/* ---- its end -------------------------------------------------------------- */

void supervisor_end(struct supervisor *supervisor, enum cause cause, int status)
{
    if (supervisor->over)
        return;
    supervisor->over = true;
    supervisor->outcome->cause = cause;
    supervisor->outcome->status = status;
    event_loop_stop(supervisor->loop);
}

static int send_signal(struct supervisor *supervisor, int number)
{
    struct {
        struct run_header header;
        struct run_signal signal;
    } record = {
        { RUN_SIGNAL, sizeof(struct run_signal) }, { (uint32_t)number },
    };

    /* A paused job would not end; others wait, as they do for a process that is stopped. */
    if (number != SIGUSR1 && number != SIGUSR2)
        orders_go_on(supervisor->orders);
    return supervisor->control ? control_send(supervisor->control, &record, sizeof(record))
                               : -ENOTCONN;
}

void supervisor_stop_job(struct supervisor *supervisor, enum cause cause)
{
    if (supervisor->stop_cause != CAUSE_COUNT || supervisor->phase >= PHASE_ENDED)
        return;
    supervisor->stop_cause = cause;
    if (supervisor->phase != PHASE_RUNNING || send_signal(supervisor, supervisor->options->stop_signal) < 0) {
        /* The job has not begun: there is nobody to be gentle with. */
        supervisor_end(supervisor, cause, supervisor_stop_status(cause));
        return;
    }
    supervisor->alarm = ALARM_GRACE;
    timer_set(&supervisor->clock, GRACE_MS);
}

static void clock_rang(void *context)
{
    struct supervisor *supervisor = context;

    switch (supervisor->alarm) {
    case ALARM_TIMEOUT:
        if (supervisor->phase == PHASE_ENDED) {
            /* In time, says the guest; but its streams, in a VM that may be paused, have to end some day, too. */
            orders_go_on(supervisor->orders);
            supervisor->alarm = ALARM_LAST;
            timer_set(&supervisor->clock, EXIT_REASON_MS);
            break;
        }
        log_warn(supervisor->options->log, "%s: ran longer than --timeout allows; it is ended",
                 supervisor->options->command);
        supervisor_stop_job(supervisor, CAUSE_TIMEOUT);
        break;
    case ALARM_GRACE:
        send_signal(supervisor, SIGKILL);
        supervisor->alarm = ALARM_LAST;
        timer_set(&supervisor->clock, EXIT_REASON_MS);
        break;
    case ALARM_LAST:
        if (supervisor->stop_cause == CAUSE_COUNT)
            supervisor->stop_cause = CAUSE_TIMEOUT;
        supervisor_end(supervisor, supervisor->stop_cause,
                       supervisor_stop_status(supervisor->stop_cause));
        break;
    case ALARM_OUTPUT:
        supervisor_complain(supervisor, "--output: /output took longer than %u s to come "
                  "back; write less", OUTPUT_MS / 1000);
        supervisor->failed = true;
        supervisor_conclude(supervisor);
        break;
    }
}

void supervisor_await_output(struct supervisor *supervisor)
{
    orders_go_on(supervisor->orders); /* it may have been paused as its job ended */
    supervisor->alarm = ALARM_OUTPUT;
    timer_set(&supervisor->clock, OUTPUT_MS);
}

/* ---- what comes from the guest -------------------------------------------- */

/* Its process did what that of a sound VM never does. */
static void kill_broken_vm(struct supervisor *supervisor, const char *what)
{
    supervisor->broken = what;
    vm_process_kill(&supervisor->vm);
}

/* Each is work for this process, outside of the VM's limits, whether anybody wants it or not. */
static bool is_flood(struct supervisor *supervisor)
{
    uint64_t now = supervisor_now_ms();

    if (now - supervisor->handoffs_since >= 1000) {
        supervisor->handoffs_since = now;
        supervisor->handoffs = 0;
    }
    return ++supervisor->handoffs > HANDOFFS_IN_A_SECOND;
}

static void connection_arrived(struct supervisor *supervisor, int fd, uint32_t port)
{
    if (!supervisor_accept(supervisor, fd, port))
        close(fd);
}

void supervisor_take_connections(struct supervisor *supervisor)
{
    uint32_t port;

    for (unsigned int i = 0; i < HANDOFFS_PER_EVENT && !supervisor->over; i++) {
        int fd = socket_handoff_receive(supervisor->vm.handoff, &port);

        if (fd == -EAGAIN)
            return;
        if (fd < 0) { /* SIGCHLD tells the rest */
            event_loop_remove(supervisor->loop, supervisor->vm.handoff);
            if (fd == -EPROTO)
                kill_broken_vm(supervisor, "handed over what is no connection");
            return;
        }
        if (is_flood(supervisor)) {
            close(fd);
            event_loop_remove(supervisor->loop, supervisor->vm.handoff);
            kill_broken_vm(supervisor, "handed over connections without end");
            return;
        }
        connection_arrived(supervisor, fd, port);
    }
}

static void handoff_ready(void *context, uint32_t events)
{
    (void)events;
    supervisor_take_connections(context);
}

static void console_written(void *context)
{
    kept_output_wrote(&((struct supervisor *)context)->kept, KEPT_STDERR, STDERR_FILENO);
}

/* What is in the pipe when the VM has ended. */
static void drain_console(struct supervisor *supervisor)
{
    console_show_drain(&supervisor->console, LAST_CONSOLE_MS);
    if (supervisor->console.failed)
        supervisor->failed = true;
}

static void vm_ended(struct supervisor *supervisor)
{
    bool fault;

    drain_console(supervisor);
    if (warm_starts_anew(supervisor))
        return;
    if (supervisor->broken)
        supervisor_complain(supervisor, "the VM's process %s and was killed; its guest may have broken into it: "
                            "report it", supervisor->broken);
    else if (supervisor->vm.status < 0 || supervisor->vm.status == STATUS_FAILED)
        supervisor_complain(supervisor, "%s", supervisor->vm.error.message);
    else
        supervisor_complain(supervisor, "the guest's kernel %s before the job had ended%s%s; "
                  "--verbose shows its messages",
                  supervisor->vm.status == STATUS_PANIC ? "panicked" : "ended",
                  supervisor->tail.line[0] ? ", with the words " : "", supervisor->tail.line);
    fault = supervisor->vm.status < 0 || supervisor->vm.status == STATUS_FAILED;
    supervisor_end(supervisor, fault ? CAUSE_VMM_FAULT : CAUSE_GUEST_PANIC, STATUS_FAILED);
}

/* ---- signals -------------------------------------------------------------- */

static void look_at_vm(struct supervisor *supervisor);

static void farewell_ended(void *context)
{
    look_at_vm(context);
}

/* There is a clock for it only then; without one there is no mercy. */
static void expect_end(struct supervisor *supervisor)
{
    struct error error = ERROR_INIT;

    if (supervisor->farewell.fd < 0 &&
        timer_open(&supervisor->farewell, supervisor->loop, farewell_ended, supervisor, &error) < 0)
        vm_process_kill(&supervisor->vm);
    timer_set(&supervisor->farewell, SANDBOX_ENDS_MS + 1);
}

/* Never waits: a VM's process that its guest has broken into may say its last words and live on. */
static void look_at_vm(struct supervisor *supervisor)
{
    int end_fd = vm_process_end_fd(&supervisor->vm);

    if (supervisor->over)
        return;
    switch (vm_process_look(&supervisor->vm)) {
    case SANDBOX_RUNS:
        break;
    case SANDBOX_ENDS:
        expect_end(supervisor);
        break;
    case SANDBOX_ENDED:
        timer_close(&supervisor->farewell);
        event_loop_remove(supervisor->loop, end_fd);
        vm_ended(supervisor);
        break;
    }
}

/* Once: the rest is for the timer, or SIGCHLD. */
static void vm_spoke(void *context, uint32_t events)
{
    struct supervisor *supervisor = context;

    (void)events;
    event_loop_remove(supervisor->loop, vm_process_end_fd(&supervisor->vm));
    look_at_vm(supervisor);
}

static void children_changed(struct supervisor *supervisor)
{
    output_check(supervisor);
    look_at_vm(supervisor);
}

static bool has_terminal(void)
{
    cleanup_fd int fd = open("/dev/tty", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    return fd >= 0;
}

/* NUMBER is SIGTERM for a job that is told to stop, which gets its own. */
static void user_signalled(struct supervisor *supervisor, int number, int for_job)
{
    bool ends = number == SIGINT || number == SIGTERM || number == SIGQUIT;

    if (ends)
        supervisor->ends_wanted++;
    if (supervisor->over) { /* all that is left is the template */
        if (ends || number == SIGHUP)
            warm_hurry(supervisor);
        return;
    }
    /* Who asks for the third time means us and not the job. */
    if (supervisor->phase != PHASE_RUNNING || supervisor->ends_wanted >= 3) {
        if (ends || number == SIGHUP)
            supervisor_end(supervisor, CAUSE_SIGNALLED, STATUS_SIGNAL + number);
        return;
    }
    send_signal(supervisor, for_job);
    /* The terminal went away, and with it whoever could find the job, which may not mind SIGHUP. */
    if (number == SIGHUP && supervisor->has_terminal && !has_terminal())
        supervisor_stop_job(supervisor, CAUSE_SIGNALLED);
}

static void told_to_stop(void *context)
{
    struct supervisor *supervisor = context;

    user_signalled(supervisor, SIGTERM, supervisor->options->stop_signal);
}

static void signal_arrived(void *context, int number)
{
    if (number == SIGCHLD)
        children_changed(context);
    else if (number == SIGNALS_STOP)
        told_to_stop(context);
    else if (number == SIGWINCH)
        supervisor_send_window(context);
    else
        user_signalled(context, number, number);
}

static int open_signals(struct supervisor *supervisor, struct error *error)
{
    static const int numbers[] = {
        SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD,
    };

    supervisor->signals.arrived = signal_arrived;
    supervisor->signals.context = supervisor;
    supervisor->signals.tells_stop = true;
    /* A child that is waited for is not to be reaped by the kernel; a pipe that nobody reads is
     * an error to handle. */
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    return signals_open(&supervisor->signals, supervisor->loop, numbers, ARRAY_LENGTH(numbers), false,
                        error);
}

/* ---- all together --------------------------------------------------------- */

int supervisor_watch(struct supervisor *supervisor, int fd, event_handler handler,
                     struct error *error)
{
    struct event_source source = {
        .fd = fd, .events = EPOLLIN, .handler = handler, .context = supervisor,
    };
    int result = event_loop_add(supervisor->loop, &source);

    return result < 0 ? error_system(error, -result, "the job") : 0;
}

/* The job is secret as well: the VM's process may be about to save its memory as a template. */
static void leave(void *context)
{
    struct supervisor *supervisor = context;
    const struct supervisor_options *options = supervisor->options;

    event_loop_destroy(supervisor->loop);
    close(supervisor->signals.fd);
    close(supervisor->clock.fd);
    cleanup_close(&supervisor->farewell.fd);
    warm_leave(supervisor);
    if (options->started_fd >= 0)
        close(options->started_fd);
    orders_close(supervisor->orders);
    kept_output_close(&supervisor->kept);
    explicit_bzero(options->job, options->job_length);
}

/* A flood of messages would have this process work for it, outside of the VM's limits. */
static void kill_sender(struct supervisor *supervisor)
{
    kill_broken_vm(supervisor, "sent what nobody asked for");
    event_loop_remove(supervisor->loop, supervisor->vm.channel);
    orders_channel(supervisor->orders, -1, NULL);
}

/* Whether it was asked for. */
static bool take_message(struct supervisor *supervisor, const struct message *message)
{
    if (message->header.type != MESSAGE_ANSWER)
        return false;
    if (supervisor->phase != PHASE_SAVING)
        return orders_answered(supervisor->orders, message);
    warm_answered(supervisor, &message->answer);
    return true;
}

/* Its end is told by SIGCHLD; until then it answers nobody who waits. */
static void message_came(void *context, uint32_t events)
{
    struct supervisor *supervisor = context;
    struct message message;
    int result = message_receive(supervisor->vm.channel, FROM_MONITOR, &message, NULL, MSG_DONTWAIT);

    (void)events;
    if (result == -EAGAIN)
        return;
    if (result == -EPROTO || (result == 1 && !take_message(supervisor, &message) && ++supervisor->unasked == UNASKED_MAX)) {
        kill_sender(supervisor);
    } else if (result != 1) {
        event_loop_remove(supervisor->loop, supervisor->vm.channel);
        orders_channel(supervisor->orders, -1, NULL);
    }
}

int supervisor_start_vm(struct supervisor *supervisor, struct error *error)
{
    const struct supervisor_options *options = supervisor->options;
    struct vm_owner owner = { .leave = leave, .context = supervisor };
    bool ordered = warm_begin(supervisor) || supervisor->orders;
    int result;

    supervisor->phase = PHASE_WAITING;
    supervisor->unasked = supervisor->handoffs = 0;
    supervisor->broken = NULL;
    if ((result = vm_process_start(&supervisor->vm, options->config, ordered, &owner,
                                   options->sandbox, options->log, options->timeline, error)) < 0 ||
        (ordered &&
         (result = supervisor_watch(supervisor, supervisor->vm.channel, message_came, error)) < 0) ||
        (result = supervisor_watch(supervisor, vm_process_end_fd(&supervisor->vm), vm_spoke, error)) < 0 ||
        (result = supervisor_watch(supervisor, supervisor->vm.handoff, handoff_ready, error)) < 0 ||
        (result = console_show_open(&supervisor->console, supervisor->loop, supervisor->vm.console,
                                    &supervisor->tail, options->verbose, STDERR_FILENO, error)) < 0)
        return result;
    if (supervisor->kept.limit > 0)
        supervisor->console.wrote = console_written;
    supervisor->console.context = supervisor;
    return warm_started(supervisor, error);
}

void supervisor_close_vm(struct supervisor *supervisor)
{
    event_loop_remove(supervisor->loop, supervisor->vm.handoff);
    console_show_close(&supervisor->console);
    event_loop_remove(supervisor->loop, supervisor->vm.channel);
    event_loop_remove(supervisor->loop, vm_process_end_fd(&supervisor->vm));
    control_destroy(supervisor->control);
    supervisor->control = NULL;
    vm_process_close(&supervisor->vm, supervisor->options->config);
}

static int open_orders(struct supervisor *supervisor, struct error *error)
{
    const struct supervisor_options *options = supervisor->options;
    struct orders_owner owner = {
        .vm = options->config, .entry = options->entry, .is_job = true,
        .stop = told_to_stop, .context = supervisor,
    };

    return options->entry ? orders_create(&supervisor->orders, &owner, supervisor->loop, error) : 0;
}

static int start(struct supervisor *supervisor, struct error *error)
{
    const struct supervisor_options *options = supervisor->options;
    int result;

    if ((result = log_share(options->log, error)) < 0 ||
        (result = event_loop_create(&supervisor->loop, error)) < 0 ||
        (result = open_signals(supervisor, error)) < 0 ||
        (options->log_limit > 0 &&
         (result = kept_output_open(&supervisor->kept, options->entry, options->log_limit, error)) < 0) ||
        (result = open_orders(supervisor, error)) < 0 ||
        (result = timer_open(&supervisor->clock, supervisor->loop, clock_rang, supervisor, error)) < 0 ||
        (result = supervisor_start_vm(supervisor, error)) < 0)
        return result;
    supervisor->has_terminal = has_terminal();
    supervisor->alarm = ALARM_TIMEOUT;
    if (options->timeout_ms > 0)
        timer_set(&supervisor->clock, options->timeout_ms);
    return supervisor_open_terminal(supervisor, error);
}

static void close_all(struct supervisor *supervisor)
{
    orders_channel(supervisor->orders, -1, NULL);
    orders_destroy(supervisor->orders);
    supervisor->orders = NULL; /* the loop runs once more, below */
    if (supervisor->loop)
        supervisor_close_vm(supervisor);
    supervisor_close_streams(supervisor);
    warm_finish(supervisor);
    warm_close(supervisor);
    kept_output_close(&supervisor->kept);
    timer_close(&supervisor->clock);
    timer_close(&supervisor->farewell);
    signals_close(&supervisor->signals);
    event_loop_destroy(supervisor->loop);
}

int supervise(const struct supervisor_options *options, struct outcome *outcome,
              struct error *error)
{
    struct supervisor supervisor = {
        .options = options, .outcome = outcome, .signals = SIGNALS_INIT, .clock = TIMER_INIT,
        .patience = TIMER_INIT, .farewell = TIMER_INIT, .console = CONSOLE_SHOW_INIT, .kept = KEPT_OUTPUT_INIT, .vm = VM_PROCESS_INIT, .keeping = BACKGROUND_TASK_INIT, .stop_cause = CAUSE_COUNT,
    };
    uint64_t begin = supervisor_now_ms();
    int result;

    *outcome = (struct outcome){ .cause = CAUSE_VMM_FAULT, .status = STATUS_FAILED };
    result = start(&supervisor, error);
    if (result == 0)
        result = event_loop_run(supervisor.loop, error);
    outcome->wall_ms = supervisor_now_ms() - begin;
    if (supervisor.loop)
        event_loop_remove(supervisor.loop, vm_process_end_fd(&supervisor.vm));
    vm_process_end(&supervisor.vm);
    drain_console(&supervisor);
    close_all(&supervisor);
    log_tell_left_out(options->log);
    timeline_mark(options->timeline, "VM destroyed");
    if (result == 0 && supervisor.failed)
        outcome->status = STATUS_FAILED;
    return result;
}
