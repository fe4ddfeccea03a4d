/* SPDX-License-Identifier: Apache-2.0 */
#include "cpuid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAF_VENDOR 0x0u
#define LEAF_FEATURES 0x1u
#define LEAF_CACHE 0x4u
#define LEAF_PERFMON 0xau
#define LEAF_TOPOLOGY 0xbu
#define LEAF_TSC 0x15u
#define LEAF_TOPOLOGY_V2 0x1fu
#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_HYPERVISOR_TIMING 0x40000010u
#define LEAF_AMD_SIZES 0x80000008u
#define LEAF_AMD_CACHE 0x8000001du
#define LEAF_AMD_TOPOLOGY 0x8000001eu

#define FEATURE_ECX_TSC_DEADLINE (1u << 24)
#define FEATURE_ECX_HYPERVISOR (1u << 31)
#define FEATURE_EDX_HTT (1u << 28)

/* KVM's local APIC timer counts nanoseconds. */
#define APIC_TIMER_HZ 1000000000u

static unsigned int bits_for(unsigned int count)
{
    unsigned int bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

static void remove_leaf(struct cpuid_template *cpuid, uint32_t function)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < cpuid->header.nent; i++)
        if (cpuid->entries[i].function != function)
            cpuid->entries[kept++] = cpuid->entries[i];
    cpuid->header.nent = kept;
}

static struct kvm_cpuid_entry2 *add_entry(struct cpuid_template *cpuid, uint32_t function,
                                          uint32_t index, bool has_index)
{
    struct kvm_cpuid_entry2 *entry = &cpuid->entries[cpuid->header.nent++];

    *entry = (struct kvm_cpuid_entry2){
        .function = function,
        .index = index,
        .flags = has_index ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
    };
    return entry;
}

static struct kvm_cpuid_entry2 *find_leaf(struct cpuid_template *cpuid, uint32_t function)
{
    for (uint32_t i = 0; i < cpuid->header.nent; i++)
        if (cpuid->entries[i].function == function)
            return &cpuid->entries[i];
    return NULL;
}

/* Extended topology: level 1 is SMT with one thread, level 2 the cores (SDM, CPUID.0BH). */
static void add_topology(struct cpuid_template *cpuid)
{
    struct kvm_cpuid_entry2 *entry;

    remove_leaf(cpuid, LEAF_TOPOLOGY);
    remove_leaf(cpuid, LEAF_TOPOLOGY_V2);
    entry = add_entry(cpuid, LEAF_TOPOLOGY, 0, true);
    entry->eax = 0;
    entry->ebx = 1;
    entry->ecx = 0x100;
    entry = add_entry(cpuid, LEAF_TOPOLOGY, 1, true);
    entry->eax = bits_for(cpuid->cpu_count);
    entry->ebx = cpuid->cpu_count;
    entry->ecx = 0x201;
}

/* KVM's signature leaf must reach the timing leaf, which gives kHz (a VMware convention). */
static void add_hypervisor_timing(struct cpuid_template *cpuid, uint32_t tsc_khz)
{
    struct kvm_cpuid_entry2 *entry = find_leaf(cpuid, LEAF_HYPERVISOR);

    if (!entry || tsc_khz == 0)
        return;
    if (entry->eax < LEAF_HYPERVISOR_TIMING)
        entry->eax = LEAF_HYPERVISOR_TIMING;
    remove_leaf(cpuid, LEAF_HYPERVISOR_TIMING);
    entry = add_entry(cpuid, LEAF_HYPERVISOR_TIMING, 0, false);
    entry->eax = tsc_khz;
    entry->ebx = APIC_TIMER_HZ / 1000;
}

/*
 * CPUID.15H: TSC Hz = crystal Hz * EBX / EAX.  The crystal is the APIC timer's,
 * so that Linux takes that frequency from here as well.
 */
static void add_tsc_frequency(struct cpuid_template *cpuid, uint32_t tsc_khz)
{
    struct kvm_cpuid_entry2 *entry = find_leaf(cpuid, LEAF_VENDOR);

    if (!cpuid->intel || !entry || tsc_khz == 0)
        return;
    if (entry->eax < LEAF_TSC)
        entry->eax = LEAF_TSC;
    remove_leaf(cpuid, LEAF_TSC);
    entry = add_entry(cpuid, LEAF_TSC, 0, false);
    entry->eax = APIC_TIMER_HZ / 1000;
    entry->ebx = tsc_khz;
    entry->ecx = APIC_TIMER_HZ;
}

