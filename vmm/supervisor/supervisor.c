/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side of `mote boot`: the terminal, the signals and the verdict. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/registry.h"
#include "vmm/supervisor/boot.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"
#include "vmm/supervisor/orders.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/signals.h"
#include "vmm/base/timer.h"
#include "vmm/monitor/protocol.h"
#include "vmm/monitor/vm.h"

/* More than the monitor takes for its last output. */
#define PATIENCE_SECONDS 5
/* Messages of the monitor's that nobody asked for: one may come too late, a dozen come from an attacker. */
#define UNASKED_MAX 16

struct supervisor {
    struct boot_monitor monitor; /* what the child gets */
    struct boot_config *config;
    struct log *log;
    struct event_loop *loop;
    struct terminal *terminal;
    struct sandbox *sandbox;
    struct signals signals;
    struct timer patience;
    struct timer farewell; /* from the monitor's last words to its end */
    int channel;
    int signal; /* that ended the VM, 0 for none */
    bool told_to_stop; /* by the control socket */
    bool overdue;
    bool broken; /* the monitor: it was killed for what it sent */
    bool ended; /* its process, and the loop was told */
    bool readied, ran, reported; /* what the monitor says once each */
    unsigned int unasked;
    struct event_exited report;
    struct orders *orders; /* NULL for a VM without a name */
};

/* ---- signals -------------------------------------------------------------- */

/* A monitor that does not read is ended by the timer. */
static void request(const struct supervisor *supervisor, struct message message)
{
    message_send(supervisor->channel, &message, NULL, 0, MSG_DONTWAIT);
}

static void end_soon(struct supervisor *supervisor, enum stop_origin origin)
{
    request(supervisor, (struct message){ .header.type = REQUEST_STOP, .stop.origin = origin });
    timer_set(&supervisor->patience, PATIENCE_SECONDS * 1000);
}

/* Disks and the terminal may have another size. */
static void refresh(const struct supervisor *supervisor)
{
    sandbox_files_grew(supervisor->sandbox);
    request(supervisor, (struct message){ .header.type = REQUEST_REFRESH });
}

static void stop(struct supervisor *supervisor, int signal)
{
    supervisor->signal = signal;
    orders_abandon(supervisor->orders);
    end_soon(supervisor, STOP_BY_SIGNAL);
}

static void told_to_stop(void *context)
{
    struct supervisor *supervisor = context;

    supervisor->told_to_stop = true;
    orders_abandon(supervisor->orders);
    end_soon(supervisor, STOP_BY_CONTROL_SOCKET);
}

/* Ctrl-Z: the monitor, deaf to it, stands still as long as we do. */
static void suspend(struct supervisor *supervisor)
{
    sandbox_signal(supervisor->sandbox, SIGSTOP);
    raise(SIGSTOP);
    sandbox_signal(supervisor->sandbox, SIGCONT);
}

static void look_at_monitor(struct supervisor *supervisor);

static void signal_arrived(void *context, int number)
{
    struct supervisor *supervisor = context;

    if (number == SIGCHLD)
        look_at_monitor(supervisor);
    else if (number == SIGTSTP)
        suspend(supervisor);
    else if (number == SIGWINCH || (number == SIGHUP && supervisor->config->detached))
        refresh(supervisor);
    else
        stop(supervisor, number);
}

static void patience_ended(void *context)
{
    struct supervisor *supervisor = context;

    supervisor->overdue = true;
    sandbox_signal(supervisor->sandbox, SIGKILL);
}

static int watch_signals(struct supervisor *supervisor, struct error *error)
{
    static const int wanted[] = { SIGINT, SIGTERM, SIGQUIT, SIGTSTP, SIGWINCH, SIGCHLD };
    int result;

    signal(SIGCHLD, SIG_DFL); /* a child that is waited for is not to be reaped by the kernel */

    supervisor->signals.arrived = signal_arrived;
    supervisor->signals.context = supervisor;
    /* One that is detached has no terminal that could go away. */
    result = signals_open(&supervisor->signals, supervisor->loop, wanted, ARRAY_LENGTH(wanted),
                          supervisor->config->detached, error);
    if (result == 0)
        result = timer_open(&supervisor->patience, supervisor->loop, patience_ended, supervisor,
                            error);
    return result;
}

