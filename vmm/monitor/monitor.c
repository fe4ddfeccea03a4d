/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's side of `mote boot`: one VM, then a report. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "vmm/monitor/monitor.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"
#include "vmm/monitor/protocol.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/fault_signals.h"
#include "vmm/monitor/vm.h"

/* How long output may take to leave at the end: a reader that stopped reading
 * must not keep the monitor. */
#define DRAIN_TIMEOUT_MS 2000

/* A kernel that boots comes to its console within a second; an emulated one within ten. */
#define SILENCE_MS 20000

void boot_escape(void *context)
{
    vm_stop(((struct boot_monitor *)context)->vm, "Ctrl-A x");
}

static void request_arrived(void *context, uint32_t events)
{
    struct boot_monitor *monitor = context;
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
static int send_event(const struct boot_monitor *monitor, enum message_type type)
{
    struct message event = { .header.type = type };

    return message_send(monitor->channel, &event, NULL, 0, 0);
}

/* The terminal becomes raw only now that the VM stands: before, messages went to it. */
static void await_terminal(struct boot_monitor *monitor)
{
    struct message request = { .header.type = REQUEST_STOP };
    int fds[MESSAGE_FDS_MAX];

    if (!monitor->terminal || !terminal_is_ours(monitor->terminal))
        return;
    if (send_event(monitor, EVENT_TERMINAL_WANTED) < 0)
        return;
    do {
        if (message_receive(monitor->channel, FROM_SUPERVISOR, &request, fds, 0) != 1)
            break;
        handle_request(monitor->vm, monitor->channel, &request, fds);
    } while (request.header.type != REQUEST_TERMINAL_READY && request.header.type != REQUEST_STOP);
    atomic_store(&monitor->log->raw_terminal, isatty(monitor->log->fd));
}

static int watch_channel(struct boot_monitor *monitor, struct event_loop *loop,
                         struct error *error)
{
    struct event_source source = {
        .fd = monitor->channel, .events = EPOLLIN, .handler = request_arrived, .context = monitor,
    };
    int result = event_loop_add(loop, &source);

    return result < 0 ? error_system(error, -result, "the VM's process") : 0;
}

static int open_console(const struct boot_monitor *monitor, struct vm_host *host,
                        struct error *error)
{
    struct console_options options = {
        .input_fd = STDIN_FILENO, .output_fd = STDOUT_FILENO, .log = monitor->log,
        .output_limit = monitor->output_limit,
    };

    if (monitor->config->console == CONSOLE_NONE)
        return 0;
    if (terminal_is_ours(monitor->terminal)) {
        terminal_open_screen(monitor->terminal);
        options.filter = terminal_filter;
        options.filter_context = monitor->terminal;
    }
    return console_create(&host->console, &options, error);
}

/*
 * A guest that knows nothing of its machine stands still and looks dead.  One that
 * is only quiet has come to its console all the same: its driver looks at the device,
 * so that a "quiet" on the command line is no reason for a false alarm.
 */
static void silence_rang(void *context)
{
    const struct boot_monitor *monitor = context;

    if (vm_is_paused(monitor->vm))
        timer_set(&monitor->silence, SILENCE_MS);
    else if (!vm_console_is_driven(monitor->vm))
        log_warn(monitor->log, "the guest has not come to its console in %d s; its kernel may lack "
                 "that console's driver or what tells it of the machine: try another --describe, "
                 "or --console", SILENCE_MS / 1000);
}

/* Before the jail, in which no timer can be had.  A restored guest has its console. */
static int watch_silence(struct boot_monitor *monitor, const struct vm_host *host,
                         struct error *error)
{
    int result;

    if (!host->console || monitor->config->snapshot)
        return 0;
    result = timer_open(&monitor->silence, host->loop, silence_rang, monitor, error);
    if (result == 0)
        timer_set(&monitor->silence, SILENCE_MS);
    return result;
}

static int run(struct boot_monitor *monitor, struct vm_host *host, struct vm_end *end,
               struct error *error)
{
    int result;

    if ((result = event_loop_create(&host->loop, error)) < 0 ||
        (result = open_console(monitor, host, error)) < 0 ||
        (result = watch_silence(monitor, host, error)) < 0 ||
        (result = vm_create(&monitor->vm, monitor->config, host, error)) < 0)
        return result;
    if (monitor->tells_start)
        send_event(monitor, EVENT_STARTED);
    await_terminal(monitor);
    result = watch_channel(monitor, host->loop, error);
    if (result == 0)
        result = vm_run(monitor->vm, end, error);
    timer_close(&monitor->silence);
    vm_destroy(monitor->vm);
    timeline_mark(monitor->timeline, "VM destroyed");
    if (result == 0 && host->console)
        result = console_drain(host->console, DRAIN_TIMEOUT_MS, error);
    return result;
}

static void report(const struct boot_monitor *monitor, const struct vm_end *end,
                   const struct error *error)
{
    struct message event = {
        .header.type = EVENT_EXITED,
        .exited = {
            .end = (uint32_t)end->kind, .error_number = error->number, .timeline = *monitor->timeline,
        },
    };

    snprintf(event.exited.how, sizeof(event.exited.how), "%s", end->how ? end->how : "");
    memcpy(event.exited.message, error->message, sizeof(error->message));
    message_send(monitor->channel, &event, NULL, 0, 0);
}

_Noreturn void boot_monitor(struct boot_monitor *monitor)
{
    struct vm_host host = {
        .log = monitor->log, .timeline = monitor->timeline, .sandbox = monitor->sandbox,
    };
    struct vm_end end = { .kind = VM_RUNNING };
    struct error error = ERROR_INIT;
    sigset_t set;

    monitor->log->patience_ms = 0; /* that of a supervisor */
    /* Signals are the supervisor's, even those that go to the whole job. */
    fill_but_faults(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    run(monitor, &host, &end, &error);
    report(monitor, &end, &error);
    _exit(error.number ? STATUS_FAILED : STATUS_OK);
}
