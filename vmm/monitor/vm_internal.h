/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_INTERNAL_H
#define MOTE_VM_INTERNAL_H

/* The virtual machine, its parts among themselves: vm.c, vm_devices.c, vm_pause.c, snapshot/vm_state.c. */

#include <pthread.h>

#include "vmm/monitor/arch/arch.h"
#include "vmm/monitor/bus.h"
#include "vmm/machine/guest_event.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/monitor/io_thread.h"
#include "vmm/monitor/kvm.h"
#include "vmm/monitor/vcpu.h"
#include "vmm/monitor/vm.h"

struct vm {
    struct vm_config *config; /* follows what is changed while it runs, so that a snapshot has that */
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
    int page_map; /* /proc/self/pagemap, or -1: where a snapshot learns which pages were touched */
    bool paused;  /* by vm_pause() */
    int record_timer; /* when what the guest touched is recorded; -1: that was done, or is not wanted */
    bool recorded; /* by vm_record() */
    bool ending; /* no vCPU is left: what devices asked of KVM goes with the VM */

    pthread_mutex_t lock; /* guards what follows; innermost */
    struct vm_end end;
    uint32_t marks_seen; /* a bit for each mark number */
};

/* ---- vm_devices.c ---- */
/* The platform's devices, then those of the configuration; what was made stays on an error. */
int vm_create_devices(struct vm *vm, struct error *error);
void vm_destroy_devices(struct vm *vm);

/* ---- vm_pause.c ---- */
/* Stands still as a whole, until vm_release(): see there. */
void vm_hold(struct vm *vm);
void vm_release(struct vm *vm);

/* ---- snapshot/vm_state.c ---- */
/* The VM of config->snapshot, all of whose parts have been made. */
int vm_load(struct vm *vm, struct error *error);
/* What the VM has touched by a certain time, or by its end: around its run. */
int vm_record_begin(struct vm *vm, struct error *error);
void vm_record_end(struct vm *vm);

#endif
