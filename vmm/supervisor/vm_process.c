/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/vm_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/registry.h"
#include "devices/virtio/vsock.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"
#include "vmm/monitor/protocol.h"
#include "vmm/monitor/vm.h"

#define CONSOLE_DRAIN_MS 100

/* ---- in the child --------------------------------------------------------- */

static int status_of(enum vm_end_kind kind)
{
    switch (kind) {
    case VM_POWERED_OFF:
    case VM_RESET:
    case VM_STOPPED:
        return STATUS_OK;
    case VM_PANICKED:
        return STATUS_PANIC;
    case VM_RUNNING:
    case VM_FAILED:
        break;
    }
    return STATUS_FAILED;
}

/* Whose orders it obeys. */
struct obeyer {
    int channel; /* -1: there are none */
    struct vm *vm;
    struct event_loop *loop;
};

/* A job that breaks in here finds nothing of a template that the VM was saved as: its files are closed. */
static void order_came(void *context, uint32_t events)
{
    struct obeyer *obeyer = context;
    struct message request;
    int fds[MESSAGE_FDS_MAX];
    int result = message_receive(obeyer->channel, FROM_SUPERVISOR, &request, fds, MSG_DONTWAIT);

    (void)events;
    if (result == 1)
        handle_request(obeyer->vm, obeyer->channel, &request, fds);
    if (result == 0) {
        event_loop_remove(obeyer->loop, obeyer->channel);
        close(obeyer->channel);
    }
}

static int await_orders(struct obeyer *obeyer, struct vm *vm, struct event_loop *loop,
                        struct error *error)
{
    struct event_source source = {
        .fd = obeyer->channel, .events = EPOLLIN, .handler = order_came, .context = obeyer,
    };
    int result = obeyer->channel < 0 ? 0 : event_loop_add(loop, &source);

    obeyer->vm = vm;
    obeyer->loop = loop;
    return result < 0 ? error_system(error, -result, "the VM's process") : 0;
}

static int run_vm(const struct vm_config *config, struct vm_host *host, struct obeyer *obeyer,
                  int console_fd, struct error *error)
{
    struct console_options console = {
        .input_fd = -1, .output_fd = console_fd, .log = host->log,
    };
    struct vm_end end = { .kind = VM_RUNNING };
    struct vm *vm;
    int result = event_loop_create(&host->loop, error);

    if (result == 0)
        result = console_create(&host->console, &console, error);
    if (result == 0)
        result = vm_create(&vm, config, host, error);
    if (result == 0)
        result = await_orders(obeyer, vm, host->loop, error);
    if (result == 0)
        result = vm_run(vm, &end, error);
    if (result < 0)
        return result;
    /* The last words of a kernel's panic; a reader that is gone does not matter. */
    console_drain(host->console, CONSOLE_DRAIN_MS, &(struct error)ERROR_INIT);
    return status_of(end.kind);
}

/* The job's streams are the supervisor's: a file that one of them leads to is none of the VM's. */
static int leave_streams(struct error *error)
{
    cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return error_system(error, errno, "/dev/null");
    return 0;
}

static _Noreturn void be_the_vm(const struct vm_config *config, struct vm_host *host,
                                struct vm_failure *failure, struct obeyer *obeyer, int console_fd)
{
    struct error error = ERROR_INIT;
    int result = leave_streams(&error);

    host->log->patience_ms = 0; /* that of a supervisor */
    if (result == 0)
        result = run_vm(config, host, obeyer, console_fd, &error);
    if (result < 0) {
        snprintf(failure->message, sizeof(failure->message), "%s", error.message);
        result = STATUS_FAILED;
    }
    _exit(result); /* the kernel takes the VM down */
}

/* ---- in the parent -------------------------------------------------------- */

static const struct virtio_row *vsock_row(void)
{
    size_t count;
    const struct virtio_row *rows = virtio_registry(&count);

    for (size_t i = 0; i < count; i++)
        if (rows[i].class == &virtio_vsock_class)
            return &rows[i];
    return NULL;
}

static int add_vsock(struct vm_config *config, int handoff, struct error *error)
{
    char text[40];

    snprintf(text, sizeof(text), "%u,handoff=%d", VSOCK_CID_MIN, handoff);
    return vm_config_add_device(config, vsock_row(), text, error);
}

/* What both processes share: *THEIRS are the other's ends. */
struct shared_ends {
    int handoff, console, channel;
};

static int open_ends(struct vm_process *process, struct shared_ends *theirs, bool ordered,
                     struct error *error)
{
    int ends[2];

