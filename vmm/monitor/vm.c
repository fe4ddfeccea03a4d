/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/vm_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/huge_pages.h"
#include "vmm/jail/sandbox.h"

/* Guest marks beyond this number are the guest's own and not shown. */
#define MARKS_MAX 16

static void end_vm(struct vm *vm, enum vm_end_kind kind, const char *how)
{
    pthread_mutex_lock(&vm->lock);
    if (vm->end.kind == VM_RUNNING) {
        vm->end = (struct vm_end){ .kind = kind, .how = how };
        timeline_mark(vm->host.timeline, "guest ended");
        /* Once: a later stop would wait in the loop for the restarted VM. */
        event_loop_stop(vm->host.loop);
    }
    pthread_mutex_unlock(&vm->lock);
}

void vm_stop(struct vm *vm, const char *how)
{
    end_vm(vm, VM_STOPPED, how);
}

static void mark(struct vm *vm, uint32_t number)
{
    bool first;

    if (number == 0 || number > MARKS_MAX)
        return;
    pthread_mutex_lock(&vm->lock);
    first = !(vm->marks_seen & 1u << number);
    vm->marks_seen |= 1u << number;
    pthread_mutex_unlock(&vm->lock);
    if (first)
        timeline_mark_number(vm->host.timeline, "guest mark", number);
}

static void guest_reported(void *context, enum guest_event event, const char *source,
                           uint32_t detail)
{
    struct vm *vm = context;

    switch (event) {
    case GUEST_POWER_OFF:
        end_vm(vm, VM_POWERED_OFF, source);
        break;
    case GUEST_RESET:
        end_vm(vm, VM_RESET, source);
        break;
    case GUEST_PANICKED:
        end_vm(vm, VM_PANICKED, source);
        break;
    case GUEST_MARK:
        mark(vm, detail);
        break;
    }
}

static void vcpu_ended(void *context, enum vcpu_end end)
{
    static const struct vm_end ends[] = {
        [VCPU_SHUTDOWN] = { VM_RESET, arch_shutdown_cause },
        [VCPU_SYSTEM_OFF] = { VM_POWERED_OFF, "firmware power-off" },
        [VCPU_SYSTEM_RESET] = { VM_RESET, "firmware reset" },
        [VCPU_SYSTEM_CRASH] = { VM_PANICKED, "firmware crash report" },
        [VCPU_FAILED] = { VM_FAILED, "KVM stopped the vCPU" },
    };

    end_vm(context, ends[end].kind, ends[end].how);
}

/* The full one of a snapshot's memory files; -1 for no snapshot. */
static int memory_file(const struct vm_snapshot_source *snapshot)
{
    if (!snapshot)
        return -1;
    return snapshot->base_count > 0 ? snapshot->base_fds[snapshot->base_count - 1]
                                    : snapshot->memory_fd;
}

static int create_memory(struct vm *vm, struct error *error)
{
    struct guest_range ranges[2];
    size_t count = arch_memory_layout(vm->config->memory, ranges);
    int result = guest_memory_create_from(&vm->memory, ranges, count,
                                          memory_file(vm->config->snapshot), error);
    const char *refused_by;

    if (result < 0 || vm->config->snapshot)
        return result;
    refused_by = vm->config->pages == GUEST_PAGES_HUGE ? huge_pages_refused_by(HUGE_PAGES_FOLDER)
                                                       : NULL;
    if (refused_by)
        log_warn(vm->host.log, "--huge-pages on: has no effect, as this host gives none; as root: "
                 "echo madvise >%s/%s", HUGE_PAGES_FOLDER, refused_by);
    return guest_memory_set_pages(vm->memory, (enum guest_pages)vm->config->pages, error);
}

static int show_memory(struct vm *vm, struct error *error)
{
    for (size_t i = 0; i < guest_memory_region_count(vm->memory); i++) {
        struct guest_range region = guest_memory_region(vm->memory, i);
        struct guest_slice slice;
        int result = guest_memory_slice(vm->memory, region.address, region.size, &slice);

        if (result < 0)
            return error_system(error, -result, "guest memory");
        result = kvm_add_memory(&vm->kvm, (uint32_t)i, region.address, slice.length, slice.bytes,
                                error);
        if (result < 0)
            return result;
    }
    return 0;
}

/* KVM first, then memory: the order that start time wants (docs/start-time.md). */
static int create_machine(struct vm *vm, struct error *error)
{
    int result;

    if ((result = kvm_open(&vm->kvm, vm->config->kvm_path, error)) < 0 ||
        (result = kvm_create_vm(&vm->kvm, error)) < 0)
        return result;
    timeline_mark(vm->host.timeline, "VM created");
    if ((result = arch_vm_create(&vm->arch, &vm->kvm, &vm->mmio, vm->config->device_count,
                                 vm->host.log, error)) < 0)
        return result;
    return show_memory(vm, error);
}

static int create_vcpus(struct vm *vm, struct error *error)
{
    struct vcpu_env env = {
        .kvm = &vm->kvm,
        .arch = vm->arch,
        .mmio = &vm->mmio,
        .ports = &vm->ports,
        .log = vm->host.log,
        .sandbox = vm->host.sandbox,
        .ended = vcpu_ended,
        .context = vm,
    };

    return vcpus_create(&vm->vcpus, &env, vm->config->cpus, error);
}

