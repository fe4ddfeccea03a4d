/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_ARCH_VM_H
#define MOTE_X86_ARCH_VM_H

/* What this architecture keeps for one VM; private to this folder. */

#include "boot.h"
#include "vmm/monitor/kvm.h"
#include "vmm/base/log.h"

struct cpuid_template;
struct device;

struct arch_vm {
    struct kvm *kvm; /* the VM's owner keeps it */
    struct log *log;
    struct device *ioapic;
    struct cpuid_template *cpuid; /* made for the first vCPU, then shared */
    struct boot_entry entry;      /* set by arch_boot_load() */
    /* While it is saved or restored, ns. */
    uint64_t elapsed;  /* from the saving to the loading */
    uint64_t clock_at; /* when KVM's clock was read or set, by arch_monotonic() */
};

/* CLOCK_MONOTONIC, ns. */
uint64_t arch_monotonic(void);

#endif
