/* SPDX-License-Identifier: Apache-2.0 */
/* The VM of a job: its start, the connections that it hands over, its console, and its end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/socket_handoff.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"
#include "vmm/job/job_run_internal.h"
#include "vmm/supervisor/host_files.h"

/* For the last of the guest's console: in the monitor, and, with --verbose, here. */
#define CONSOLE_DRAIN_MS 100
#define LAST_CONSOLE_MS 1000
#define HANDOFFS_PER_EVENT 16
/* A sound VM's process makes half as many, all that it may at once among them (vsock_internal.h). */
#define HANDOFFS_IN_A_SECOND 4000

/* ---- connections ------------------------------------------------------------ */

/* Each is work for this process, outside of the VM's limits, whether anybody wants it or not. */
static bool is_flood(struct job_vm *vm)
{
    uint64_t now = job_run_now_ms();

    if (now - vm->handoffs_since >= 1000) {
        vm->handoffs_since = now;
        vm->handoffs = 0;
    }
    return ++vm->handoffs > HANDOFFS_IN_A_SECOND;
}

void job_vm_take_connections(struct job_run *run)
{
    uint32_t port;

    for (unsigned int i = 0; i < HANDOFFS_PER_EVENT && !run->over; i++) {
        int fd = socket_handoff_receive(run->vm.handoff, &port);

        if (fd == -EAGAIN)
            return;
        if (fd < 0) { /* its end is told by the process */
            event_loop_remove(run->loop, run->vm.handoff);
            if (fd == -EPROTO)
                vm_process_kill_broken(run->vm.process, "handed over what is no connection");
            return;
        }
        if (is_flood(&run->vm)) {
            close(fd);
            event_loop_remove(run->loop, run->vm.handoff);
            vm_process_kill_broken(run->vm.process, "handed over connections without end");
            return;
        }
        if (!job_run_accept(run, fd, port))
            close(fd);
    }
}

static void handoff_ready(void *context, uint32_t events)
{
    (void)events;
    job_vm_take_connections(context);
}

/* ---- the console ------------------------------------------------------------ */

static void console_written(void *context)
{
    kept_output_wrote(&((struct job_run *)context)->kept, KEPT_STDERR, STDERR_FILENO);
}

void job_vm_drain_console(struct job_run *run)
{
    console_show_drain(&run->console, LAST_CONSOLE_MS);
    if (run->console.failed)
        run->failed = true;
}

/* ---- its end ---------------------------------------------------------------- */

static void vm_exited(void *context, const struct vm_exit *exit)
{
    struct job_run *run = context;
    bool fault = exit->error.number || exit->end == VM_FAILED;

    vm_control_attach(run->vm_control, NULL);
    job_vm_drain_console(run);
    if (run->over || warm_starts_anew(run, exit))
        return;
    if (exit->error.number)
        job_run_complain(run, "%s", exit->error.message);
    else if (fault)
        job_run_complain(run, "KVM stopped the guest; the messages above tell more");
    else
        job_run_complain(run, "the guest's kernel %s before the job had ended%s%s; --verbose shows its messages",
                         exit->end == VM_PANICKED ? "panicked" : "ended",
                         run->tail.line[0] ? ", with the words " : "", run->tail.line);
    job_run_end(run, fault ? CAUSE_VMM_FAULT : CAUSE_GUEST_PANIC, STATUS_FAILED);
}

/* ---- its start -------------------------------------------------------------- */

static int add_vsock(struct vm_config *config, int handoff, struct error *error)
{
    struct device_config *device = vm_config_add_device(config, DEVICE_TYPE_VSOCK, error);

    if (!device)
        return -error->number;
    device->vsock.handoff = handoff;
    return 0;
}

/* What both processes share: *THEIRS are the other's ends. */
struct shared_ends {
    int handoff, console;
};

static int open_ends(struct job_vm *vm, struct shared_ends *theirs, struct error *error)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_system(error, errno, "the VM's process");
    vm->handoff = ends[0];
    theirs->handoff = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_system(error, errno, "the VM's process");
    vm->console = ends[0];
    theirs->console = ends[1];
    fcntl(vm->console, F_SETFL, O_NONBLOCK);
    return 0;
}

/* The job's streams are the supervisor's: a file that one of them leads to is none of the VM's. */
static void leave_streams(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(STATUS_FAILED);
    close(null);
}

/* In the VM's process.  The job is secret as well: the VM's process may be about to save its memory as a template. */
static void leave(void *context)
{
    struct job_run *run = context;
    const struct job_run_options *options = run->options;

    leave_streams();
    close(run->vm.handoff);
    close(run->vm.console);
    close(run->signals.fd);
    close(run->clock.fd);
    warm_leave(run);
    if (options->started_fd >= 0)
        close(options->started_fd);
    vm_control_leave(run->vm_control);
    kept_output_close(&run->kept);
    explicit_bzero(options->job, options->job_length);
}

static int start_process(struct job_run *run, const struct shared_ends *theirs, struct error *error)
{
    const struct job_run_options *options = run->options;
    struct vm_process_owner owner = { .exited = vm_exited, .leave = leave, .context = run };
    struct monitor_options monitor = {
        .config = options->config,
        .console = { .input_fd = -1, .output_fd = theirs->console, .drain_ms = CONSOLE_DRAIN_MS },
        .handoff = theirs->handoff,
        .timeline = options->timeline,
    };
    int result = add_vsock(options->config, theirs->handoff, error);

    if (result == 0)
        result = host_files_open(options->config, options->log, error);
    if (result == 0)
        result = vm_process_create(&run->vm.process, options->sandbox, run->loop, options->log, &owner, error);
    if (result == 0)
        result = vm_process_start(run->vm.process, &monitor, error);
    host_files_inherited(options->config);
    return result;
}

static int watch_vm(struct job_run *run, struct error *error)
{
    struct event_source source = {
        .fd = run->vm.handoff, .events = EPOLLIN, .handler = handoff_ready, .context = run,
    };
    int result = event_loop_add(run->loop, &source);

    if (result < 0)
        return error_system(error, -result, "the job");
    result = console_show_open(&run->console, run->loop, run->vm.console, &run->tail, run->options->verbose,
                               STDERR_FILENO, error);
    if (run->kept.limit > 0)
        run->console.wrote = console_written;
    run->console.context = run;
    return result;
}

int job_vm_start(struct job_run *run, struct error *error)
{
    struct shared_ends theirs = { -1, -1 };
    int result;

    run->phase = PHASE_WAITING;
    run->vm = (struct job_vm)JOB_VM_INIT;
    warm_begin(run);
    result = open_ends(&run->vm, &theirs, error);
    if (result == 0)
        result = start_process(run, &theirs, error);
    cleanup_close(&theirs.handoff);
    cleanup_close(&theirs.console);
    if (result == 0)
        result = watch_vm(run, error);
    return result == 0 ? warm_started(run, error) : result;
}

void job_vm_end(struct job_run *run)
{
    vm_process_end(run->vm.process);
}

void job_vm_close(struct job_run *run)
{
    event_loop_remove(run->loop, run->vm.handoff);
    console_show_close(&run->console);
    control_destroy(run->control);
    run->control = NULL;
    vm_process_destroy(run->vm.process);
    host_files_close(run->options->config);
    vm_config_drop_device(run->options->config, DEVICE_TYPE_VSOCK);
    cleanup_close(&run->vm.handoff);
    cleanup_close(&run->vm.console);
    run->vm = (struct job_vm)JOB_VM_INIT;
}
