/* SPDX-License-Identifier: Apache-2.0 */
/* A whole VM to a snapshot's files, and from them. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/snapshot/machine_state.h"
#include "vmm/snapshot/memory_chain.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/working_set.h"
#include "vmm/monitor/vm_internal.h"

/* After the section of the machine: what is KVM's, then the devices, in their order. */
static void parts_state(struct vm *vm, struct state *state)
{
    arch_vm_state(vm->arch, vcpus_fd(vm->vcpus, 0), vm->config->cpus, state);
    for (unsigned int i = 0; i < vm->config->cpus; i++)
        arch_vcpu_state(vm->arch, vcpus_fd(vm->vcpus, i), i, state);
    for (size_t i = 0; i < vm->device_count; i++)
        if (vm->devices[i]->ops->state)
            vm->devices[i]->ops->state(vm->devices[i], state);
}

/* ---- saving ---------------------------------------------------------------- */

static int save_state(struct vm *vm, const struct vm_snapshot_target *target, struct error *error)
{
    struct state *state;
    int result = state_create(&state, error);

    if (result < 0)
        return result;
    machine_state_save(vm->config, target->id, state);
    parts_state(vm, state);
    result = state_finish(state, error);
    if (result == 0) {
        size_t length;
        const void *bytes = state_saved(state, &length);

        result = machine_state_write(target->state_fd, bytes, length, error);
    }
    state_destroy(state);
    return result;
}

/* A VM that came from the base itself knows by its page tables what is still the base's. */
static bool came_from_base(const struct vm *vm, const struct vm_snapshot_target *target)
{
    return vm->config->snapshot && memcmp(vm->config->snapshot->id, target->base_id,
                                          sizeof(target->base_id)) == 0;
}

static int save_memory(struct vm *vm, const struct vm_snapshot_target *target, struct error *error)
{
    struct memory_chain source = { .count = 0 }, base = { .count = 0 };
    struct memory_saving saving = { .page_map = vm->page_map };
    uint64_t size = guest_memory_size(vm->memory);
    int result = 0;

    if (vm->config->snapshot) {
        saving.source = &source;
        result = memory_chain_open_source(&source, vm->config->snapshot, size, error);
    }
    if (result == 0 && target->base_count > 0) {
        saving.base = saving.source && came_from_base(vm, target) ? &source : &base;
        if (saving.base == &base)
            result = memory_chain_open(&base, target->base_fds, target->base_count, size, error);
    }
    if (result == 0)
        result = memory_file_write(target->memory_fd, vm->memory, &saving, error);
    memory_chain_close(&base);
    memory_chain_close(&source);
    return result;
}

int vm_save(struct vm *vm, const struct vm_snapshot_target *target, struct error *error)
{
    int result;

    vm_hold(vm);
    result = save_state(vm, target, error);
    if (result == 0)
        result = save_memory(vm, target, error);
    vm_release(vm);
    return result;
}

/* ---- loading --------------------------------------------------------------- */

/* The last file of the chain is mapped already; those before it are, once it is sure whose they are. */
static int load_memory(struct vm *vm, const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error)
{
    const struct vm_snapshot_source *source = vm->config->snapshot;
    uint64_t size = guest_memory_size(vm->memory);
    struct memory_chain chain;
    int result = memory_file_check(source->memory_fd, size, id,
                                   source->base_count > 0 ? MEMORY_DIFFERENCE : MEMORY_FULL, error);

    if (result < 0)
        return result;
    result = memory_chain_open_source(&chain, source, size, error);
    if (result == 0)
        working_set_read_ahead(source, &chain, vm->memory);
    if (result == 0 && source->base_count > 0)
        result = memory_chain_map(&chain, vm->memory, error);
    memory_chain_close(&chain);
    return result;
}

static int load_state(struct vm *vm, struct state *state, struct error *error)
{
    struct machine_state machine = MACHINE_STATE_INIT;
    int result = 0;

    machine_state(&machine, state);
    if (state_is_sound(state))
        result = load_memory(vm, machine.id, error);
    machine_state_release(&machine);
    if (result < 0)
        return result;
    parts_state(vm, state);
    result = state_finish(state, error);
    for (unsigned int i = 0; result == 0 && i < vm->config->cpus; i++)
        arch_vcpu_was_paused(vcpus_fd(vm->vcpus, i));
    return result;
}

int vm_load(struct vm *vm, struct error *error)
{
    struct state *state;
    void *bytes;
    size_t length;
    int result = machine_state_read(vm->config->snapshot->state_fd, &bytes, &length, error);

    if (result < 0)
        return result;
    result = state_open(&state, bytes, length, error);
    if (result == 0) {
        result = load_state(vm, state, error);
        state_destroy(state);
    }
    free(bytes);
    return result;
}

/* ---- what it needs first --------------------------------------------------- */

void vm_record(struct vm *vm)
{
    const struct vm_snapshot_source *source = vm->config->snapshot;

    if (vm->recorded || !source || source->record_fd < 0)
        return;
    vm->recorded = true;
    working_set_record(source, vm->memory, vm->page_map);
    close(source->record_fd);
}

void vm_record_end(struct vm *vm)
{
    if (vm->record_timer < 0)
        return;
    working_set_record(vm->config->snapshot, vm->memory, vm->page_map);
    event_loop_remove(vm->host.loop, vm->record_timer);
    cleanup_close(&vm->record_timer);
    vm->record_timer = -1;
}

static void time_has_come(void *context, uint32_t events)
{
    (void)events;
    vm_record_end(context);
}

int vm_record_begin(struct vm *vm, struct error *error)
{
    struct itimerspec when = {
        .it_value = { WORKING_SET_AFTER_MS / 1000, WORKING_SET_AFTER_MS % 1000 * 1000000 },
    };
    struct event_source source = { .events = EPOLLIN, .handler = time_has_come, .context = vm };
    int result = 0;

    if (vm->config->snapshot->record_fd < 0 || vm->config->snapshot->awaits_job)
        return 0;
    vm->record_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (vm->record_timer < 0 || timerfd_settime(vm->record_timer, 0, &when, NULL) < 0)
        return error_system(error, errno, "snapshot");
    source.fd = vm->record_timer;
    result = event_loop_add(vm->host.loop, &source);
    return result < 0 ? error_system(error, -result, "event loop") : 0;
}
