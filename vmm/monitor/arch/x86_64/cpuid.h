/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_CPUID_H
#define MOTE_X86_CPUID_H

/*
 * What CPUID tells the guest: KVM's supported leaves, with the machine's own
 * topology (one socket, one core a vCPU, no SMT), the hypervisor leaves and the
 * TSC frequency.  Asked of KVM once; only the leaves with an APIC id differ
 * from vCPU to vCPU.
 */

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/monitor/kvm.h"
#include "vmm/machine/state.h"

/* KVM bounds its own table at 256 entries. */
#define CPUID_ENTRIES_MAX 256
/* Leaves that are added here: two of topology, two of the hypervisor's, TSC. */
#define CPUID_ENTRIES_ADDED 8

struct cpuid_template {
    unsigned int cpu_count;
    bool intel;
    struct kvm_cpuid2 header; /* the entries follow */
    struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX + CPUID_ENTRIES_ADDED];
};

/* The caller owns *TEMPLATE and ends it by free(). */
int cpuid_create(struct cpuid_template **template, const struct kvm *kvm, unsigned int cpu_count,
                 uint32_t tsc_khz, struct error *error);

/* Gives VCPU_FD the leaves of APIC id INDEX. */
int cpuid_set(struct cpuid_template *template, int vcpu_fd, unsigned int index,
              struct error *error);

/*
 * Saves TEMPLATE; or loads it, where it must be one that this host's HOST can
 * stand in for: a feature that the host lacks is refused by its name.
 */
void cpuid_state(struct cpuid_template *template, const struct cpuid_template *host,
                 struct state *state);

#endif
