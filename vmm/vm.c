/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"
#include "devices/virtio/mmio.h"
#include "vmm/arch/arch.h"
#include "vmm/bus.h"
#include "vmm/io_thread.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"

/* Guest marks beyond this number are the guest's own and not shown. */
#define MARKS_MAX 16

struct vm {
    const struct vm_config *config;
    struct vm_host host;
    struct kvm kvm;
    struct guest_memory *memory;
    struct bus mmio;
    struct bus ports;
    struct arch_vm *arch;
    struct guest_event_sink events;
    size_t device_count;
    struct device *devices[MACHINE_DEVICES_MAX];
    struct machine_device records[MACHINE_DEVICES_MAX]; /* of DEVICES, same order */
    struct io_thread *io; /* serves the virtio devices; NULL without any */
    struct vcpus *vcpus;
    bool ending; /* no vCPU is left: what devices asked of KVM goes with the VM */

    pthread_mutex_t lock; /* guards what follows; innermost */
    struct vm_end end;
    uint32_t marks_seen; /* a bit for each mark number */
};

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
        [VCPU_TRIPLE_FAULT] = { VM_RESET, "triple fault" },
        [VCPU_SYSTEM_OFF] = { VM_POWERED_OFF, "firmware power-off" },
        [VCPU_SYSTEM_RESET] = { VM_RESET, "firmware reset" },
        [VCPU_SYSTEM_CRASH] = { VM_PANICKED, "firmware crash report" },
        [VCPU_FAILED] = { VM_FAILED, "KVM stopped the vCPU" },
    };

    end_vm(context, ends[end].kind, ends[end].how);
}

static int create_memory(struct vm *vm, struct error *error)
{
    struct guest_range ranges[2];
    size_t count = arch_memory_layout(vm->config->memory, ranges);

    return guest_memory_create(&vm->memory, ranges, count, error);
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

/* The terminal belongs to the one device that the user chose as the console. */
static struct console *console_for(const struct vm *vm, enum device_kind kind)
{
    unsigned int needed = kind == DEVICE_VIRTIO_MMIO ? CONSOLE_VIRTIO : CONSOLE_SERIAL;

    return vm->config->console == needed ? vm->host.console : NULL;
}

static int create_device(struct vm *vm, const struct machine_device *record, const void *options,
                         struct error *error)
{
    const struct device_ops *ops = device_registry_find(record->kind);
    struct bus *bus = record->space == ADDRESS_PORT ? &vm->ports : &vm->mmio;
    struct device_env env = {
        .memory = vm->memory,
        .loop = record->kind == DEVICE_VIRTIO_MMIO ? io_thread_loop(vm->io) : vm->host.loop,
        .events = &vm->events,
        .console = console_for(vm, record->kind),
        .log = vm->host.log,
    };
    struct device *device;
    int result;

    if (vm->device_count == MACHINE_DEVICES_MAX)
        return error_set(error, ENOSPC, "devices: more than %d; use fewer", MACHINE_DEVICES_MAX);
    if (record->irq != MACHINE_NO_IRQ)
        env.irq = arch_irq_line(vm->arch, record->irq);
    result = ops->create(&device, &env, options, error);
    if (result < 0)
        return result;
    vm->devices[vm->device_count] = device;
    vm->records[vm->device_count] = *record;
    vm->device_count++;
    return bus_add(bus, record->base, record->size, device, error);
}

static int create_devices(struct vm *vm, struct error *error)
{
    size_t count;
    const struct machine_device *platform = arch_platform_devices(&count);

    for (size_t i = 0; i < count; i++) {
        int result;

        if (platform[i].kind == DEVICE_SERIAL && vm->config->console != CONSOLE_SERIAL)
            continue;
        result = create_device(vm, &platform[i], NULL, error);
        if (result < 0)
            return result;
    }
    return 0;
}

static int attach_doorbell(void *context, uint64_t address, uint32_t value, int event_fd)
{
    struct vm *vm = context;

    return kvm_doorbell(&vm->kvm, address, value, event_fd, true);
}

static void detach_doorbell(void *context, uint64_t address, uint32_t value, int event_fd)
{
    struct vm *vm = context;

    if (!vm->ending)
        kvm_doorbell(&vm->kvm, address, value, event_fd, false);
}

/* Memory slots: the guest's RAM has the first ones, each device may have one of the others. */
#define SLOT_OF_DEVICES 16

static uint32_t slot_of(const struct vm *vm, uint64_t address)
{
    uint32_t i = 0;

    while (vm->records[i].base != address)
        i++;
    return SLOT_OF_DEVICES + i;
}

static int show_window(void *context, uint64_t address, void *page)
{
    struct vm *vm = context;

    return kvm_show_page(&vm->kvm, slot_of(vm, address), address, page);
}

static void hide_window(void *context, uint64_t address)
{
    struct vm *vm = context;

    if (!vm->ending)
        kvm_show_page(&vm->kvm, slot_of(vm, address), address, NULL);
}

static int create_virtio_devices(struct vm *vm, struct error *error)
{
    int result = 0;

    if (vm->config->device_count > 0)
        result = io_thread_create(&vm->io, error);
    for (size_t i = 0; result == 0 && i < vm->config->device_count; i++) {
        const struct device_request *request = &vm->config->devices[i];
        struct virtio_mmio_options options = {
            .class = request->row->class,
            .device_options = request->options,
            .doorbell = {
                .attach = attach_doorbell, .detach = detach_doorbell,
                .show = show_window, .hide = hide_window, .context = vm,
            },
        };
        struct machine_device record;

        if (!arch_virtio_window(i, &record))
            return error_set(error, ENOSPC, "--%s: this machine has no room for a %zuth device; "
                             "give fewer", request->row->option, i + 1);
        options.base = record.base;
        result = create_device(vm, &record, &options, error);
    }
    return result;
}

static int create_vcpus(struct vm *vm, const struct machine *machine, struct error *error)
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
    int result = vcpus_create(&vm->vcpus, &env, machine->cpu_count, error);

    for (unsigned int i = 0; result == 0 && i < machine->cpu_count; i++)
        result = arch_vcpu_setup(vm->arch, vcpus_fd(vm->vcpus, i), i, machine, error);
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
    int result;

    if ((result = create_memory(vm, error)) < 0 || (result = create_machine(vm, error)) < 0 ||
        (result = create_devices(vm, error)) < 0 ||
        (result = create_virtio_devices(vm, error)) < 0)
        return result;
    timeline_mark(vm->host.timeline, "devices created");
    /* All is open.  What is read from here on is the guest's. */
    result = sandbox_enter(vm->host.sandbox, error);
    if (result < 0)
        return result;
    timeline_mark(vm->host.timeline, "sandbox entered");
    machine.memory = vm->memory;
    machine.device_count = vm->device_count;
    result = arch_boot_load(vm->arch, source, &machine, error);
    if (result < 0)
        return result;
    timeline_mark(vm->host.timeline, "kernel loaded");
    return create_vcpus(vm, &machine, error);
}