static void set_cache_sharing(struct cpuid_template *cpuid, struct kvm_cpuid_entry2 *entry)
{
    unsigned int level = entry->eax >> 5 & 7;
    unsigned int sharing = level >= 3 ? (1u << bits_for(cpuid->cpu_count)) - 1 : 0;

    if ((entry->eax & 0x1f) == 0)
        return;
    entry->eax &= ~(0xfffu << 14);
    entry->eax |= sharing << 14;
    if (cpuid->intel) {
        entry->eax &= ~(0x3fu << 26);
        entry->eax |= ((1u << bits_for(cpuid->cpu_count)) - 1) << 26;
    }
}

/* What is the same for all vCPUs. */
static void set_common(struct cpuid_template *cpuid, bool tsc_deadline)
{
    for (uint32_t i = 0; i < cpuid->header.nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

        switch (entry->function) {
        case LEAF_FEATURES:
            entry->ecx |= FEATURE_ECX_HYPERVISOR;
            if (tsc_deadline)
                entry->ecx |= FEATURE_ECX_TSC_DEADLINE;
            entry->edx &= ~FEATURE_EDX_HTT;
            if (cpuid->cpu_count > 1)
                entry->edx |= FEATURE_EDX_HTT;
            break;
        case LEAF_CACHE:
        case LEAF_AMD_CACHE:
            set_cache_sharing(cpuid, entry);
            break;
        case LEAF_PERFMON:
            /* No performance counters: they cost start time and leak timing. */
            entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
            break;
        case LEAF_AMD_SIZES:
            if (!cpuid->intel) /* reserved there */
                entry->ecx = (cpuid->cpu_count - 1) | bits_for(cpuid->cpu_count) << 12;
            break;
        }
    }
}

int cpuid_create(struct cpuid_template **template, const struct kvm *kvm, unsigned int cpu_count,
                 uint32_t tsc_khz, struct error *error)
{
    struct cpuid_template *cpuid = calloc(1, sizeof(*cpuid));
    struct kvm_cpuid_entry2 *vendor;
    int result;

    if (!cpuid)
        return error_system(error, ENOMEM, "CPUID");
    cpuid->cpu_count = cpu_count;
    cpuid->header.nent = CPUID_ENTRIES_MAX;
    result = kvm_ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, (uintptr_t)&cpuid->header);
    if (result < 0) {
        free(cpuid);
        return error_system(error, -result, "KVM_GET_SUPPORTED_CPUID");
    }
    vendor = find_leaf(cpuid, LEAF_VENDOR);
    cpuid->intel = vendor && vendor->ebx == 0x756e6547; /* "Genu" */
    set_common(cpuid, kvm_capability(kvm, KVM_CAP_TSC_DEADLINE_TIMER) != 0);
    add_topology(cpuid);
    add_hypervisor_timing(cpuid, tsc_khz);
    add_tsc_frequency(cpuid, tsc_khz);
    *template = cpuid;
    return 0;
}

int cpuid_set(struct cpuid_template *cpuid, int vcpu_fd, unsigned int index, struct error *error)
{
    int result;

    for (uint32_t i = 0; i < cpuid->header.nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

        switch (entry->function) {
        case LEAF_FEATURES:
            entry->ebx = (entry->ebx & 0xffff) | index << 24 | cpuid->cpu_count << 16;
            break;
        case LEAF_TOPOLOGY:
            entry->edx = index;
            break;
        case LEAF_AMD_TOPOLOGY:
            entry->eax = index;
            entry->ebx = index; /* core id; one thread a core */
            entry->ecx = 0;     /* one node */
            break;
        }
    }
    result = kvm_ioctl(vcpu_fd, KVM_SET_CPUID2, (uintptr_t)&cpuid->header);
    if (result < 0)
        return error_system(error, -result, "vCPU %u: KVM_SET_CPUID2", index);
    return 0;
}
