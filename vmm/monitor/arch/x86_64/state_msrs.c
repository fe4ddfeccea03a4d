/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model-specific registers of a vCPU: those that KVM lists, and the memory
 * types, which older ones do not list.  What this vCPU cannot read it does not
 * have.  The TSC comes first and its deadline last: that counts by it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state_vcpu.h"
#include "vmm/base/cleanup.h"

#define MSR_TSC 0x10
#define MSR_TSC_DEADLINE 0x6e0

static const uint32_t memory_types[] = {
    0x2ff, 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
    0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207,
    0x208, 0x209, 0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f,
};

struct msr_list {
    struct kvm_msr_list header;
    uint32_t indices[VCPU_MSRS_MAX];
};

/* KVM's list with the memory types behind it. */
static void list_msrs(const struct vcpu_state *vcpu, struct msr_list *list, struct state *state)
{
    const size_t added = ARRAY_LENGTH(memory_types);

    list->header.nmsrs = VCPU_MSRS_MAX - (uint32_t)added;
    vcpu_ask(vcpu, state, vcpu->arch->kvm->fd, KVM_GET_MSR_INDEX_LIST, "KVM_GET_MSR_INDEX_LIST",
             list);
    if (!state_is_sound(state))
        return;
    memcpy(&list->indices[list->header.nmsrs], memory_types, sizeof(memory_types));
    list->header.nmsrs += (uint32_t)added;
}

static bool is_listed(const struct msr_list *list, uint32_t index)
{
    for (size_t i = 0; i < list->header.nmsrs; i++)
        if (list->indices[i] == index)
            return true;
    return false;
}

static void add(struct vcpu_state *vcpu, uint32_t index)
{
    vcpu->msrs.entries[vcpu->msr_count++] = (struct kvm_msr_entry){ .index = index };
}

/* Reads all; KVM stops at one that this vCPU does not have, which is then left out. */
static void read_msrs(struct vcpu_state *vcpu, struct state *state)
{
    struct kvm_msr_entry *all = vcpu->msrs.entries;
    struct error error = ERROR_INIT;

    for (size_t done = 0; done < vcpu->msr_count;) {
        cleanup_free struct kvm_msrs *batch = malloc(sizeof(vcpu->msrs));
        size_t count = vcpu->msr_count - done;
        int taken = -ENOMEM;

        if (batch) {
            batch->nmsrs = (uint32_t)count;
            batch->pad = 0;
            memcpy(batch->entries, &all[done], count * sizeof(*all));
            taken = kvm_ioctl(vcpu->fd, KVM_GET_MSRS, (uintptr_t)batch);
        }
        if (taken < 0 || (size_t)taken > count) {
            error_system(&error, taken < 0 ? -taken : EIO, "snapshot: vCPU %u: KVM_GET_MSRS",
                         vcpu->index);
            state_fail(state, &error);
            return;
        }
        memcpy(&all[done], batch->entries, (size_t)taken * sizeof(*all));
        done += (size_t)taken;
        if (done == vcpu->msr_count)
            return;
        memmove(&all[done], &all[done + 1], (vcpu->msr_count - done - 1) * sizeof(*all));
        vcpu->msr_count--;
    }
}

/*
 * The TSC goes on while the state is read and written, KVM's clock being the
 * first of it: each TSC is saved as it was with that clock, and loaded as it has
 * become with it.  Else a guest on a busy host sees the two apart, and distrusts
 * its TSC from then on.
 */
static void shift_tsc(struct vcpu_state *vcpu, int64_t time)
{
    __int128 ticks = (__int128)time * vcpu->tsc_khz / 1000000;

    for (size_t i = 0; i < vcpu->msr_count; i++)
        if (vcpu->msrs.entries[i].index == MSR_TSC)
            vcpu->msrs.entries[i].data += (uint64_t)ticks;
}

static int64_t since_the_clock(const struct vcpu_state *vcpu)
{
    return (int64_t)(arch_monotonic() - vcpu->arch->clock_at);
}

void vcpu_msrs_get(struct vcpu_state *vcpu, struct state *state)
{
    struct msr_list list;

    list_msrs(vcpu, &list, state);
    if (!state_is_sound(state))
        return;
    add(vcpu, MSR_TSC);
    for (size_t i = 0; i < list.header.nmsrs; i++)
        if (list.indices[i] != MSR_TSC && list.indices[i] != MSR_TSC_DEADLINE)
            add(vcpu, list.indices[i]);
    if (is_listed(&list, MSR_TSC_DEADLINE) && vcpu->msr_count < VCPU_MSRS_MAX)
        add(vcpu, MSR_TSC_DEADLINE);
    read_msrs(vcpu, state);
    shift_tsc(vcpu, -since_the_clock(vcpu));
}

void vcpu_msr_fields(struct vcpu_state *vcpu, struct state *state)
{
    state_count(state, &vcpu->msr_count, VCPU_MSRS_MAX);
    for (size_t i = 0; i < vcpu->msr_count; i++) {
        uint64_t data = vcpu->msrs.entries[i].data;

        state_u32(state, &vcpu->msrs.entries[i].index);
        state_u64(state, &data);
        vcpu->msrs.entries[i].data = data;
    }
}

/* A value that cannot be written may be there already: of a register that never changes. */
static bool holds(const struct vcpu_state *vcpu, const struct kvm_msr_entry *entry)
{
    struct {
        struct kvm_msrs header;
        struct kvm_msr_entry entry;
    } msr = { .header.nmsrs = 1, .entry.index = entry->index };

    return kvm_ioctl(vcpu->fd, KVM_GET_MSRS, (uintptr_t)&msr) == 1 && msr.entry.data == entry->data;
}

static void refuse(const struct vcpu_state *vcpu, struct state *state,
                   const struct kvm_msr_entry *entry, const char *why)
{
    struct error error = ERROR_INIT;

    error_set(&error, ENOTSUP, "snapshot: vCPU %u: MSR 0x%x: %s; restore it on a host like the first",
              vcpu->index, entry->index, why);
    state_fail(state, &error);
}


void vcpu_msrs_set(struct vcpu_state *vcpu, struct state *state)
{
    struct kvm_msr_entry *all = vcpu->msrs.entries;
    struct msr_list list;

    list_msrs(vcpu, &list, state);
    for (size_t i = 0; i < vcpu->msr_count && state_is_sound(state); i++)
        if (!is_listed(&list, all[i].index))
            refuse(vcpu, state, &all[i], "is none that this KVM lists");
    shift_tsc(vcpu, (int64_t)vcpu->arch->elapsed + since_the_clock(vcpu));
    while (vcpu->msr_count > 0 && state_is_sound(state)) {
        int taken;
        size_t done;

        vcpu->msrs.header.nmsrs = (uint32_t)vcpu->msr_count;
        taken = kvm_ioctl(vcpu->fd, KVM_SET_MSRS, (uintptr_t)&vcpu->msrs);
        done = taken < 0 || (size_t)taken > vcpu->msr_count ? 0 : (size_t)taken;
        if (done == vcpu->msr_count)
            return;
        if (taken < 0 || !holds(vcpu, &all[done])) {
            refuse(vcpu, state, &all[done], "this KVM does not take its value");
            return;
        }
        done++;
        vcpu->msr_count -= done;
        memmove(all, &all[done], vcpu->msr_count * sizeof(*all));
    }
}
