/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID in a saved state.  The guest looked at it once, when it booted, and uses
 * what it found for ever: a host that offers less cannot go on with it.  One
 * that offers more can: the guest keeps what it was told.
 */

#include <errno.h>
#include <string.h>

#include "cpuid.h"
#include "vmm/base/cleanup.h"

enum cpuid_register { EAX, EBX, ECX, EDX };

/* Registers whose bits are features, with the names that /proc/cpuinfo has for them, from bit 0. */
static const struct feature_word {
    uint32_t function, index;
    enum cpuid_register reg;
    const char *names; /* 32 words; "-" for a bit that is no feature or says nothing that the host must have */
} feature_words[] = {
    { 1, 0, ECX, "sse3 pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr "
      "pdcm - pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c "
      "rdrand -" },
    { 1, 0, EDX, "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn "
      "clflush - dts acpi mmx fxsr sse sse2 ss - tm ia64 pbe" },
    { 7, 0, EBX, "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a "
      "avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er "
      "avx512cd sha_ni avx512bw avx512vl" },
    { 7, 0, ECX, "prefetchwt1 avx512vbmi umip pku - waitpkg avx512_vbmi2 user_shstk gfni vaes "
      "vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - rdpid - "
      "bus_lock_detect cldemote - movdiri movdir64b enqcmd sgx_lc pks" },
    { 7, 0, EDX, "- sgx_keys avx512_4vnniw avx512_4fmaps fsrm uintr - - avx512_vp2intersect - "
      "md_clear - - - serialize - tsxldtrk - pconfig arch_lbr ibt - amx_bf16 avx512_fp16 amx_tile "
      "amx_int8 spec_ctrl intel_stibp flush_l1d arch_capabilities core_capabilities ssbd" },
    { 7, 1, EAX, "sha512 sm3 sm4 - avx_vnni avx512_bf16 lass cmpccxadd - - fzrm fsrs fsrc - - - - - "
      "- - - amx_fp16 - avx_ifma - - lam - - - - -" },
    { 0xd, 1, EAX, "xsaveopt xsavec xgetbv1 xsaves xfd - - - - - - - - - - - - - - - - - - - - - - - "
      "- - - -" },
    { 0x80000001, 0, ECX, "lahf_lm - svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw "
      "ibs xop skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext "
      "ptsc perfctr_llc mwaitx - -" },
    { 0x80000001, 0, EDX, "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt "
      "pdpe1gb rdtscp - lm 3dnowext 3dnow" },
    { 0x80000007, 0, EDX, "- - - - - - - - constant_tsc - - - - - - - - - - - - - - - - - - - - - - -" },
    { 0x80000008, 0, EBX, "clzero - xsaveerptr - rdpru - - - - wbnoinvd - - amd_ibpb - amd_ibrs "
      "amd_stibp - - - - - - - - amd_ssbd virt_ssbd - - amd_psfd - - -" },
    { 0x40000001, 0, EAX, "kvm_clocksource kvm_nop_io_delay - kvm_clocksource2 kvm_asyncpf kvm_steal_time "
      "kvm_pv_eoi kvm_pv_unhalt - kvm_pv_tlb_flush kvm_asyncpf_vmexit kvm_pv_send_ipi "
      "kvm_poll_control kvm_pv_sched_yield kvm_asyncpf_int kvm_msi_ext_dest_id kvm_hc_map_gpa_range "
      "kvm_migration_control - - - - - - kvm_clocksource_stable - - - - - - -" },
};

static const struct kvm_cpuid_entry2 *find(const struct cpuid_template *cpuid, uint32_t function,
                                           uint32_t index)
{
    for (uint32_t i = 0; i < cpuid->header.nent; i++)
        if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
            return &cpuid->entries[i];
    return NULL;
}

static uint32_t value(const struct cpuid_template *cpuid, const struct feature_word *word)
{
    const struct kvm_cpuid_entry2 *entry = find(cpuid, word->function, word->index);

    if (!entry)
        return 0;
    switch (word->reg) {
    case EAX:
        return entry->eax;
    case EBX:
        return entry->ebx;
    case ECX:
        return entry->ecx;
    case EDX:
        break;
    }
    return entry->edx;
}

/* The BITth word of NAMES; *LENGTH is 0 for one that is "-". */
static const char *feature_name(const char *names, unsigned int bit, size_t *length)
{
    for (; bit > 0; bit--)
        names += strcspn(names, " ") + 1;
    *length = strcspn(names, " ");
    if (*length == 1 && *names == '-')
        *length = 0;
    return names;
}

static void refuse(struct state *state, const char *what, size_t length)
{
    struct error error = ERROR_INIT;

    error_set(&error, ENOTSUP, "snapshot: its guest uses the processor's feature '%.*s', which this "
              "host does not offer; restore it on a host like the first", (int)length, what);
    state_fail(state, &error);
}

static void compare_features(const struct cpuid_template *saved, const struct cpuid_template *host,
                             struct state *state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(feature_words); i++) {
        uint32_t missing = value(saved, &feature_words[i]) & ~value(host, &feature_words[i]);

        for (unsigned int bit = 0; bit < 32; bit++) {
            size_t length = 0;
            const char *name = NULL;

            if (missing & 1u << bit)
                name = feature_name(feature_words[i].names, bit, &length);
            if (length > 0)
                refuse(state, name, length);
        }
    }
}

/* Where each component of the extended state lies (SDM, CPUID.0DH) is part of what was saved. */
static void compare_layout(const struct cpuid_template *saved, const struct cpuid_template *host,
                           struct state *state)
{
    static const char name[] = "xsave layout";

    for (uint32_t i = 0; i < saved->header.nent; i++) {
        const struct kvm_cpuid_entry2 *entry = &saved->entries[i], *own;

        if (entry->function != 0xd || entry->index < 2)
            continue;
        own = find(host, entry->function, entry->index);
        if (entry->eax != 0 && (!own || own->eax != entry->eax || own->ebx != entry->ebx))
            refuse(state, name, sizeof(name) - 1);
    }
}

static void compare_maker(const struct cpuid_template *saved, const struct cpuid_template *host,
                          struct state *state)
{
    const struct kvm_cpuid_entry2 *first = find(saved, 0, 0), *own = find(host, 0, 0);
    struct error error = ERROR_INIT;

    if (first && own && first->ebx == own->ebx && first->ecx == own->ecx && first->edx == own->edx)
        return;
    error_set(&error, ENOTSUP, "snapshot: was saved on the processor of another maker; restore it on "
              "a host like the first");
    state_fail(state, &error);
}

void cpuid_state(struct cpuid_template *cpuid, const struct cpuid_template *host,
                 struct state *state)
{
    size_t count = cpuid->header.nent;

    state_begin(state, "cpuid", 0, 1);
    state_count(state, &count, ARRAY_LENGTH(cpuid->entries));
    cpuid->header.nent = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

        state_u32(state, &entry->function);
        state_u32(state, &entry->index);
        state_u32(state, &entry->flags);
        state_u32(state, &entry->eax);
        state_u32(state, &entry->ebx);
        state_u32(state, &entry->ecx);
        state_u32(state, &entry->edx);
        state_require(state, (entry->flags & ~(uint32_t)KVM_CPUID_FLAG_SIGNIFCANT_INDEX) == 0,
                      "a leaf's flags");
    }
    state_end(state);
    if (!state_is_loading(state) || !state_is_sound(state))
        return;
    compare_maker(cpuid, host, state);
    compare_features(cpuid, host, state);
    compare_layout(cpuid, host, state);
}