static int open_and_build(struct vm *vm, struct error *error)
{
    struct image kernel = { .fd = -1 }, initrd = { .fd = -1 };
    struct boot_source source = {
        .protocol = vm->config->boot_protocol,
        .kernel = &kernel,
        .command_line = vm->config->command_line,
    };
    int result = image_open_fd(&kernel, "kernel", vm->config->kernel, vm->config->kernel_fd, error);

    if (result == 0 && vm->config->initrd) {
        source.initrd = &initrd;
        result = image_open_fd(&initrd, "initrd", vm->config->initrd, vm->config->initrd_fd,
                               error);
    }
    if (result == 0)
        result = build(vm, &source, error);
    image_close(&kernel);
    image_close(&initrd);
    return result;
}

int vm_create(struct vm **vm, const struct vm_config *config, const struct vm_host *host,
              struct error *error)
{
    struct vm *created = calloc(1, sizeof(*created));
    int result;

    if (!created)
        return error_system(error, ENOMEM, "virtual machine");
    created->config = config;
    created->host = *host;
    created->kvm = (struct kvm)KVM_INIT;
    created->events = (struct guest_event_sink){ .report = guest_reported, .context = created };
    pthread_mutex_init(&created->lock, NULL);
    result = open_and_build(created, error);
    if (result < 0) {
        vm_destroy(created);
        return result;
    }
    timeline_mark(host->timeline, "vCPUs created");
    *vm = created;
    return 0;
}

void vm_refresh(struct vm *vm)
{
    for (size_t i = 0; i < vm->device_count; i++) {
        struct device *device = vm->devices[i];
        struct virtio_device *virtio;

        if (vm->records[i].kind != DEVICE_VIRTIO_MMIO)
            continue;
        virtio = virtio_mmio_device(device);
        if (!virtio->class->refresh)
            continue;
        pthread_mutex_lock(&device->lock);
        virtio->class->refresh(virtio);
        pthread_mutex_unlock(&device->lock);
    }
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
    io_thread_stop(vm->io);
    for (size_t i = 0; i < vm->device_count; i++)
        vm->devices[i]->ops->destroy(vm->devices[i]);
    io_thread_destroy(vm->io);
    arch_vm_destroy(vm->arch);
    kvm_close(&vm->kvm);
    guest_memory_destroy(vm->memory);
    pthread_mutex_destroy(&vm->lock);
    free(vm);
}
