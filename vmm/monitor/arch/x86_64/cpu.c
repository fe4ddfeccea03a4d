/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of the vCPUs: the state in which the first one enters the
 * kernel, and a dump for when something went wrong.  The other vCPUs stay as
 * KVM makes them, waiting for INIT and SIPI.
 */

#include <cpuid.h>
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch_vm.h"
#include "cpuid.h"
#include "layout.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"

#define CR0_PE (1ull << 0)
#define CR0_ET (1ull << 4)
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define RFLAGS_RESERVED 2ull

#define PAGE_PRESENT_WRITABLE 3ull
#define PAGE_LARGE (1ull << 7)
#define PAGE_TABLE_SIZE 0x1000ull
#define PAGE_ENTRIES 512

#define MSR_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRINGS 1
#define MSR_MTRR_DEFAULT_TYPE 0x2ff
#define MTRR_ENABLED (1 << 11)
#define MTRR_WRITE_BACK 6

/* The selectors that the 64-bit boot protocol names: __BOOT_CS and __BOOT_DS. */
enum { GDT_NULL, GDT_UNUSED, GDT_CODE, GDT_DATA, GDT_TSS, GDT_COUNT };

static struct kvm_segment make_segment(unsigned int index, uint8_t type, bool code_or_data,
                                       bool long_mode)
{
    bool is_code = index == GDT_CODE;

    return (struct kvm_segment){
        .base = 0,
        .limit = 0xffffffff,
        .selector = (uint16_t)(index * 8),
        .type = type,
        .present = 1,
        .s = code_or_data,
        .l = is_code && long_mode,
        .db = code_or_data && !(is_code && long_mode),
        .g = 1,
    };
}

/* The descriptor that a segment register would have been loaded from (SDM vol. 3, 3.4.5). */
static uint64_t descriptor(const struct kvm_segment *segment)
{
    uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;

    return (limit & 0xffff) | (segment->base & 0xffffff) << 16 | (uint64_t)segment->type << 40 |
           (uint64_t)segment->s << 44 | (uint64_t)segment->dpl << 45 |
           (uint64_t)segment->present << 47 | (limit >> 16 & 0xf) << 48 |
           (uint64_t)segment->l << 53 | (uint64_t)segment->db << 54 | (uint64_t)segment->g << 55 |
           (segment->base >> 24 & 0xff) << 56;
}

static int write_page_tables(struct guest_memory *memory)
{
    struct guest_slice slice;
    uint64_t *tables;

    if (guest_memory_slice(memory, LAYOUT_PAGE_TABLES, 3 * PAGE_TABLE_SIZE, &slice) < 0)
        return -EFAULT;
    tables = (uint64_t *)(void *)slice.bytes;
    tables[0] = (LAYOUT_PAGE_TABLES + PAGE_TABLE_SIZE) | PAGE_PRESENT_WRITABLE;
    tables[PAGE_ENTRIES] = (LAYOUT_PAGE_TABLES + 2 * PAGE_TABLE_SIZE) | PAGE_PRESENT_WRITABLE;
    for (uint64_t i = 0; i < PAGE_ENTRIES; i++)
        tables[2 * PAGE_ENTRIES + i] = i << 21 | PAGE_LARGE | PAGE_PRESENT_WRITABLE;
    return 0;
}
_Static_assert(LAYOUT_IDENTITY_MAPPED == PAGE_ENTRIES << 21, "one page directory maps it");

static int set_segments(struct kvm_sregs *sregs, struct guest_memory *memory, bool long_mode)
{
    struct kvm_segment code = make_segment(GDT_CODE, 0xb, true, long_mode);
    struct kvm_segment data = make_segment(GDT_DATA, 0x3, true, long_mode);
    struct kvm_segment task = make_segment(GDT_TSS, 0xb, false, long_mode);
    uint64_t gdt[GDT_COUNT] = {
        [GDT_CODE] = descriptor(&code), [GDT_DATA] = descriptor(&data),
        [GDT_TSS] = descriptor(&task),
    };

    if (!long_mode) {
        /* PVH asks for a task register with base 0 and limit 0x67. */
        task.limit = 0x67;
        task.g = 0;
    }
    sregs->cs = code;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
    sregs->tr = task;
    sregs->gdt.base = LAYOUT_GDT;
    sregs->gdt.limit = sizeof(gdt) - 1;
    sregs->idt.base = 0;
    sregs->idt.limit = 0;
    return guest_memory_write(memory, LAYOUT_GDT, gdt, sizeof(gdt));
}

static int set_system_registers(int fd, const struct boot_entry *entry, struct guest_memory *memory,
                                struct error *error)
{
    struct kvm_sregs sregs;
    int result = kvm_ioctl(fd, KVM_GET_SREGS, (uintptr_t)&sregs);

    if (result < 0)
        return error_system(error, -result, "KVM_GET_SREGS");
    if (set_segments(&sregs, memory, entry->long_mode) < 0 ||
        (entry->long_mode && write_page_tables(memory) < 0))
        return error_set(error, EINVAL,
                         "guest memory: too small for the entry state; give --memory 2M or more");
    sregs.cr0 = CR0_PE | CR0_ET;
    if (entry->long_mode) {
        sregs.cr0 |= CR0_PG;
        sregs.cr3 = LAYOUT_PAGE_TABLES;
        sregs.cr4 = CR4_PAE;
        sregs.efer = EFER_LME | EFER_LMA;
    }
    result = kvm_ioctl(fd, KVM_SET_SREGS, (uintptr_t)&sregs);
    if (result < 0)
        return error_system(error, -result, "KVM_SET_SREGS");
    return 0;
}

