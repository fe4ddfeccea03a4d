/* SPDX-License-Identifier: Apache-2.0 */
/* What `mote boot`, `restore` and `clone` supervise: the terminal, the signals and the exit status. */

#include "vmm/supervisor/boot.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/exit_status.h"
#include "vmm/base/signals.h"
#include "vmm/supervisor/host_files.h"
#include "vmm/supervisor/vm_control.h"
#include "vmm/supervisor/vm_process.h"

/* How long output may take to leave at the end. */
#define CONSOLE_DRAIN_MS 2000

struct boot {
    struct boot_config *config;
    struct log *log;
    struct timeline *timeline;
    struct event_loop *loop;
    struct terminal *terminal; /* NULL without a console */
    struct signals signals;
    struct vm_process *process;
    struct vm_control *control; /* NULL for a VM without a name */
    int signal;                 /* that ended the VM, 0 for none */
    bool told_to_stop;          /* by the control socket */
    struct vm_exit exit;        /* of the last monitor */
};

/* ---- signals -------------------------------------------------------------- */

static void stop(struct boot *boot, enum stop_origin origin)
{
    vm_control_abandon(boot->control);
    vm_process_stop(boot->process, origin);
}

static void told_to_stop(void *context)
{
    struct boot *boot = context;

    boot->told_to_stop = true;
    stop(boot, STOP_BY_CONTROL_SOCKET);
}

/* Ctrl-Z: the monitor, deaf to it, stops as long as we do. */
static void suspend(struct boot *boot)
{
    vm_process_signal(boot->process, SIGSTOP);
    raise(SIGSTOP);
    vm_process_signal(boot->process, SIGCONT);
}

/* Its disks, or its terminal, may have another size. */
static void refresh(struct boot *boot)
{
    struct message request = { .header.type = REQUEST_REFRESH };

    vm_process_request(boot->process, &request, NULL, 0, NULL, &(struct error)ERROR_INIT);
}

static void signal_arrived(void *context, int number)
{
    struct boot *boot = context;

    if (number == SIGCHLD) {
        vm_process_look(boot->process);
    } else if (number == SIGTSTP) {
        suspend(boot);
    } else if (number == SIGWINCH || (number == SIGHUP && boot->config->detached)) {
        refresh(boot);
    } else {
        boot->signal = number;
        stop(boot, STOP_BY_SIGNAL);
    }
}

static int watch_signals(struct boot *boot, struct error *error)
{
    static const int wanted[] = { SIGINT, SIGTERM, SIGQUIT, SIGTSTP, SIGWINCH, SIGCHLD };

    signal(SIGCHLD, SIG_DFL); /* a child that is waited for is not to be reaped by the kernel */
    boot->signals.arrived = signal_arrived;
    boot->signals.context = boot;
    /* One that is detached has no terminal that could go away. */
    return signals_open(&boot->signals, boot->loop, wanted, ARRAY_LENGTH(wanted), boot->config->detached, error);
}

/* ---- one monitor after the other ------------------------------------------ */

static void terminal_wanted(void *context)
{
    struct boot *boot = context;
    struct message request = { .header.type = REQUEST_TERMINAL_READY };

    terminal_raw(boot->terminal);
    vm_process_request(boot->process, &request, NULL, 0, NULL, &(struct error)ERROR_INIT);
}

