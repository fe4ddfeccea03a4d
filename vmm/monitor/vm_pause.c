/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pausing.  A paused VM's vCPUs are parked; its devices go on.  One that is held
 * stands still as a whole: vCPUs parked, every device locked and drained, so that
 * nothing reads or writes guest memory.
 *
 * Locks are taken in the order of the devices (vm->devices).  Nobody else holds
 * two of them, and what a drain raises goes to the interrupt controller, whose
 * own lock is innermost.
 */

#include "vmm/monitor/vm_internal.h"

static void let_go_on(struct vm *vm)
{
    for (unsigned int i = 0; i < vm->config->cpus; i++)
        arch_vcpu_was_paused(vcpus_fd(vm->vcpus, i));
    vcpus_resume(vm->vcpus);
}

void vm_pause(struct vm *vm)
{
    vcpus_pause(vm->vcpus);
    vm->paused = true;
}

void vm_resume(struct vm *vm)
{
    if (!vm->paused)
        return;
    vm->paused = false;
    let_go_on(vm);
}

bool vm_is_paused(const struct vm *vm)
{
    return vm->paused;
}

void vm_hold(struct vm *vm)
{
    vcpus_pause(vm->vcpus);
    for (size_t i = 0; i < vm->device_count; i++) {
        struct device *device = vm->devices[i];

        pthread_mutex_lock(&device->lock);
        if (device->ops->drain)
            device->ops->drain(device);
    }
}

void vm_release(struct vm *vm)
{
    for (size_t i = vm->device_count; i > 0; i--)
        pthread_mutex_unlock(&vm->devices[i - 1]->lock);
    if (!vm->paused)
        let_go_on(vm);
}
