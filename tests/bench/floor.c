/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor [none|split|kernel|pit|restore]: the least that any monitor must do, bare
 * ioctls for one guest that ends by a triple fault at its first instruction.
 * The argument names what is set up beside: no interrupt chip, a split one
 * (local APICs alone), KVM's own PIC and IOAPIC, or those with a PIT; or a split
 * one, memory that is a private view of a file, and all state of the vCPU: read
 * and written once, which is as many ioctls as its loading takes, and as many more.
 */

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY (128ull << 20)
#define CODE 0x100000ull

static int failed(const char *what)
{
    perror(what);
    return 1;
}

static int make_irqchip(int vm, const char *kind)
{
    struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
    struct kvm_pit_config pit = { .flags = 0 };

    if (strcmp(kind, "none") == 0)
        return 0;
    if (strcmp(kind, "split") == 0 || strcmp(kind, "restore") == 0)
        return ioctl(vm, KVM_ENABLE_CAP, &split);
    if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0)
        return -1;
    return strcmp(kind, "pit") == 0 ? ioctl(vm, KVM_CREATE_PIT2, &pit) : 0;
}

/* CPUID as KVM offers it: a guest that is more than this one needs it. */
static int set_cpuid(int kvm, int vcpu)
{
    static struct {
        struct kvm_cpuid2 header;
        struct kvm_cpuid_entry2 entries[256];
    } cpuid;

    cpuid.header.nent = 256;
    return ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid.header) < 0
               ? -1
               : ioctl(vcpu, KVM_SET_CPUID2, &cpuid.header);
}

/* Flat 32-bit protected mode without an interrupt table: UD2 is a triple fault. */
static int set_registers(int vcpu)
{
    struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
    struct kvm_sregs sregs;

    if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
        return -1;
    sregs.cs = (struct kvm_segment){
        .limit = 0xffffffff, .selector = 16, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1,
    };
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = (struct kvm_segment){
        .limit = 0xffffffff, .selector = 24, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1,
    };
    sregs.idt.limit = 0;
    sregs.cr0 |= 1;
    return ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 ? -1 : ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* Each part of a vCPU's state, as it is. */
static int set_state(int vcpu)
{
    static const struct {
        unsigned long get, set;
    } parts[] = {
        { KVM_GET_XCRS, KVM_SET_XCRS },           { KVM_GET_XSAVE, KVM_SET_XSAVE },
        { KVM_GET_LAPIC, KVM_SET_LAPIC },         { KVM_GET_MSRS, KVM_SET_MSRS },
        { KVM_GET_MP_STATE, KVM_SET_MP_STATE },   { KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS },
        { KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS },
    };
    static struct {
        struct kvm_msrs header;
        struct kvm_msr_entry entries[64];
    } msrs = { .entries = { { .index = 0x174 }, { .index = 0x175 }, { .index = 0x176 },
                            { .index = 0xc0000081 }, { .index = 0xc0000082 }, { .index = 0xc0000084 },
                            { .index = 0xc0000102 }, { .index = 0x10 }, { .index = 0x277 },
                            { .index = 0x1a0 }, { .index = 0x3b }, { .index = 0x4b564d00 },
                            { .index = 0x4b564d01 }, { .index = 0x2ff }, { .index = 0x6e0 } } };
    static uint8_t state[16384];

    msrs.header.nmsrs = 15;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        void *place = parts[i].get == KVM_GET_MSRS ? (void *)&msrs : (void *)state;

        if (ioctl(vcpu, parts[i].get, place) < 0 || ioctl(vcpu, parts[i].set, place) < 0)
            return -1;
    }
    return 0;
}

/* A file with the guest's memory, which is gone when the program is. */
static int memory_file(void)
{
    int fd = memfd_create("memory", MFD_CLOEXEC);

    return fd < 0 || ftruncate(fd, MEMORY) < 0 ? -1 : fd;
}

int main(int argc, char **argv)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    struct kvm_userspace_memory_region slot = { .memory_size = MEMORY };
    bool restore = argc > 1 && strcmp(argv[1], "restore") == 0;
    uint8_t *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_NORESERVE | (restore ? 0 : MAP_ANONYMOUS),
                           restore ? memory_file() : -1, 0);
    struct kvm_run *run;
    int vcpu, run_size;

    if (kvm < 0 || vm < 0 || memory == MAP_FAILED ||
        make_irqchip(vm, argc > 1 ? argv[1] : "split") < 0)
        return failed("floor: VM");
    slot.userspace_addr = (uintptr_t)memory;
    memcpy(memory + CODE, "\x0f\x0b", 2);
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ||
        (vcpu = ioctl(vm, KVM_CREATE_VCPU, 0)) < 0 ||
        (run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)) < 0)
        return failed("floor: vCPU");
    run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED || set_cpuid(kvm, vcpu) < 0 || set_registers(vcpu) < 0)
        return failed("floor: registers");
    if (restore && set_state(vcpu) < 0)
        return failed("floor: state");
    if (ioctl(vcpu, KVM_RUN, 0) < 0 || run->exit_reason != KVM_EXIT_SHUTDOWN)
        return failed("floor: KVM_RUN");
    return 0;
}