/* ---- the monitor ---------------------------------------------------------- */

static int watch(struct supervisor *supervisor, int fd, event_handler handler,
                 struct error *error)
{
    struct event_source source = {
        .fd = fd, .events = EPOLLIN, .handler = handler, .context = supervisor,
    };
    int result = event_loop_add(supervisor->loop, &source);

    return result < 0 ? error_system(error, -result, "event loop") : 0;
}

/* Each of these returns whether it was due. */
static bool take_report(struct supervisor *supervisor, const struct event_exited *report)
{
    bool first = !supervisor->reported;

    supervisor->report = *report;
    supervisor->reported = true;
    return first;
}

static bool tell_start(struct supervisor *supervisor)
{
    int *fd = &supervisor->config->started_fd;
    bool first = !supervisor->ran;

    supervisor->ran = true;
    if (*fd >= 0 && send(*fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        log_debug(supervisor->log, "nobody waits any more for the VM to run");
    cleanup_close(fd);
    *fd = -1;
    return first;
}

static bool prepare_terminal(struct supervisor *supervisor)
{
    if (!supervisor->terminal || supervisor->readied)
        return false;
    supervisor->readied = true;
    terminal_raw(supervisor->terminal);
    request(supervisor, (struct message){ .header.type = REQUEST_TERMINAL_READY });
    return true;
}

static bool take_message(struct supervisor *supervisor, const struct message *message)
{
    switch (message->header.type) {
    case MESSAGE_ANSWER:
        return orders_answered(supervisor->orders, message);
    case EVENT_TERMINAL_WANTED:
        return prepare_terminal(supervisor);
    case EVENT_STARTED:
        return tell_start(supervisor);
    case EVENT_EXITED:
        return take_report(supervisor, &message->exited);
    default:
        return false;
    }
}

static void kill_broken(struct supervisor *supervisor)
{
    supervisor->broken = true;
    sandbox_signal(supervisor->sandbox, SIGKILL);
    event_loop_remove(supervisor->loop, supervisor->channel);
    orders_channel(supervisor->orders, -1, NULL);
}

static void message_arrived(void *context, uint32_t events)
{
    struct supervisor *supervisor = context;
    struct message message;
    int result = message_receive(supervisor->channel, FROM_MONITOR, &message, NULL, MSG_DONTWAIT);

    (void)events;
    if (result == -EAGAIN)
        return;
    /* A flood of what nobody asked for would have this process work for it, outside of the VM's limits. */
    if (result == -EPROTO || (result == 1 && !take_message(supervisor, &message) && ++supervisor->unasked == UNASKED_MAX)) {
        kill_broken(supervisor);
    } else if (result != 1) {
        /* Its end is told by the sandbox; until then it answers nobody who waits. */
        event_loop_remove(supervisor->loop, supervisor->channel);
        orders_channel(supervisor->orders, -1, NULL);
    }
}

static void farewell_ended(void *context)
{
    look_at_monitor(context);
}

/* There is a clock for it only then; without one there is no mercy. */
static void expect_end(struct supervisor *supervisor)
{
    struct error error = ERROR_INIT;

    if (supervisor->farewell.fd < 0 &&
        timer_open(&supervisor->farewell, supervisor->loop, farewell_ended, supervisor, &error) < 0)
        sandbox_signal(supervisor->sandbox, SIGKILL);
    timer_set(&supervisor->farewell, SANDBOX_ENDS_MS + 1);
}

/* Never waits: a monitor that a guest has broken into may say its last words and live on. */
static void look_at_monitor(struct supervisor *supervisor)
{
    switch (sandbox_look(supervisor->sandbox)) {
    case SANDBOX_RUNS:
        break;
    case SANDBOX_ENDS:
        expect_end(supervisor);
        break;
    case SANDBOX_ENDED:
        /* Once: a second stop, as the loop ends, would wait in it for the restarted VM. */
        if (!supervisor->ended)
            event_loop_stop(supervisor->loop);
        supervisor->ended = true;
        break;
    }
}

static void monitor_spoke(void *context, uint32_t events)
{
    (void)events;
    look_at_monitor(context);
}

static int start_monitor(struct supervisor *supervisor, struct error *error)
{
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_system(error, errno, "the VM's process");
    pid = sandbox_fork(supervisor->sandbox, error);
    if (pid == 0) {
        supervisor->monitor.channel = ends[1];
        close(ends[0]);
        close(supervisor->signals.fd);
        close(supervisor->patience.fd);
        cleanup_close(&supervisor->farewell.fd);
        cleanup_close(&supervisor->config->started_fd);
        event_loop_destroy(supervisor->loop);
        orders_close(supervisor->orders);
        boot_monitor(&supervisor->monitor);
    }
    supervisor->channel = ends[0];
    close(ends[1]);
    if (pid >= 0)
        orders_channel(supervisor->orders, ends[0], supervisor->sandbox);
    return pid < 0 ? pid : 0;
}

static void close_channel(struct supervisor *supervisor)
{
    orders_channel(supervisor->orders, -1, NULL);
    event_loop_remove(supervisor->loop, supervisor->channel);
    cleanup_close(&supervisor->channel);
    supervisor->channel = -1;
}

/* Until the monitor's process has ended.  Returns its exit status. */
static int attend(struct supervisor *supervisor, struct error *error)
{
    int end_fd = sandbox_end_fd(supervisor->sandbox), result;

    if ((result = watch(supervisor, supervisor->channel, message_arrived, error)) < 0 ||
        (result = watch(supervisor, end_fd, monitor_spoke, error)) < 0 ||
        (result = event_loop_run(supervisor->loop, error)) < 0)
        return result;
    event_loop_remove(supervisor->loop, end_fd);
    timer_close(&supervisor->farewell);
    /* Its last message may have come in the same moment. */
    message_arrived(supervisor, 0);
    return sandbox_wait(supervisor->sandbox, error);
}

static int judge(struct supervisor *supervisor, int status, struct error *error)
{
    if (supervisor->overdue) {
        supervisor->report.end = VM_RUNNING;
        return error_set(error, ETIMEDOUT, "the VM did not end within %d s and was killed; see "
                         "what its disk or network waits for", PATIENCE_SECONDS);
    }
    if (supervisor->broken) {
        supervisor->report.end = VM_RUNNING;
        return error_set(error, EPROTO, "the VM's process sent what nobody asked for and was killed; its guest may have "
                         "broken into it: report it");
    }
    return boot_judge(supervisor->reported ? &supervisor->report : NULL, status, error);
}

/* One monitor, from what it needs of the host to its end. */
static int run_monitor(struct supervisor *supervisor, struct error *error)
{
    struct vm_config *vm = &supervisor->config->vm;
    int result = vm_config_open_host(vm, supervisor->loop, error);

    supervisor->readied = supervisor->ran = supervisor->reported = false;
    supervisor->unasked = 0;
    supervisor->ended = false;
    supervisor->report = (struct event_exited){ .end = VM_RUNNING };
    if (result == 0)
        result = start_monitor(supervisor, error);
    if (result == 0)
        result = judge(supervisor, attend(supervisor, error), error);
    close_channel(supervisor);
    vm_config_close_host(vm);
    return result;
}

/* ---- all of them ---------------------------------------------------------- */

/* A lost tail of output is an error, and its VM's end is told all the same. */
static int run_all(struct supervisor *supervisor, int *status, struct error *error)
{
    int result;

    for (;;) {
        result = run_monitor(supervisor, error);
        if (result < 0 || supervisor->report.end != VM_RESET || supervisor->signal ||
            supervisor->told_to_stop || supervisor->config->on_reboot == ON_REBOOT_EXIT)
            break;
        log_limited(supervisor->log, NULL, LOG_INFO, "the guest reset (%s): restarting it",
                    supervisor->report.how);
    }
    if (supervisor->config->on_reboot != ON_REBOOT_EXIT && (supervisor->signal || supervisor->told_to_stop))
        boot_take_stop(&supervisor->report);
    /* First of all: Ctrl-C is a signal again while a snapshot comes to its disk. */
    if (supervisor->terminal)
        terminal_restore(supervisor->terminal);
    if (result == 0)
        result = orders_end(supervisor->orders, error);
    log_tell_left_out(supervisor->log);
    if (supervisor->report.end != VM_RUNNING) {
        boot_tell_end(&supervisor->report, supervisor->signal, supervisor->log);
        *status = boot_status(&supervisor->report, supervisor->signal);
    }
    return result;
}

/* ---- life ----------------------------------------------------------------- */

/*
 * The soft limit is often 1024, for programs that use select(2): a thousand
 * connections of a guest need more.  Where this fails, they have to do with it.
 */
static void allow_many_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_orders(struct supervisor *supervisor, struct error *error)
{
    struct orders_owner owner = {
        .vm = &supervisor->config->vm,
        .entry = supervisor->config->entry,
        .stop = told_to_stop,
        .context = supervisor,
    };

    return orders_create(&supervisor->orders, &owner, supervisor->loop, error);
}

static int open_supervisor(struct supervisor *supervisor, struct error *error)
{
    int result;

    allow_many_files();
    if ((result = log_share(supervisor->log, error)) < 0 ||
        (result = event_loop_create(&supervisor->loop, error)) < 0 ||
        (result = watch_signals(supervisor, error)) < 0)
        return result;
    if (supervisor->config->vm.console != CONSOLE_NONE)
        result = terminal_create(&supervisor->terminal, STDIN_FILENO, supervisor->log, boot_escape,
                                 &supervisor->monitor, error);
    if (result == 0)
        result = sandbox_create(&supervisor->sandbox, &supervisor->config->sandbox,
                                supervisor->log, error);
    if (result == 0 && supervisor->config->entry)
        result = open_orders(supervisor, error);
    supervisor->monitor.terminal = supervisor->terminal;
    supervisor->monitor.sandbox = supervisor->sandbox;
    return result;
}

static void close_supervisor(struct supervisor *supervisor)
{
    orders_destroy(supervisor->orders);
    terminal_destroy(supervisor->terminal);
    sandbox_destroy(supervisor->sandbox);
    signals_close(&supervisor->signals);
    timer_close(&supervisor->patience);
    timer_close(&supervisor->farewell);
    event_loop_destroy(supervisor->loop);
    cleanup_close(&supervisor->channel);
}

int boot_supervise(struct boot_config *config, struct log *log, struct timeline *timeline,
                   int *status, struct error *error)
{
    struct supervisor supervisor = {
        .config = config,
        .log = log,
        .signals = SIGNALS_INIT,
        .patience = TIMER_INIT,
        .farewell = TIMER_INIT,
        .channel = -1,
        .monitor = {
            .config = &config->vm, .output_limit = config->output_limit,
            .tells_start = config->started_fd >= 0, .log = log, .timeline = timeline, .silence = TIMER_INIT,
        },
    };
    int result = open_supervisor(&supervisor, error);

    if (result == 0)
        result = run_all(&supervisor, status, error);
    if (supervisor.reported)
        *timeline = supervisor.report.timeline;
    close_supervisor(&supervisor);
    return result;
}
