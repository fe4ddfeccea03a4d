/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/exit_status.h"
#include "vmm/base/fault_signals.h"
#include "vmm/base/timer.h"
#include "vmm/monitor/protocol.h"
#include "vmm/monitor/vm.h"

/* A kernel that boots comes to its console within a second; an emulated one within ten. */
#define SILENCE_MS 20000

struct monitor {
    const struct monitor_options *options;
    int channel;
    struct vm_host host;
    struct vm *vm;
    struct timer silence; /* rings when a guest has had time to come to its console */
};

/* ---- the supervisor --------------------------------------------------------- */

static void request_arrived(void *context, uint32_t events)
{
    struct monitor *monitor = context;
    struct message request;
    int fds[MESSAGE_FDS_MAX];
    int result = message_receive(monitor->channel, FROM_SUPERVISOR, &request, fds, MSG_DONTWAIT);

    (void)events;
    if (result == 1)
        handle_request(monitor->vm, monitor->channel, &request, fds);
    else if (result != -EAGAIN)
        vm_stop(monitor->vm, "signal"); /* the supervisor is gone */
}

/* A supervisor that does not hear it sees the end of the process. */
static int send_event(const struct monitor *monitor, enum message_type type)
{
    struct message event = { .header.type = type };

    return message_send(monitor->channel, &event, NULL, 0, 0);
}

static int watch_channel(struct monitor *monitor, struct error *error)
{
    struct event_source source = {
        .fd = monitor->channel, .events = EPOLLIN, .handler = request_arrived, .context = monitor,
    };
    int result = event_loop_add(monitor->host.loop, &source);

    return result < 0 ? error_system(error, -result, "the VM's process") : 0;
}

static void report_exit(const struct monitor *monitor, const struct vm_end *end, const struct error *error)
{
    struct message event = {
        .header.type = EVENT_EXITED,
        .exited = {
            .end = (uint32_t)end->kind, .error_number = error->number, .timeline = *monitor->options->timeline,
        },
    };

    snprintf(event.exited.how, sizeof(event.exited.how), "%s", end->how ? end->how : "");
    memcpy(event.exited.message, error->message, sizeof(error->message));
    message_send(monitor->channel, &event, NULL, 0, 0);
}

/* ---- the console ------------------------------------------------------------ */

static bool has_terminal(const struct monitor *monitor)
{
    const struct terminal *terminal = monitor->options->console.terminal;

    return terminal && terminal_is_ours(terminal);
}

/* Ctrl-A x. */
static void escape(void *context)
{
    vm_stop(((struct monitor *)context)->vm, "Ctrl-A x");
}

/* The terminal becomes raw only now that the VM stands: before, messages went to it. */
static void await_terminal(struct monitor *monitor)
{
    struct message request = { .header.type = REQUEST_STOP };
    int fds[MESSAGE_FDS_MAX];

    if (!has_terminal(monitor) || send_event(monitor, EVENT_TERMINAL_WANTED) < 0)
        return;
    do {
        if (message_receive(monitor->channel, FROM_SUPERVISOR, &request, fds, 0) != 1)
            break;
        handle_request(monitor->vm, monitor->channel, &request, fds);
    } while (request.header.type != REQUEST_TERMINAL_READY && request.header.type != REQUEST_STOP);
    atomic_store(&monitor->host.log->raw_terminal, isatty(monitor->host.log->fd));
}

static int open_console(struct monitor *monitor, struct error *error)
{
    const struct monitor_console *wanted = &monitor->options->console;
    struct console_options options = {
        .input_fd = wanted->input_fd, .output_fd = wanted->output_fd, .log = monitor->host.log,
        .output_limit = wanted->output_limit,
    };

    if (monitor->options->config->console == CONSOLE_NONE)
        return 0;
    if (has_terminal(monitor)) {
        terminal_on_quit(wanted->terminal, escape, monitor);
        terminal_open_screen(wanted->terminal);
        options.filter = terminal_filter;
        options.filter_context = wanted->terminal;
    }
    return console_create(&monitor->host.console, &options, error);
}

static int drain_console(const struct monitor *monitor, struct error *error)
{
    const struct monitor_console *console = &monitor->options->console;

    if (!monitor->host.console)
        return 0;
    return console_drain(monitor->host.console, console->drain_ms, console->tail_matters ? error : &(struct error)ERROR_INIT);
}

/*
 * A guest that knows nothing of its machine does nothing and looks dead.  One that
 * is only quiet has come to its console all the same: its driver looks at the device,
 * so that a "quiet" on the command line is no reason for a false alarm.
 */
static void silence_rang(void *context)
{
    const struct monitor *monitor = context;

    if (vm_is_paused(monitor->vm))
        timer_set(&monitor->silence, SILENCE_MS);
    else if (!vm_console_is_driven(monitor->vm))
        log_warn(monitor->host.log, "the guest has not come to its console in %d s; its kernel may lack "
                 "that console's driver or what tells it of the machine: try another --describe, "
                 "or --console", SILENCE_MS / 1000);
}

/* Before the jail, in which no timer can be had.  A restored guest has its console. */
static int watch_silence(struct monitor *monitor, struct error *error)
{
    const struct vm_config *config = monitor->options->config;
    int result;

    if (!monitor->host.console || !config->console_matters || config->snapshot)
        return 0;
    result = timer_open(&monitor->silence, monitor->host.loop, silence_rang, monitor, error);
    if (result == 0)
        timer_set(&monitor->silence, SILENCE_MS);
    return result;
}

/* ---- its life --------------------------------------------------------------- */

static int run(struct monitor *monitor, struct vm_end *end, struct error *error)
{
    int result;

    if ((result = event_loop_create(&monitor->host.loop, error)) < 0 ||
        (result = open_console(monitor, error)) < 0 ||
        (result = watch_silence(monitor, error)) < 0 ||
        (result = vm_create(&monitor->vm, monitor->options->config, &monitor->host, error)) < 0)
        return result;
    if (monitor->options->reports_start)
        send_event(monitor, EVENT_STARTED);
    await_terminal(monitor);
    result = watch_channel(monitor, error);
    if (result == 0)
        result = vm_run(monitor->vm, end, error);
    timer_close(&monitor->silence);
    vm_destroy(monitor->vm);
    timeline_mark(monitor->host.timeline, "VM destroyed");
    return result == 0 ? drain_console(monitor, error) : result;
}

_Noreturn void monitor_main(const struct monitor_options *options, struct sandbox *sandbox, int channel)
{
    struct monitor monitor = {
        .options = options, .channel = channel, .silence = TIMER_INIT,
        .host = { .log = options->log, .timeline = options->timeline, .sandbox = sandbox },
    };
    struct vm_end end = { .kind = VM_RUNNING };
    struct error error = ERROR_INIT;
    sigset_t set;

    options->log->patience_ms = 0; /* that of a supervisor */
    if (options->handoff >= 0)
        sandbox_hands_over(sandbox, options->handoff);
    /* Signals are the supervisor's, even those that go to the whole job. */
    fill_but_faults(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    run(&monitor, &end, &error);
    report_exit(&monitor, &end, &error);
    _exit(error.number ? STATUS_FAILED : STATUS_OK);
}
