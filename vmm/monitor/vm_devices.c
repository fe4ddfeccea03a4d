/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual machine's devices, and what KVM does for the virtio ones among them. */

#include <errno.h>
#include <string.h>

#include "devices/registry.h"
#include "devices/backend/console.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/mmio.h"
#include "vmm/base/page_size.h"
#include "vmm/monitor/vm_internal.h"

/* The terminal belongs to the one device that the user chose as the console. */
static struct console *console_for(const struct vm *vm, enum device_kind kind)
{
    unsigned int needed = kind == DEVICE_VIRTIO_MMIO ? CONSOLE_VIRTIO : CONSOLE_SERIAL;

    return vm->config->console == needed ? vm->host.console : NULL;
}

static int create_device(struct vm *vm, const struct machine_device *record, const void *options,
                         struct error *error)
{
    const struct device_ops *ops = record->ops ? record->ops : device_registry_find(record->kind);
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

static int create_platform_devices(struct vm *vm, struct error *error)
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
    uint32_t slot = slot_of(vm, address);

    /* A page of this host's would stand in for the neighbours' windows, too. */
    if (vm->records[slot - SLOT_OF_DEVICES].size < page_size())
        return -ENOTSUP;
    return kvm_show_page(&vm->kvm, slot, address, page);
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
        const struct device_config *device = vm->config->devices[i];
        struct virtio_mmio_options options = {
            .virtio = {
                .class = device_classes[device->type],
                .device_options = device_config_values(device),
                .index = (uint32_t)i,
            },
            .window = {
                .attach = attach_doorbell, .detach = detach_doorbell,
                .show = show_window, .hide = hide_window, .context = vm,
            },
        };
        struct machine_device record;

        if (!arch_virtio_window(i, &record))
            return error_set(error, ENOSPC, "--%s: this machine has no room for a %zuth device; "
                             "give fewer", device_rows[device->type]->option, i + 1);
        options.base = record.base;
        result = create_device(vm, &record, &options, error);
    }
    return result;
}

int vm_create_devices(struct vm *vm, struct error *error)
{
    int result = create_platform_devices(vm, error);

    return result < 0 ? result : create_virtio_devices(vm, error);
}

void vm_destroy_devices(struct vm *vm)
{
    io_thread_stop(vm->io);
    for (size_t i = 0; i < vm->device_count; i++)
        vm->devices[i]->ops->destroy(vm->devices[i]);
    io_thread_destroy(vm->io);
}

/* The virtio device behind the Ith one of the VM; NULL: it is another kind. */
static struct virtio_device *virtio_at(const struct vm *vm, size_t i)
{
    return vm->records[i].kind == DEVICE_VIRTIO_MMIO ? virtio_device_of(vm->devices[i]) : NULL;
}

void vm_refresh(struct vm *vm)
{
    for (size_t i = 0; i < vm->device_count; i++) {
        struct virtio_device *virtio = virtio_at(vm, i);

        if (!virtio || !virtio->class->refresh)
            continue;
        pthread_mutex_lock(&vm->devices[i]->lock);
        virtio->class->refresh(virtio);
        pthread_mutex_unlock(&vm->devices[i]->lock);
    }
}

bool vm_console_is_driven(struct vm *vm)
{
    for (size_t i = 0; i < vm->device_count; i++) {
        struct device *device = vm->devices[i];
        const struct virtio_device *virtio = virtio_at(vm, i);
        bool driven;

        if (virtio ? virtio->class->id != VIRTIO_ID_CONSOLE : vm->records[i].kind != DEVICE_SERIAL)
            continue;
        pthread_mutex_lock(&device->lock);
        driven = device->written;
        pthread_mutex_unlock(&device->lock);
        if (driven)
            return true;
    }
    return false;
}

/* The VM's only balloon with its lock held, which is to be released; NULL: there is none. */
static struct virtio_device *take_balloon(struct vm *vm, pthread_mutex_t **lock)
{
    for (size_t i = 0; i < vm->device_count; i++) {
        struct virtio_device *virtio = virtio_at(vm, i);

        if (!virtio || virtio->class != &balloon_class)
            continue;
        *lock = &vm->devices[i]->lock;
        pthread_mutex_lock(*lock);
        return virtio;
    }
    return NULL;
}