static void vm_started(void *context)
{
    struct boot *boot = context;
    int *fd = &boot->config->started_fd;

    if (*fd >= 0 && send(*fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        log_debug(boot->log, "the caller no longer waits for the start of the VM");
    cleanup_close(fd);
    *fd = -1;
}

/* In the VM's process. */
static void leave(void *context)
{
    struct boot *boot = context;

    close(boot->signals.fd);
    cleanup_close(&boot->config->started_fd);
    vm_control_leave(boot->control);
}

/* From what a monitor needs of the host to its start. */
static int start_vm(struct boot *boot, struct error *error)
{
    struct monitor_options options = {
        .config = &boot->config->vm,
        .console = {
            .input_fd = STDIN_FILENO, .output_fd = STDOUT_FILENO, .output_limit = boot->config->output_limit,
            .drain_ms = CONSOLE_DRAIN_MS, .tail_matters = true, .terminal = boot->terminal,
        },
        .reports_start = boot->config->started_fd >= 0,
        .handoff = -1,
        .timeline = boot->timeline,
    };
    int result = host_files_open(&boot->config->vm, boot->log, error);

    if (result == 0)
        result = vm_config_open_host(&boot->config->vm, boot->loop, error);
    if (result == 0)
        result = vm_process_start(boot->process, &options, error);
    host_files_inherited(&boot->config->vm);
    if (result < 0)
        vm_config_close_host(&boot->config->vm);
    else
        vm_control_attach(boot->control, boot->process);
    return result;
}

static bool restarts(const struct boot *boot)
{
    return boot->exit.end == VM_RESET && !boot->exit.error.number && !boot->signal && !boot->told_to_stop &&
           boot->config->vm.on_reboot != ON_REBOOT_EXIT;
}

static void vm_exited(void *context, const struct vm_exit *exit)
{
    struct boot *boot = context;

    boot->exit = *exit;
    vm_control_attach(boot->control, NULL);
    vm_config_close_host(&boot->config->vm);
    if (!restarts(boot)) {
        event_loop_stop(boot->loop);
        return;
    }
    log_limited(boot->log, NULL, LOG_INFO, "the guest reset (%s): restarting it", boot->exit.how);
    if (start_vm(boot, &boot->exit.error) < 0) {
        boot->exit.end = VM_RUNNING;
        event_loop_stop(boot->loop);
    }
}

/* A lost tail of output is an error, and its VM's end is told all the same. */
static int run_all(struct boot *boot, int *status, struct error *error)
{
    int result;

    if ((result = start_vm(boot, error)) < 0 || (result = event_loop_run(boot->loop, error)) < 0)
        return result;
    if (boot->config->vm.on_reboot != ON_REBOOT_EXIT && (boot->signal || boot->told_to_stop))
        vm_exit_take_stop(&boot->exit);
    /* First of all: Ctrl-C is a signal again while a snapshot comes to its disk. */
    if (boot->terminal)
        terminal_restore(boot->terminal);
    if (boot->exit.error.number) {
        *error = boot->exit.error;
        result = -error->number;
    } else {
        result = vm_control_finish(boot->control, error);
    }
    log_tell_left_out(boot->log);
    if (boot->exit.end != VM_RUNNING) {
        vm_exit_tell(&boot->exit, boot->signal, boot->log);
        *status = vm_exit_status(&boot->exit, boot->signal);
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

static int open_process(struct boot *boot, struct error *error)
{
    struct vm_process_owner owner = {
        .terminal_wanted = boot->terminal ? terminal_wanted : NULL,
        .started = vm_started, .exited = vm_exited, .leave = leave, .context = boot,
    };

    return vm_process_create(&boot->process, &boot->config->sandbox, boot->loop, boot->log, &owner, error);
}

static int open_control(struct boot *boot, struct error *error)
{
    struct vm_control_owner owner = {
        .vm = &boot->config->vm, .log = boot->log, .entry = boot->config->entry, .stop = told_to_stop, .context = boot,
    };

    return owner.entry ? vm_control_create(&boot->control, &owner, boot->loop, error) : 0;
}

static int open_boot(struct boot *boot, struct error *error)
{
    int result;

    allow_many_files();
    if ((result = log_share(boot->log, error)) < 0 ||
        (result = event_loop_create(&boot->loop, error)) < 0 ||
        (result = watch_signals(boot, error)) < 0)
        return result;
    if (boot->config->vm.console != CONSOLE_NONE)
        result = terminal_create(&boot->terminal, STDIN_FILENO, boot->log, error);
    if (result == 0)
        result = open_process(boot, error);
    return result == 0 ? open_control(boot, error) : result;
}

static void close_boot(struct boot *boot)
{
    vm_process_end(boot->process); /* whoever awaits its answer is told, before there is no control */
    vm_control_destroy(boot->control);
    terminal_destroy(boot->terminal);
    vm_process_destroy(boot->process);
    host_files_close(&boot->config->vm);
    signals_close(&boot->signals);
    event_loop_destroy(boot->loop);
}

int boot_supervise(struct boot_config *config, struct log *log, struct timeline *timeline,
                   int *status, struct error *error)
{
    struct boot boot = {
        .config = config, .log = log, .timeline = timeline, .signals = SIGNALS_INIT, .exit.end = VM_RUNNING,
    };
    int result = open_boot(&boot, error);

    if (result == 0)
        result = run_all(&boot, status, error);
    if (boot.exit.timeline.count > 0)
        *timeline = boot.exit.timeline;
    close_boot(&boot);
    return result;
}
