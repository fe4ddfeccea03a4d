/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/vm_process_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

/* For a VM that is told to end: more than the monitor takes for its last output. */
#define STOP_SECONDS 5
/* Messages of the monitor's that nobody asked for: one may come too late, a dozen come from an attacker. */
#define UNASKED_MAX 16
/* What is read of a monitor that has ended: more than a sound one has left there. */
#define LAST_MESSAGES_MAX 64

static void look(void *context);

bool vm_process_set_timer(struct vm_process *process, struct timer *timer, void (*rang)(void *context), uint64_t ms)
{
    struct error error = ERROR_INIT;

    if (timer->fd < 0 && timer_open(timer, process->loop, rang, process, &error) < 0)
        return false;
    timer_set(timer, ms);
    return true;
}

/* ---- what the monitor sends ------------------------------------------------- */

/* Until its end is told, nobody who waits is answered. */
static void hang_up(struct vm_process *process)
{
    int channel = process->channel;

    if (channel < 0)
        return;
    event_loop_remove(process->loop, channel);
    process->channel = -1; /* before anybody hears of it and sends the next request */
    close(channel);
    vm_requests_fail(process);
}

void vm_process_kill_broken(struct vm_process *process, const char *what)
{
    if (!process->runs || process->broken)
        return;
    process->broken = what;
    sandbox_signal(process->sandbox, SIGKILL);
    hang_up(process);
}

/* Each of these returns whether it was due. */
static bool terminal_wanted(struct vm_process *process)
{
    bool due = process->owner.terminal_wanted && !process->wanted_terminal;

    process->wanted_terminal = true;
    if (due)
        process->owner.terminal_wanted(process->owner.context);
    return due;
}

static bool started(struct vm_process *process)
{
    bool due = process->owner.started && process->reports_start && !process->started;

    process->started = true;
    if (due)
        process->owner.started(process->owner.context);
    return due;
}

static bool exits(struct vm_process *process, const struct event_exited *report)
{
    bool due = !process->reported;

    process->reported = true;
    if (due)
        process->report = *report;
    return due;
}

static bool take_message(struct vm_process *process, const struct message *message)
{
    switch (message->header.type) {
    case MESSAGE_ANSWER:
        return vm_requests_answered(process, message);
    case EVENT_TERMINAL_WANTED:
        return terminal_wanted(process);
    case EVENT_STARTED:
        return started(process);
    case EVENT_EXITED:
        return exits(process, &message->exited);
    default:
        return false;
    }
}

bool vm_process_read(struct vm_process *process)
{
    struct message message;
    int result = message_receive(process->channel, FROM_MONITOR, &message, NULL, MSG_DONTWAIT);

    if (result == -EAGAIN)
        return false;
    /* A flood of unexpected messages would have this process work for it, outside of the VM's limits. */
    if (result == 1 && !take_message(process, &message) && ++process->unasked == UNASKED_MAX)
        result = -EPROTO;
    if (result == -EPROTO)
        vm_process_kill_broken(process, "sent an unexpected message");
    else if (result != 1)
        hang_up(process);
    return result == 1;
}

static void message_arrived(void *context, uint32_t events)
{
    (void)events;
    vm_process_read(context);
}

/* ---- its end ---------------------------------------------------------------- */

static void close_start(struct vm_process *process)
{
    process->runs = false;
    if (process->stop_timer.fd >= 0)
        timer_set(&process->stop_timer, 0);
    timer_close(&process->farewell_timer);
    process->farewell_timer = (struct timer)TIMER_INIT;
    hang_up(process);
}

static void judge(const struct vm_process *process, struct vm_exit *exit, int status, const struct error *error)
{
    const struct event_exited *report = process->reported ? &process->report : NULL;

    vm_exit_judge(exit, report, status, error);
    if (!process->overdue && !process->broken)
        return;
    exit->end = VM_RUNNING;
    if (process->overdue)
        error_set(&exit->error, ETIMEDOUT, "the VM did not end within %d s and was killed; see what its disk or "
                  "network waits for", STOP_SECONDS);
    else
        error_set(&exit->error, EPROTO, "the VM's process %s and was killed; its guest may have broken into it: report "
                  "it", process->broken);
}

static void finish(struct vm_process *process)
{
    struct error error = ERROR_INIT;
    struct vm_exit exit;
    int status;

    event_loop_remove(process->loop, sandbox_end_fd(process->sandbox));
    /* Its last message may have come in the same moment. */
    for (unsigned int i = 0; i < LAST_MESSAGES_MAX && process->channel >= 0 && vm_process_read(process); i++)
        continue;
    status = sandbox_wait(process->sandbox, &error);
    judge(process, &exit, status, &error);
    close_start(process);
    process->owner.exited(process->owner.context, &exit);
}

