/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of the vCPUs: all that KVM tells of each, in one section.
 *
 * Two orders matter.  Reading: the multiprocessing state first, as asking for it
 * lets KVM deliver a pending INIT or SIPI; the MSRs before the local APIC, or a
 * timer that expires between the two would be in neither.  Writing: CPUID before
 * all, as it says what else is legal; the system registers before the rest; the
 * local APIC before the MSRs, as the TSC deadline counts only in the timer's
 * mode; events last, as most others clear them.
 *
 * KVM_GET_SREGS and not SREGS2: the page-directory pointers that the latter adds
 * KVM reads again from the guest's memory, which is restored by then.
 */

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "arch_vm.h"
#include "layout.h"
#include "state_vcpu.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"

const char arch_name[] = "x86_64";

#define EXCEPTIONS 32
#define EXCEPTION_NMI 2
#define EVENT_FLAGS                                                                            \
    (KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |                       \
     KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_PAYLOAD |      \
     KVM_VCPUEVENT_VALID_TRIPLE_FAULT)

void vcpu_ask(const struct vcpu_state *vcpu, struct state *state, int fd, unsigned long request,
              const char *name, void *argument)
{
    struct error error = ERROR_INIT;
    int result;

    if (!state_is_sound(state))
        return;
    result = kvm_ioctl(fd, request, (uintptr_t)argument);
    if (result >= 0)
        return;
    error_set(&error, -result, "snapshot: vCPU %u: %s: %s; the message log of the host's kernel "
              "may tell more", vcpu->index, name, strerror(-result));
    state_fail(state, &error);
}

#define ASK(request, argument) vcpu_ask(vcpu, state, vcpu->fd, request, #request, argument)

/* ---- fields ---------------------------------------------------------------- */

/* KVM's 64 bits are another type than the C library's. */
static void words(struct state *state, __u64 *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = values[i];

        state_u64(state, &value);
        values[i] = value;
    }
}

static void segment_fields(struct state *state, struct kvm_segment *segment)
{
    words(state, &segment->base, 1);
    state_u32(state, &segment->limit);
    state_u16(state, &segment->selector);
    /* Eight flags and the type, a byte each, in KVM's order. */
    state_bytes(state, &segment->type, offsetof(struct kvm_segment, padding) -
                offsetof(struct kvm_segment, type));
}

static void table_fields(struct state *state, struct kvm_dtable *table)
{
    words(state, &table->base, 1);
    state_u16(state, &table->limit);
}

static void system_fields(struct state *state, struct kvm_sregs *sregs)
{
    struct kvm_segment *segments[] = {
        &sregs->cs, &sregs->ds, &sregs->es, &sregs->fs, &sregs->gs, &sregs->ss, &sregs->tr,
        &sregs->ldt,
    };
    uint64_t pending = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(segments); i++)
        segment_fields(state, segments[i]);
    table_fields(state, &sregs->gdt);
    table_fields(state, &sregs->idt);
    words(state, &sregs->cr0, 5); /* cr0, 2, 3, 4, 8 */
    words(state, &sregs->efer, 1);
    words(state, &sregs->apic_base, 1);
    words(state, sregs->interrupt_bitmap, ARRAY_LENGTH(sregs->interrupt_bitmap));
    state_require(state, (sregs->apic_base & ~0xfffull) == LAYOUT_LAPIC, "the local APIC's address");
    for (size_t i = 0; i < ARRAY_LENGTH(sregs->interrupt_bitmap); i++)
        pending += (uint64_t)__builtin_popcountll(sregs->interrupt_bitmap[i]);
    state_require(state, pending <= 1, "the number of interrupts in delivery");
}
_Static_assert(offsetof(struct kvm_sregs, efer) - offsetof(struct kvm_sregs, cr0) == 40,
               "cr0, cr2, cr3, cr4, cr8 stand together");

static void extended_fields(struct state *state, struct vcpu_state *vcpu)
{
    size_t size = vcpu->xsave_size, known;

    state_count(state, &vcpu->xcr_count, KVM_MAX_XCRS);
    for (size_t i = 0; i < vcpu->xcr_count; i++) {
        state_u32(state, &vcpu->xcrs.xcrs[i].xcr);
        words(state, &vcpu->xcrs.xcrs[i].value, 1);
    }
    vcpu->xcrs.nr_xcrs = (uint32_t)vcpu->xcr_count;
    state_count(state, &size, VCPU_XSAVE_MAX);
    known = size < vcpu->xsave_size ? size : vcpu->xsave_size;
    state_bytes(state, vcpu->xsave, known);
    /* What this host has less is all zero in a state that it can take. */
    for (size_t i = known; i < size; i++) {
        uint8_t byte = 0;

        state_u8(state, &byte);
        state_require(state, byte == 0, "the size of the extended state");
    }
}

