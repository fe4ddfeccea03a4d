/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor [none|split|kernel|pit]: the least that any monitor must do, bare
 * ioctls for one guest that ends by a triple fault at its first instruction.
 * The argument names what is set up beside: no interrupt chip, a split one
 * (local APICs alone), KVM's own PIC and IOAPIC, or those with a PIT.
 */

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

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
    if (strcmp(kind, "split") == 0)
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

int main(int argc, char **argv)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    struct kvm_userspace_memory_region slot = { .memory_size = MEMORY };
    uint8_t *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
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
    if (ioctl(vcpu, KVM_RUN, 0) < 0 || run->exit_reason != KVM_EXIT_SHUTDOWN)
        return failed("floor: KVM_RUN");
    return 0;
}