/* One that a guest has broken into may tell why it dies and live on. */
static void await_end(struct vm_process *process)
{
    /* What it told is read. That its pipe stays readable must not keep this process busy: the rest is for the timer, or SIGCHLD. */
    if (!vm_process_set_timer(process, &process->farewell_timer, look, SANDBOX_ENDS_MS + 1))
        sandbox_signal(process->sandbox, SIGKILL);
}

static void look(void *context)
{
    struct vm_process *process = context;

    if (!process->runs)
        return;
    switch (sandbox_look(process->sandbox)) {
    case SANDBOX_RUNS:
        break;
    case SANDBOX_ENDS:
        await_end(process);
        break;
    case SANDBOX_ENDED:
        finish(process);
        break;
    }
}

void vm_process_look(struct vm_process *process)
{
    look(process);
}

static void told_exit_reason(void *context, uint32_t events)
{
    (void)events;
    look(context);
}

/* ---- its start -------------------------------------------------------------- */

static _Noreturn void become_monitor(struct vm_process *process, const struct monitor_options *options, int channel)
{
    struct monitor_options own = *options;

    cleanup_close(&process->channel);
    cleanup_close(&process->stop_timer.fd);
    cleanup_close(&process->farewell_timer.fd);
    cleanup_close(&process->request_timer.fd);
    process->owner.leave(process->owner.context);
    event_loop_destroy(process->loop);
    own.log = process->log;
    monitor_main(&own, process->sandbox, channel);
}

static int watch(struct vm_process *process, int fd, event_handler handler, struct error *error)
{
    struct event_source source = { .fd = fd, .events = EPOLLIN, .handler = handler, .context = process };
    int result = event_loop_add(process->loop, &source);

    return result < 0 ? error_system(error, -result, "the VM's process") : 0;
}

int vm_process_start(struct vm_process *process, const struct monitor_options *options, struct error *error)
{
    int ends[2], result;
    pid_t pid;

    process->overdue = process->wanted_terminal = process->started = process->reported = false;
    process->broken = NULL;
    process->unasked = 0;
    process->reports_start = options->reports_start;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_system(error, errno, "the VM's process");
    process->channel = ends[0];
    pid = sandbox_fork(process->sandbox, error);
    if (pid == 0)
        become_monitor(process, options, ends[1]);
    close(ends[1]);
    process->runs = pid >= 0;
    if ((result = pid) < 0 || (result = watch(process, process->channel, message_arrived, error)) < 0 ||
        (result = watch(process, sandbox_end_fd(process->sandbox), told_exit_reason, error)) < 0) {
        vm_process_end(process);
        hang_up(process);
        return result;
    }
    return 0;
}

pid_t vm_process_pid(const struct vm_process *process)
{
    return process && process->runs ? sandbox_pid(process->sandbox) : 0;
}

bool vm_process_runs(const struct vm_process *process)
{
    return process->runs;
}

/* ---- what its owner does to it ---------------------------------------------- */

void vm_process_signal(struct vm_process *process, int signal)
{
    if (process->runs)
        sandbox_signal(process->sandbox, signal);
}

static void stop_timer_rang(void *context)
{
    struct vm_process *process = context;

    process->overdue = process->runs;
    vm_process_signal(process, SIGKILL);
}

void vm_process_stop(struct vm_process *process, enum stop_origin origin)
{
    struct message request = { .header.type = REQUEST_STOP, .stop.origin = origin };

    /* One that does not read is ended by the timer. */
    vm_process_request(process, &request, NULL, 0, NULL, &(struct error)ERROR_INIT);
    if (!vm_process_set_timer(process, &process->stop_timer, stop_timer_rang, STOP_SECONDS * 1000))
        vm_process_signal(process, SIGKILL);
}

void vm_process_end(struct vm_process *process)
{
    if (!process || !process->runs)
        return;
    event_loop_remove(process->loop, sandbox_end_fd(process->sandbox));
    sandbox_signal(process->sandbox, SIGKILL);
    sandbox_wait(process->sandbox, &(struct error)ERROR_INIT);
    close_start(process);
}

void vm_process_leave(struct vm_process *process)
{
    cleanup_close(&process->channel);
    process->channel = -1;
}

int vm_process_create(struct vm_process **process, const struct sandbox_config *sandbox, struct event_loop *loop,
                      struct log *log, const struct vm_process_owner *owner, struct error *error)
{
    struct vm_process *created = calloc(1, sizeof(*created));
    int result;

    if (!created)
        return error_system(error, ENOMEM, "the VM's process");
    created->loop = loop;
    created->log = log;
    created->owner = *owner;
    created->channel = -1;
    created->stop_timer = created->farewell_timer = created->request_timer = (struct timer)TIMER_INIT;
    result = sandbox_create(&created->sandbox, sandbox, log, error);
    if (result < 0)
        free(created);
    else
        *process = created;
    return result;
}

void vm_process_destroy(struct vm_process *process)
{
    if (!process)
        return;
    vm_process_end(process);
    timer_close(&process->stop_timer);
    timer_close(&process->request_timer);
    sandbox_destroy(process->sandbox);
    free(process);
}