static void debug_fields(struct state *state, struct kvm_debugregs *debug)
{
    words(state, debug->db, ARRAY_LENGTH(debug->db));
    words(state, &debug->dr6, 1);
    words(state, &debug->dr7, 1);
    state_require(state, debug->dr6 <= UINT32_MAX && debug->dr7 <= UINT32_MAX,
                  "a debug register");
}

static void event_fields(struct state *state, struct kvm_vcpu_events *events)
{
    state_u8(state, &events->exception.injected);
    state_u8(state, &events->exception.nr);
    state_u8(state, &events->exception.has_error_code);
    state_u8(state, &events->exception.pending);
    state_u32(state, &events->exception.error_code);
    state_u8(state, &events->interrupt.injected);
    state_u8(state, &events->interrupt.nr);
    state_u8(state, &events->interrupt.soft);
    state_u8(state, &events->interrupt.shadow);
    state_u8(state, &events->nmi.injected);
    state_u8(state, &events->nmi.pending);
    state_u8(state, &events->nmi.masked);
    state_u32(state, &events->sipi_vector);
    state_u32(state, &events->flags);
    state_u8(state, &events->smi.smm);
    state_u8(state, &events->smi.pending);
    state_u8(state, &events->smi.smm_inside_nmi);
    state_u8(state, &events->smi.latched_init);
    state_u8(state, &events->triple_fault.pending);
    state_u8(state, &events->exception_has_payload);
    words(state, &events->exception_payload, 1);
    state_require(state, events->exception.nr < EXCEPTIONS &&
                  (events->exception.nr != EXCEPTION_NMI || !(events->exception.injected |
                                                              events->exception.pending)),
                  "the exception's number");
    state_require(state, (events->flags & ~(uint32_t)EVENT_FLAGS) == 0, "the events' flags");
    state_require(state, events->sipi_vector <= UINT8_MAX, "the start-up vector");
}

static void fields(struct state *state, struct vcpu_state *vcpu)
{
    state_u32(state, &vcpu->tsc_khz);
    state_require(state, vcpu->tsc_khz > 0, "the TSC's frequency");
    state_u32(state, &vcpu->mp.mp_state);
    state_require(state, vcpu->mp.mp_state <= KVM_MP_STATE_SIPI_RECEIVED,
                  "the multiprocessing state");
    words(state, &vcpu->regs.rax, sizeof(vcpu->regs) / sizeof(uint64_t));
    system_fields(state, &vcpu->sregs);
    extended_fields(state, vcpu);
    debug_fields(state, &vcpu->debug);
    state_bytes(state, vcpu->lapic.regs, sizeof(vcpu->lapic.regs));
    vcpu_msr_fields(vcpu, state);
    event_fields(state, &vcpu->events);
}
_Static_assert(sizeof(struct kvm_regs) == 18 * 8, "16 registers, RIP and RFLAGS");

/* ---- to and from KVM ------------------------------------------------------- */

/* A guest that runs guests of its own has state that is not saved here. */
static void refuse_nested(const struct vcpu_state *vcpu, struct state *state)
{
    int size = kvm_capability(vcpu->arch->kvm, KVM_CAP_NESTED_STATE);
    cleanup_free struct kvm_nested_state *nested = size > (int)sizeof(*nested) ? calloc(1, (size_t)size) : NULL;
    struct error error = ERROR_INIT;

    if (!nested)
        return;
    nested->size = (uint32_t)size;
    ASK(KVM_GET_NESTED_STATE, nested);
    if (!(nested->flags & KVM_STATE_NESTED_GUEST_MODE) &&
        (nested->format != KVM_STATE_NESTED_FORMAT_VMX || nested->hdr.vmx.vmxon_pa == UINT64_MAX))
        return;
    error_set(&error, ENOTSUP, "snapshot: vCPU %u runs virtual machines of the guest's own, whose "
              "state cannot be saved; end them first", vcpu->index);
    state_fail(state, &error);
}