_Static_assert(VM_GUEST_FIGURES == BALLOON_STAT_COUNT, "virtio 1.2, 5.5.6.4");

void vm_read_statistics(struct vm *vm, struct vm_statistics *statistics)
{
    struct balloon_state balloon;
    struct virtio_device *device;
    pthread_mutex_t *lock;

    *statistics = (struct vm_statistics){ .balloon_target = UINT64_MAX, .balloon_actual = UINT64_MAX };
    memset(statistics->guest, 0xff, sizeof(statistics->guest));
    if (vm->host.console) {
        struct console_counters console = console_counters(vm->host.console);

        statistics->console_written = console.written;
        statistics->console_discarded = console.discarded;
    }
    device = take_balloon(vm, &lock);
    if (!device)
        return;
    virtio_balloon_state(device, &balloon);
    pthread_mutex_unlock(lock);
    statistics->balloon_target = balloon.target;
    statistics->balloon_actual = balloon.actual;
    memcpy(statistics->guest, balloon.stats, sizeof(statistics->guest));
}

int vm_set_balloon(struct vm *vm, uint64_t bytes, struct error *error)
{
    pthread_mutex_t *lock;
    struct virtio_device *device = take_balloon(vm, &lock);

    if (device) {
        int result = virtio_balloon_set_target(device, bytes, error);

        pthread_mutex_unlock(lock);
        return result;
    }
    return error_set(error, ENODEV, "balloon: the VM has none; boot it with --balloon");
}

/* The virtio device of the configuration's device number INDEX, which has the type TYPE; NULL: that has another. */
static struct device *device_of(const struct vm *vm, uint32_t index, enum device_type type)
{
    if (index >= vm->config->device_count || vm->config->devices[index]->type != type)
        return NULL;
    for (size_t i = 0; i < vm->device_count; i++)
        if (virtio_at(vm, i) && index-- == 0)
            return vm->devices[i];
    return NULL;
}

static int no_device(const char *kind, struct error *error)
{
    return error_set(error, ENODEV, "%s: the VM has no such device; this is an error of mote's: report it", kind);
}

int vm_replace_disk(struct vm *vm, uint32_t index, const struct block_host *host, const char *path, struct error *error)
{
    struct device *device = device_of(vm, index, DEVICE_TYPE_DISK);
    const char *name = config_pool_text(&vm->config->pool, path);
    struct block_options *disk;
    int result;

    if (!device)
        return no_device("disk", error);
    if (!name)
        return error_system(error, ENOMEM, "disk %s", path);
    pthread_mutex_lock(&device->lock);
    result = virtio_block_replace(virtio_device_of(device), host, name, error);
    pthread_mutex_unlock(&device->lock);
    if (result < 0)
        return result;
    disk = &vm->config->devices[index]->disk;
    disk->path = name;
    disk->fd = -1;
    disk->block_size = host->disk.block_size;
    return 0;
}

static int set_disk_rate(struct vm *vm, uint32_t index, const struct rate_limit_config *rate, int *timer_fd,
                         struct error *error)
{
    struct device *device = device_of(vm, index, DEVICE_TYPE_DISK);
    int result;

    pthread_mutex_lock(&device->lock);
    result = virtio_block_set_rate(virtio_device_of(device), rate, timer_fd, error);
    pthread_mutex_unlock(&device->lock);
    if (result == 0)
        vm->config->devices[index]->disk.rate = *rate;
    return result;
}

int vm_set_rate(struct vm *vm, uint32_t index, const struct rate_limit_config *receive,
                const struct rate_limit_config *transmit, int timer_fds[2], struct error *error)
{
    struct device *device = device_of(vm, index, DEVICE_TYPE_NET);
    int result;

    if (device_of(vm, index, DEVICE_TYPE_DISK))
        return set_disk_rate(vm, index, transmit, timer_fds, error);
    if (!device)
        return no_device("net", error);
    pthread_mutex_lock(&device->lock);
    result = virtio_net_set_rates(virtio_device_of(device), receive, transmit, timer_fds, error);
    pthread_mutex_unlock(&device->lock);
    if (result < 0)
        return result;
    vm->config->devices[index]->net.receive_rate = *receive;
    vm->config->devices[index]->net.transmit_rate = *transmit;
    return 0;
}
