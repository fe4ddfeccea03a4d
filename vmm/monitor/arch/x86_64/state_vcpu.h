/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_STATE_VCPU_H
#define MOTE_X86_STATE_VCPU_H

/* One vCPU between KVM and a saved state; private to this folder. */

#include <linux/kvm.h>

#include "arch_vm.h"
#include "cpuid.h"
#include "vmm/machine/state.h"

#define VCPU_XSAVE_MAX (64u << 10)
#define VCPU_MSRS_MAX 512

struct vcpu_state {
    struct arch_vm *arch;
    int fd;
    unsigned int index;
    uint32_t tsc_khz;
    struct kvm_mp_state mp;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_xcrs xcrs;
    size_t xcr_count;
    struct kvm_debugregs debug;
    struct kvm_lapic_state lapic;
    struct kvm_vcpu_events events;
    size_t xsave_size; /* of this host's KVM */
    uint8_t xsave[VCPU_XSAVE_MAX];
    size_t msr_count;
    struct {
        struct kvm_msrs header;
        struct kvm_msr_entry entries[VCPU_MSRS_MAX];
    } msrs;
};

/* An ioctl whose failure ends saving or loading, by its NAME. */
void vcpu_ask(const struct vcpu_state *vcpu, struct state *state, int fd, unsigned long request,
              const char *name, void *argument);

/* ---- state_msrs.c ---- */
void vcpu_msrs_get(struct vcpu_state *vcpu, struct state *state);
void vcpu_msr_fields(struct vcpu_state *vcpu, struct state *state);
void vcpu_msrs_set(struct vcpu_state *vcpu, struct state *state);

#endif