static void get(struct vcpu_state *vcpu, struct state *state)
{
    ASK(KVM_GET_MP_STATE, &vcpu->mp);
    refuse_nested(vcpu, state);
    ASK(KVM_GET_REGS, &vcpu->regs);
    ASK(KVM_GET_SREGS, &vcpu->sregs);
    ASK(KVM_GET_XCRS, &vcpu->xcrs);
    vcpu->xcr_count = vcpu->xcrs.nr_xcrs;
    if (vcpu->xsave_size > sizeof(struct kvm_xsave))
        ASK(KVM_GET_XSAVE2, vcpu->xsave);
    else
        ASK(KVM_GET_XSAVE, vcpu->xsave);
    ASK(KVM_GET_DEBUGREGS, &vcpu->debug);
    vcpu_msrs_get(vcpu, state);
    ASK(KVM_GET_LAPIC, &vcpu->lapic);
    ASK(KVM_GET_VCPU_EVENTS, &vcpu->events);
}

/* A host whose TSC runs at another rate must be able to scale it. */
static void set_tsc_rate(const struct vcpu_state *vcpu, struct state *state)
{
    int own = kvm_ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
    struct error error = ERROR_INIT;
    int64_t apart = (int64_t)vcpu->tsc_khz - own;

    if (!state_is_sound(state) || own <= 0 || (apart < own / 4000 && -apart < own / 4000))
        return;
    if (kvm_ioctl(vcpu->fd, KVM_SET_TSC_KHZ, vcpu->tsc_khz) >= 0)
        return;
    error_set(&error, ENOTSUP, "snapshot: its processor's TSC runs at %u kHz, this one's at %d and "
              "cannot be scaled; restore it on a host like the first", vcpu->tsc_khz, own);
    state_fail(state, &error);
}

static void set(struct vcpu_state *vcpu, struct state *state)
{
    set_tsc_rate(vcpu, state);
    ASK(KVM_SET_SREGS, &vcpu->sregs);
    if (vcpu->xcr_count > 0)
        ASK(KVM_SET_XCRS, &vcpu->xcrs);
    ASK(KVM_SET_XSAVE, vcpu->xsave);
    ASK(KVM_SET_REGS, &vcpu->regs);
    ASK(KVM_SET_LAPIC, &vcpu->lapic);
    vcpu_msrs_set(vcpu, state);
    ASK(KVM_SET_MP_STATE, &vcpu->mp);
    ASK(KVM_SET_DEBUGREGS, &vcpu->debug);
    ASK(KVM_SET_VCPU_EVENTS, &vcpu->events);
}

static void no_memory(struct state *state)
{
    struct error error = ERROR_INIT;

    error_system(&error, ENOMEM, "snapshot");
    state_fail(state, &error);
}

void arch_vcpu_state(struct arch_vm *arch, int vcpu_fd, unsigned int index, struct state *state)
{
    cleanup_free struct vcpu_state *vcpu = calloc(1, sizeof(*vcpu));
    int size = kvm_capability(arch->kvm, KVM_CAP_XSAVE2);
    struct error error = ERROR_INIT;

    if (!vcpu) {
        no_memory(state);
        return;
    }
    vcpu->arch = arch;
    vcpu->fd = vcpu_fd;
    vcpu->index = index;
    vcpu->xsave_size = size > (int)sizeof(struct kvm_xsave) ? (size_t)size : sizeof(struct kvm_xsave);
    if (vcpu->xsave_size > VCPU_XSAVE_MAX) {
        error_set(&error, E2BIG, "snapshot: this processor's extended state has %zu bytes, over %u",
                  vcpu->xsave_size, VCPU_XSAVE_MAX);
        state_fail(state, &error);
        return;
    }
    if (!state_is_loading(state)) {
        int khz = kvm_ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);

        vcpu->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
        get(vcpu, state);
    }
    state_begin(state, "vcpu", index, 1);
    fields(state, vcpu);
    state_end(state);
    if (!state_is_loading(state) || !state_is_sound(state))
        return;
    if (cpuid_set(arch->cpuid, vcpu_fd, index, &error) < 0)
        state_fail(state, &error);
    set(vcpu, state);
}

void arch_vcpu_was_paused(int vcpu_fd)
{
    /* Refused where the guest has no clock of KVM's, and then nobody is to be told. */
    kvm_ioctl(vcpu_fd, KVM_KVMCLOCK_CTRL, 0);
}