static int set_general_registers(int fd, const struct boot_entry *entry, struct error *error)
{
    struct kvm_regs regs = { .rip = entry->rip, .rflags = RFLAGS_RESERVED };
    int result;

    if (entry->long_mode)
        regs.rsi = entry->argument;
    else
        regs.rbx = entry->argument;
    result = kvm_ioctl(fd, KVM_SET_REGS, (uintptr_t)&regs);
    if (result < 0)
        return error_system(error, -result, "KVM_SET_REGS");
    return 0;
}

/*
 * What firmware would have set: fast string operations, and write-back as the
 * memory type of all that no MTRR names.  KVM returns how many it took.
 */
static int set_msrs(int fd, unsigned int index, struct log *log, struct error *error)
{
    struct {
        struct kvm_msrs header;
        struct kvm_msr_entry entries[2];
    } msrs = {
        .header.nmsrs = 2,
        .entries = {
            { .index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRINGS },
            { .index = MSR_MTRR_DEFAULT_TYPE, .data = MTRR_ENABLED | MTRR_WRITE_BACK },
        },
    };
    int taken = kvm_ioctl(fd, KVM_SET_MSRS, (uintptr_t)&msrs);

    if (taken < 0)
        return error_system(error, -taken, "vCPU %u: KVM_SET_MSRS", index);
    if ((unsigned int)taken < msrs.header.nmsrs)
        log_debug(log, "vCPU %u: KVM did not take MSR 0x%x; its default stays", index,
                  msrs.entries[taken].index);
    return 0;
}

uint64_t arch_memory_limit(void)
{
    uint32_t eax = 0, ebx, ecx, edx;
    unsigned int bits;

    /* Leaf 80000008H gives the width of a physical address; 36 is the least there was. */
    bits = __get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx) ? eax & 0xff : 36;
    if (bits < 36 || bits > 52)
        bits = 36;
    return (1ull << bits) - (LAYOUT_RAM_ABOVE_4G - LAYOUT_MMIO);
}

int arch_vcpu_setup(struct arch_vm *arch, int vcpu_fd, unsigned int index,
                    const struct machine *machine, struct error *error)
{
    int result;

    if (!arch->cpuid) {
        int tsc_khz = kvm_ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);

        result = cpuid_create(&arch->cpuid, arch->kvm, machine->cpu_count,
                              tsc_khz > 0 ? (uint32_t)tsc_khz : 0, error);
        if (result < 0)
            return result;
    }
    if ((result = cpuid_set(arch->cpuid, vcpu_fd, index, error)) < 0 ||
        (result = set_msrs(vcpu_fd, index, arch->log, error)) < 0 || index != 0)
        return result;
    if ((result = set_system_registers(vcpu_fd, &arch->entry, machine->memory, error)) < 0)
        return result;
    return set_general_registers(vcpu_fd, &arch->entry, error);
}

void arch_vcpu_dump(int vcpu_fd, struct log *log)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    if (kvm_ioctl(vcpu_fd, KVM_GET_REGS, (uintptr_t)&regs) < 0 ||
        kvm_ioctl(vcpu_fd, KVM_GET_SREGS, (uintptr_t)&sregs) < 0) {
        log_error(log, "the vCPU's registers cannot be read");
        return;
    }
#define WIDE(value) ((unsigned long long)(value))
    log_error(log, "rip %016llx rflags %08llx rsp %016llx rbp %016llx", WIDE(regs.rip),
              WIDE(regs.rflags), WIDE(regs.rsp), WIDE(regs.rbp));
    log_error(log, "rax %016llx rbx %016llx rcx %016llx rdx %016llx", WIDE(regs.rax),
              WIDE(regs.rbx), WIDE(regs.rcx), WIDE(regs.rdx));
    log_error(log, "rsi %016llx rdi %016llx r8  %016llx r9  %016llx", WIDE(regs.rsi),
              WIDE(regs.rdi), WIDE(regs.r8), WIDE(regs.r9));
    log_error(log, "r10 %016llx r11 %016llx r12 %016llx r13 %016llx", WIDE(regs.r10),
              WIDE(regs.r11), WIDE(regs.r12), WIDE(regs.r13));
    log_error(log, "r14 %016llx r15 %016llx cr0 %016llx cr2 %016llx", WIDE(regs.r14),
              WIDE(regs.r15), WIDE(sregs.cr0), WIDE(sregs.cr2));
    log_error(log, "cr3 %016llx cr4 %016llx efer %016llx cs %04x ss %04x", WIDE(sregs.cr3),
              WIDE(sregs.cr4), WIDE(sregs.efer), sregs.cs.selector, sregs.ss.selector);
    log_error(log, "gdt %016llx/%04x idt %016llx/%04x tr %04x", WIDE(sregs.gdt.base),
              sregs.gdt.limit, WIDE(sregs.idt.base), sregs.idt.limit, sregs.tr.selector);
#undef WIDE
}