/*
 * What a snapshot wants to know of the guest's pages; it costs an open, and cannot be had in the jail.  Not with root's
 * rights, which would stay with the descriptor: whether pages are there is wanted, and not where on the host they lie.
 */
static void open_page_map(struct vm *vm)
{
    if (vm->config->may_be_saved || (vm->config->snapshot && vm->config->snapshot->record_fd >= 0))
        vm->page_map = sandbox_open_unprivileged("/proc/self/pagemap", O_RDONLY);
}

/* All that can be opened; what is read from then on is the guest's. */
static int open_machine(struct vm *vm, struct error *error)
{
    int result;

    if ((result = create_memory(vm, error)) < 0 || (result = create_machine(vm, error)) < 0 ||
        (result = vm_create_devices(vm, error)) < 0)
        return result;
    open_page_map(vm);
    timeline_mark(vm->host.timeline, "devices created");
    result = sandbox_enter(vm->host.sandbox, error);
    if (result == 0)
        timeline_mark(vm->host.timeline, "sandbox entered");
    return result;
}

/* With the images open: all that can fail. */
static int build(struct vm *vm, const struct boot_source *source, struct error *error)
{
    struct machine machine = {
        .cpu_count = vm->config->cpus,
        .describe = (enum describe)vm->config->describe,
        .devices = vm->records,
    };
    int result = open_machine(vm, error);

    if (result < 0)
        return result;
    machine.memory = vm->memory;
    machine.device_count = vm->device_count;
    if ((result = arch_boot_load(vm->arch, source, &machine, error)) < 0 ||
        (result = arch_new_generation(vm->arch, vm->memory, false, error)) < 0)
        return result;
    timeline_mark(vm->host.timeline, "kernel loaded");
    result = create_vcpus(vm, error);
    for (unsigned int i = 0; result == 0 && i < machine.cpu_count; i++)
        result = arch_vcpu_setup(vm->arch, vcpus_fd(vm->vcpus, i), i, &machine, error);
    return result;
}

static int build_from_snapshot(struct vm *vm, struct error *error)
{
    int result = open_machine(vm, error);

    if (result == 0)
        result = create_vcpus(vm, error);
    if (result == 0)
        result = vm_load(vm, error);
    if (result == 0)
        result = arch_new_generation(vm->arch, vm->memory, true, error);
    if (result == 0)
        result = vm_record_begin(vm, error);
    if (result == 0)
        timeline_mark(vm->host.timeline, "state loaded");
    return result;
}

static int open_and_build(struct vm *vm, struct error *error)
{
    struct image kernel = { .fd = -1 }, initrd = { .fd = -1 };
    struct boot_source source = {
        .protocol = vm->config->boot_protocol,
        .kernel = &kernel,
        .command_line = vm->config->command_line,
        .console_matters = vm->config->console_matters,
    };
    int result;

    if (vm->config->snapshot)
        return build_from_snapshot(vm, error);
    /* The supervisor has opened them; they are parsed in the jail. */
    result = image_adopt(&kernel, "kernel", vm->config->kernel, vm->config->kernel_fd, error);
    if (result == 0 && vm->config->initrd) {
        source.initrd = &initrd;
        result = image_adopt(&initrd, "initrd", vm->config->initrd, vm->config->initrd_fd, error);
    }
    if (result == 0)
        result = build(vm, &source, error);
    image_close(&kernel);
    image_close(&initrd);
    return result;
}

int vm_create(struct vm **vm, struct vm_config *config, const struct vm_host *host,
              struct error *error)
{
    struct vm *created = calloc(1, sizeof(*created));
    int result;

    if (!created)
        return error_system(error, ENOMEM, "virtual machine");
    created->config = config;
    created->host = *host;
    created->kvm = (struct kvm)KVM_INIT;
    created->page_map = -1;
    created->record_timer = -1;
    created->events = (struct guest_event_sink){ .report = guest_reported, .context = created };
    pthread_mutex_init(&created->lock, NULL);
    signal(SIGPIPE, SIG_IGN); /* devices write to pipes and sockets, whose readers may leave */
    result = open_and_build(created, error);
    if (result < 0) {
        vm_destroy(created);
        return result;
    }
    timeline_mark(host->timeline, "vCPUs created");
    *vm = created;
    return 0;
}

int vm_run(struct vm *vm, struct vm_end *end, struct error *error)
{
    int result;

    timeline_mark(vm->host.timeline, "vCPUs start");
    if (vm->io && (result = io_thread_start(vm->io, vm->host.sandbox, error)) < 0)
        return result;
    result = vcpus_start(vm->vcpus, error);
    if (result < 0)
        return result;
    result = event_loop_run(vm->host.loop, error);
    vcpus_stop(vm->vcpus);
    vm_record_end(vm);
    io_thread_stop(vm->io);
    *end = vm->end;
    return result;
}

void vm_destroy(struct vm *vm)
{
    if (!vm)
        return;
    vcpus_destroy(vm->vcpus);
    vm->ending = true;
    vm_destroy_devices(vm);
    arch_vm_destroy(vm->arch);
    kvm_close(&vm->kvm);
    guest_memory_destroy(vm->memory);
    cleanup_close(&vm->page_map);
    cleanup_close(&vm->record_timer);
    pthread_mutex_destroy(&vm->lock);
    free(vm);
}
