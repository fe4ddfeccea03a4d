/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's side of `mote boot`: one VM, then a report. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "vmm/boot/boot.h"
#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/event_loop.h"
#include "vmm/fault_signals.h"
#include "vmm/vm.h"

/* How long output may take to leave at the end: a reader that stopped reading
 * must not keep the monitor. */
#define DRAIN_TIMEOUT_MS 2000

void boot_escape(void *context)
{
    vm_stop(((struct boot_monitor *)context)->vm, "Ctrl-A x");
}

static void obey(struct boot_monitor *monitor, char wish)
{
    if (wish == BOOT_REFRESH)
        vm_refresh(monitor->vm);
    else if (wish == BOOT_STOP)
        vm_stop(monitor->vm, "signal");
    else if (wish == BOOT_END)
        vm_stop(monitor->vm, "control socket");
}

/* ---- orders ---------------------------------------------------------------- */

static int save(struct boot_monitor *monitor, const struct boot_order *order, const int *fds,
                struct error *error)
{
    struct vm_snapshot_target target = {
        .state_fd = fds[0], .memory_fd = fds[1], .base_count = order->base_count,
    };
    bool was_paused = vm_is_paused(monitor->vm);
    int result;

    if (target.base_count > SNAPSHOT_CHAIN_MAX || fds[1 + target.base_count] < 0)
        return error_set(error, EBADF, "snapshot: the VM has as many files open as it may; have its "
                         "guest close connections");
    memcpy(target.id, order->id, sizeof(target.id));
    memcpy(target.base_fds, fds + 2, target.base_count * sizeof(*fds));
    memcpy(target.base_id, order->base_id, sizeof(target.base_id));
    /* Not an instruction after it, or the disks would be ahead of the snapshot. */
    if (order->stop)
        vm_pause(monitor->vm);
    result = vm_save(monitor->vm, &target, error);
    if (result < 0 && !was_paused)
        vm_resume(monitor->vm);
    return result;
}

static void close_all(int *fds)
{
    for (int i = 0; i < BOOT_ORDER_FDS; i++) {
        cleanup_close(&fds[i]);
        fds[i] = -1;
    }
}

static void carry_out(struct boot_monitor *monitor, const struct boot_order *order, int *fds)
{
    struct boot_answer answer = { .error_number = 0 };
    struct error error = ERROR_INIT;

    switch (order->kind) {
    case BOOT_ORDER_PAUSE:
        vm_pause(monitor->vm);
        break;
    case BOOT_ORDER_RESUME:
        vm_resume(monitor->vm);
        break;
    case BOOT_ORDER_SNAPSHOT:
        save(monitor, order, fds, &error);
        break;
    case BOOT_ORDER_BALLOON:
        vm_set_balloon(monitor->vm, order->target, &error);
        break;
    }
    /* Before the answer, upon which those in memory may be removed, and their room in the cgroup. */
    close_all(fds);
    answer.paused = vm_is_paused(monitor->vm);
    answer.error_number = error.number;
    memcpy(answer.message, error.message, sizeof(answer.message));
    send(monitor->channel, &answer, sizeof(answer), MSG_NOSIGNAL);
}

/* A message with its descriptors, -1 where there are none; what recvmsg() returned. */
static ssize_t receive(int channel, struct boot_order *order, int *fds)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(BOOT_ORDER_FDS * sizeof(int))];
    } control;
    struct iovec part = { .iov_base = order, .iov_len = sizeof(*order) };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof(control),
    };
    ssize_t length = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    for (int i = 0; i < BOOT_ORDER_FDS; i++)
        fds[i] = -1;
    /* There is room for the first of them alone where this process has as many open as it may. */
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len <= CMSG_LEN(BOOT_ORDER_FDS * sizeof(int)))
        memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    return length;
}

static void wish_arrived(void *context, uint32_t events)
{
    struct boot_monitor *monitor = context;
    struct boot_order order = { .kind = 0 };
    int fds[BOOT_ORDER_FDS];
    ssize_t length = receive(monitor->channel, &order, fds);
    char wish = BOOT_STOP; /* also where the supervisor is gone */

    (void)events;
    if (length == (ssize_t)sizeof(order)) {
        carry_out(monitor, &order, fds);
    } else if (length >= 0 || errno != EAGAIN) {
        if (length == 1)
            memcpy(&wish, &order, 1);
        obey(monitor, wish);
    }
    close_all(fds);
}

