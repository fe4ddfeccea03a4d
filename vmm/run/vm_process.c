/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/run/vm_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/registry.h"
#include "devices/virtio/vsock.h"
#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/vm.h"

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

/* The order to save, and whom it is for. */
struct saver {
    int channel;
    struct vm_saving files;
    struct vm *vm;
    struct event_loop *loop;
};

static void save(struct saver *saver, struct error *error)
{
    struct vm_snapshot_target target = {
        .state_fd = saver->files.state_fd, .memory_fd = saver->files.memory_fd,
    };

    memcpy(target.id, saver->files.id, sizeof(target.id));
    vm_save(saver->vm, &target, error);
    /* A job that breaks in here finds nothing of the template. */
    close(target.state_fd);
    close(target.memory_fd);
}

static void ordered_to_save(void *context, uint32_t events)
{
    struct saver *saver = context;
    struct vm_saved saved = { .error_number = 0 };
    struct error error = ERROR_INIT;
    char order;

    (void)events;
    event_loop_remove(saver->loop, saver->channel);
    if (read(saver->channel, &order, 1) == 1) {
        save(saver, &error);
        saved.error_number = error.number;
        memcpy(saved.message, error.message, sizeof(saved.message));
        send(saver->channel, &saved, sizeof(saved), MSG_NOSIGNAL);
    }
    close(saver->channel);
}

static int await_order(struct saver *saver, struct vm *vm, struct event_loop *loop,
                       struct error *error)
{
    struct event_source source = {
        .fd = saver->channel, .events = EPOLLIN, .handler = ordered_to_save, .context = saver,
    };
    int result = saver->channel < 0 ? 0 : event_loop_add(loop, &source);

    saver->vm = vm;
    saver->loop = loop;
    return result < 0 ? error_system(error, -result, "the VM's process") : 0;
}

static int run_vm(const struct vm_config *config, struct vm_host *host, struct saver *saver,
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
        result = await_order(saver, vm, host->loop, error);
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
                                struct vm_failure *failure, struct saver *saver, int console_fd)
{
    struct error error = ERROR_INIT;
    int result = leave_streams(&error);

    if (result == 0)
        result = run_vm(config, host, saver, console_fd, &error);
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
    int handoff, console, saver;
};

static int open_ends(struct vm_process *process, struct shared_ends *theirs, bool saves,
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
    if (!saves)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_system(error, errno, "the VM's process");
    process->saver = ends[0];
    theirs->saver = ends[1];
    return 0;
}

static void close_ends(struct shared_ends *theirs)
{
    cleanup_close(&theirs->handoff);
    cleanup_close(&theirs->console);
    cleanup_close(&theirs->saver);
}

int vm_process_start(struct vm_process *process, struct vm_config *config,
                     const struct vm_saving *saving, const struct vm_owner *owner,
                     const struct sandbox_config *sandbox, struct log *log,
                     struct timeline *timeline, struct error *error)
{
    struct vm_host host = { .log = log, .timeline = timeline };
    struct shared_ends theirs = { -1, -1, -1 };
    pid_t pid = -1;
    int result;

    *process = (struct vm_process)VM_PROCESS_INIT;
    if ((result = open_ends(process, &theirs, saving != NULL, error)) == 0 &&
        (result = add_vsock(config, theirs.handoff, error)) == 0 &&
        (result = sandbox_create(&process->sandbox, sandbox, log, error)) == 0)
        result = pid = sandbox_fork(process->sandbox, error);
    if (pid == 0) {
        struct saver saver = { .channel = theirs.saver };

        if (saving)
            saver.files = *saving;
        close(process->handoff);
        close(process->console);
        cleanup_close(&process->saver);
        owner->leave(owner->context);
        host.sandbox = process->sandbox;
        be_the_vm(config, &host, process->failure, &saver, theirs.console);
    }
    close_ends(&theirs);
    if (result < 0)
        return result;
    process->runs = true;
    return 0;
}

int vm_process_save(struct vm_process *process, const struct vm_config *config,
                    const struct vm_saving *saving, struct error *error)
{
    sandbox_allow_file(process->sandbox, saving->state_fd, VM_STATE_ROOM);
    sandbox_allow_file(process->sandbox, saving->memory_fd, config->memory);
    if (send(process->saver, "s", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
        return 0;
    return error_system(error, errno, "the VM's process");
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

bool vm_process_ended(struct vm_process *process)
{
    struct pollfd end = { .events = POLLIN };

    if (!process->runs)
        return true;
    end.fd = sandbox_end_fd(process->sandbox);
    if (poll(&end, 1, 0) > 0)
        await(process);
    return !process->runs;
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
    cleanup_close(&process->saver);
    process->handoff = process->console = process->saver = -1;
    if (process->failure)
        munmap(process->failure, sizeof(*process->failure));
    process->failure = NULL;
}
