/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_CPUID_H
#define MOTE_X86_CPUID_H

/*
 * What CPUID tells the guest: KVM's supported leaves, with the machine's own
 * topology (one socket, one core a vCPU, no SMT), the hypervisor leaves and the
 * TSC frequency.  Asked of KVM once; only the leaves with an APIC id differ
 * from vCPU to vCPU.
 */

#include <stdint.h>

#include "vmm/error.h"
#include "vmm/kvm.h"

struct cpuid_template;

/* The caller owns *TEMPLATE and ends it by free(). */
int cpuid_create(struct cpuid_template **template, const struct kvm *kvm, unsigned int cpu_count,
                 uint32_t tsc_khz, struct error *error);

/* Gives VCPU_FD the leaves of APIC id INDEX. */
int cpuid_set(struct cpuid_template *template, int vcpu_fd, unsigned int index,
              struct error *error);

#endif