/* A supervisor that does not hear it sees the end of the process. */
static void tell_start(const struct boot_monitor *monitor)
{
    char word = BOOT_RUNS;

    if (monitor->config->started_fd >= 0)
        send(monitor->channel, &word, 1, MSG_NOSIGNAL);
}

/* The terminal becomes raw only now that the VM stands: before, messages went to it. */
static void await_terminal(struct boot_monitor *monitor)
{
    char message = BOOT_READY;

    if (!monitor->terminal || !terminal_is_ours(monitor->terminal))
        return;
    if (send(monitor->channel, &message, 1, MSG_NOSIGNAL) != 1)
        return;
    do {
        message = BOOT_STOP;
        if (recv(monitor->channel, &message, 1, 0) < 0 && errno == EINTR)
            continue;
        obey(monitor, message);
    } while (message != BOOT_GO && message != BOOT_STOP);
    atomic_store(&monitor->log->raw_terminal, isatty(monitor->log->fd));
}

static int watch_channel(struct boot_monitor *monitor, struct event_loop *loop,
                         struct error *error)
{
    struct event_source source = {
        .fd = monitor->channel, .events = EPOLLIN, .handler = wish_arrived, .context = monitor,
    };
    int result = event_loop_add(loop, &source);

    return result < 0 ? error_system(error, -result, "the VM's process") : 0;
}

static int open_console(const struct boot_monitor *monitor, struct vm_host *host,
                        struct error *error)
{
    struct console_options options = {
        .input_fd = STDIN_FILENO, .output_fd = STDOUT_FILENO, .log = monitor->log,
        .output_limit = monitor->config->output_limit,
    };

    if (monitor->config->vm.console == CONSOLE_NONE)
        return 0;
    if (terminal_is_ours(monitor->terminal)) {
        options.filter = terminal_filter;
        options.filter_context = monitor->terminal;
    }
    return console_create(&host->console, &options, error);
}

static int run(struct boot_monitor *monitor, struct vm_host *host, struct vm_end *end,
               struct error *error)
{
    int result;

    if ((result = event_loop_create(&host->loop, error)) < 0 ||
        (result = open_console(monitor, host, error)) < 0 ||
        (result = vm_create(&monitor->vm, &monitor->config->vm, host, error)) < 0)
        return result;
    tell_start(monitor);
    await_terminal(monitor);
    result = watch_channel(monitor, host->loop, error);
    if (result == 0)
        result = vm_run(monitor->vm, end, error);
    vm_destroy(monitor->vm);
    timeline_mark(monitor->timeline, "VM destroyed");
    if (result == 0 && host->console)
        result = console_drain(host->console, DRAIN_TIMEOUT_MS, error);
    return result;
}

static void report(const struct boot_monitor *monitor, const struct vm_end *end,
                   const struct error *error)
{
    struct boot_report report = {
        .end = (uint32_t)end->kind, .error_number = error->number, .timeline = *monitor->timeline,
    };

    snprintf(report.how, sizeof(report.how), "%s", end->how ? end->how : "");
    memcpy(report.message, error->message, sizeof(report.message));
    /* The supervisor that does not hear it sees the end of the process. */
    send(monitor->channel, &report, sizeof(report), MSG_NOSIGNAL);
}

_Noreturn void boot_monitor(struct boot_monitor *monitor)
{
    struct vm_host host = {
        .log = monitor->log, .timeline = monitor->timeline, .sandbox = monitor->sandbox,
    };
    struct vm_end end = { .kind = VM_RUNNING };
    struct error error = ERROR_INIT;
    sigset_t set;

    /* Signals are the supervisor's, even those that go to the whole job. */
    fill_but_faults(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    run(monitor, &host, &end, &error);
    report(monitor, &end, &error);
    _exit(error.number ? STATUS_FAILED : STATUS_OK);
}