    process->failure = mmap(NULL, sizeof(*process->failure), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (process->failure == MAP_FAILED) {
        process->failure = NULL;
        return error_system(error, errno, "the VM's process");
    }
    snprintf(process->failure->message, sizeof(process->failure->message),
             "KVM stopped the guest; the messages above tell more");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_system(error, errno, "the VM's process");
    process->handoff = ends[0];
    theirs->handoff = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_system(error, errno, "the VM's process");
    process->console = ends[0];
    theirs->console = ends[1];
    fcntl(process->console, F_SETFL, O_NONBLOCK);
    if (!ordered)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_system(error, errno, "the VM's process");
    process->channel = ends[0];
    theirs->channel = ends[1];
    return 0;
}

static void close_ends(struct shared_ends *theirs)
{
    cleanup_close(&theirs->handoff);
    cleanup_close(&theirs->console);
    cleanup_close(&theirs->channel);
}

int vm_process_start(struct vm_process *process, struct vm_config *config,
                     bool ordered, const struct vm_owner *owner, const struct sandbox_config *sandbox,
                     struct log *log, struct timeline *timeline, struct error *error)
{
    struct vm_host host = { .log = log, .timeline = timeline };
    struct shared_ends theirs = { -1, -1, -1 };
    pid_t pid = -1;
    int result;

    *process = (struct vm_process)VM_PROCESS_INIT;
    if ((result = open_ends(process, &theirs, ordered, error)) == 0 &&
        (result = add_vsock(config, theirs.handoff, error)) == 0 &&
        (result = sandbox_create(&process->sandbox, sandbox, log, error)) == 0)
        result = pid = sandbox_fork(process->sandbox, error);
    if (pid == 0) {
        struct obeyer obeyer = { .channel = theirs.channel };

        close(process->handoff);
        close(process->console);
        cleanup_close(&process->channel);
        owner->leave(owner->context);
        host.sandbox = process->sandbox;
        sandbox_hands_over(host.sandbox, theirs.handoff);
        be_the_vm(config, &host, process->failure, &obeyer, theirs.console);
    }
    close_ends(&theirs);
    if (result < 0)
        return result;
    process->runs = true;
    return 0;
}

static int request(struct vm_process *process, struct message *message, const int *fds, size_t fd_count, struct error *error)
{
    message->header.id = ++process->last_id;
    if (message_send(process->channel, message, fds, fd_count, MSG_DONTWAIT) < 0)
        return error_set(error, ESRCH, "the VM has ended, or does not listen; see 'mote ps'");
    return 0;
}

int vm_process_record(struct vm_process *process, struct error *error)
{
    return request(process, &(struct message){ .header.type = REQUEST_RECORD }, NULL, 0, error);
}

int vm_process_save(struct vm_process *process, const struct vm_config *config,
                    const struct vm_saving *saving, struct error *error)
{
    struct message message = { .header.type = REQUEST_SNAPSHOT };
    int fds[] = { saving->state_fd, saving->memory_fd };

    memcpy(message.snapshot.id, saving->id, sizeof(message.snapshot.id));
    sandbox_allow_file(process->sandbox, saving->state_fd, VM_STATE_ROOM);
    sandbox_allow_file(process->sandbox, saving->memory_fd, config->memory);
    return request(process, &message, fds, ARRAY_LENGTH(fds), error);
}

void vm_process_close_channel(struct vm_process *process)
{
    cleanup_close(&process->channel);
    process->channel = -1;
}

static void await(struct vm_process *process)
{
    process->runs = false;
    process->status = sandbox_wait(process->sandbox, &process->error);
    /* It can write there what it likes. */
    if (process->status == STATUS_FAILED)
        error_set(&process->error, EINVAL, "%.*s", (int)sizeof(process->failure->message) - 1,
                  process->failure->message);
}

int vm_process_end_fd(const struct vm_process *process)
{
    return process->runs ? sandbox_end_fd(process->sandbox) : -1;
}

enum sandbox_end vm_process_look(struct vm_process *process)
{
    enum sandbox_end end = process->runs ? sandbox_look(process->sandbox) : SANDBOX_ENDED;

    if (process->runs && end == SANDBOX_ENDED)
        await(process);
    return end;
}

void vm_process_kill(struct vm_process *process)
{
    if (process->runs)
        sandbox_signal(process->sandbox, SIGKILL);
}

void vm_process_end(struct vm_process *process)
{
    if (!process->runs)
        return;
    vm_process_kill(process);
    await(process);
}

void vm_process_close(struct vm_process *process, struct vm_config *config)
{
    vm_process_end(process);
    vm_config_drop_device(config, vsock_row());
    sandbox_destroy(process->sandbox);
    process->sandbox = NULL;
    cleanup_close(&process->handoff);
    cleanup_close(&process->console);
    vm_process_close_channel(process);
    process->handoff = process->console = -1;
    if (process->failure)
        munmap(process->failure, sizeof(*process->failure));
    process->failure = NULL;
}
