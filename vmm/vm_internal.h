/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_INTERNAL_H
#define MOTE_VM_INTERNAL_H

/* The virtual machine, its parts among themselves: vm.c, vm_devices.c, vm_pause.c and snapshot/. */

#include <pthread.h>

#include "vmm/arch/arch.h"
#include "vmm/bus.h"
#include "vmm/guest_event.h"
#include "vmm/guest_memory.h"
#include "vmm/io_thread.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

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

/* ---- vm_devices.c ---- */
/* The platform's devices, then those of the configuration; what was made stays on an error. */
int vm_create_devices(struct vm *vm, struct error *error);
void vm_destroy_devices(struct vm *vm);

#endif
