/* SPDX-License-Identifier: Apache-2.0 */
/* A whole VM to a snapshot's files, and from them. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/snapshot/machine_state.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/vm_internal.h"

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
    struct machine_state machine;
    struct state *state;
    int result = state_create(&state, error);

    if (result < 0)
        return result;
    result = machine_state_of(&machine, vm->config, target->id, error);
    if (result == 0) {
        machine_state(&machine, state);
        machine_state_release(&machine);
        parts_state(vm, state);
        result = state_finish(state, error);
    }
    if (result == 0) {
        size_t length;
        const void *bytes = state_saved(state, &length);

        result = machine_state_write(target->state_fd, bytes, length, error);
    }
    state_destroy(state);
    return result;
}

int vm_save(struct vm *vm, const struct vm_snapshot_target *target, struct error *error)
{
    int base = vm->config->snapshot ? vm->config->snapshot->memory_fd : -1;
    int result;

    vm_hold(vm);
    result = save_state(vm, target, error);
    if (result == 0)
        result = memory_file_write(target->memory_fd, vm->memory, vm->page_map, base, error);
    vm_release(vm);
    return result;
}

/* ---- loading --------------------------------------------------------------- */

static int load_state(struct vm *vm, struct state *state, struct error *error)
{
    struct machine_state machine = { .arch = NULL };
    int result = 0;

    machine_state(&machine, state);
    if (state_is_sound(state))
        result = memory_file_check(vm->config->snapshot->memory_fd, guest_memory_size(vm->memory),
                                   machine.id, error);
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
