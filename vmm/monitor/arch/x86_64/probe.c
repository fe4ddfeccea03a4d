/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this host's KVM runs supervisor code on the processor or emulates it.
 * The node's existence says little: some hosts back it by software that
 * interprets each supervisor instruction, on which tiny guests run and stock
 * kernels do not.  So: the processor's flags, and a long-mode guest that reads
 * CR3 some thousand times between two port writes, timed from outside.
 */

#include <cpuid.h>
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arch_vm.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"

#define PROBE_MEMORY (2ull << 20)
#define PROBE_CODE 0x100000ull
#define PROBE_READS 4096u
/* An exit for something else than the two port writes may come; not without end. */
#define PROBE_RUNS_MAX 64

/* out %al,$0x80 · mov $4096,%ecx · 1: mov %cr3,%rax · dec %ecx · jnz 1b · out %al,$0x80 · hlt */
static const uint8_t probe_code[] = {
    0xe6, 0x80, 0xb9, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x20, 0xd8,
    0xff, 0xc9, 0x75, 0xf9, 0xe6, 0x80, 0xf4,
};

bool arch_has_virtualization(void)
{
    uint32_t eax, ebx, ecx, edx;

    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 5))
        return true; /* VMX */
    return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 2); /* SVM */
}

bool arch_hypervisor(char name[ARCH_HYPERVISOR_SIZE])
{
    uint32_t eax, registers[3], ecx;

    if (!__get_cpuid(1, &eax, &registers[0], &ecx, &registers[1]) || !(ecx & 1u << 31))
        return false;
    /* Not __get_cpuid(): it knows the maximum of the processor's own leaves alone. */
    __cpuid(0x40000000, eax, registers[0], registers[1], registers[2]);
    memcpy(name, registers, ARCH_HYPERVISOR_SIZE - 1);
    name[ARCH_HYPERVISOR_SIZE - 1] = '\0';
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Runs to the next port write. */
static int run_to_port(int vcpu_fd, const struct kvm_run *run, struct error *error)
{
    for (int i = 0; i < PROBE_RUNS_MAX; i++) {
        int result = kvm_ioctl(vcpu_fd, KVM_RUN, 0);

        if (result < 0)
            return error_system(error, -result, "probe guest: KVM_RUN");
        if (run->exit_reason == KVM_EXIT_IO)
            return 0;
        if (run->exit_reason != KVM_EXIT_INTR)
            break;
    }
    return error_set(error, EIO, "probe guest: KVM stopped it (exit reason %u)", run->exit_reason);
}

static int time_guest(int vcpu_fd, size_t run_size, double *nanoseconds, struct error *error)
{
    struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
    uint64_t start;
    int result;

    if (run == MAP_FAILED)
        return error_system(error, errno, "probe guest: kvm_run");
    result = run_to_port(vcpu_fd, run, error);
    start = now_ns();
    if (result == 0)
        result = run_to_port(vcpu_fd, run, error);
    *nanoseconds = (double)(now_ns() - start) / PROBE_READS;
    munmap(run, run_size);
    return result;
}

static int set_up_and_time(struct kvm *kvm, struct guest_memory *memory, double *nanoseconds,
                           struct error *error)
{
    struct log silent = { .fd = -1, .level = LOG_ERROR };
    struct arch_vm arch = {
        .kvm = kvm, .log = &silent, .entry = { .long_mode = true, .rip = PROBE_CODE },
    };
    struct machine machine = { .memory = memory, .cpu_count = 1 };
    cleanup_fd int vcpu_fd = -1;
    struct guest_slice slice;
    int result;

    if ((result = kvm_create_vm(kvm, error)) < 0 ||
        (result = guest_memory_slice(memory, 0, PROBE_MEMORY, &slice)) < 0 ||
        (result = kvm_add_memory(kvm, 0, 0, slice.length, slice.bytes, error)) < 0)
        return result;
    memcpy(slice.bytes + PROBE_CODE, probe_code, sizeof(probe_code));
    vcpu_fd = kvm_create_vcpu(kvm, 0, error);
    if (vcpu_fd < 0)
        return vcpu_fd;
    result = arch_vcpu_setup(&arch, vcpu_fd, 0, &machine, error);
    free(arch.cpuid);
    if (result < 0)
        return result;
    return time_guest(vcpu_fd, kvm->run_size, nanoseconds, error);
}

int arch_probe(const char *kvm_path, double *nanoseconds, struct error *error)
{
    struct guest_range range = { .address = 0, .size = PROBE_MEMORY };
    struct guest_memory *memory;
    struct kvm kvm;
    int result = kvm_open(&kvm, kvm_path, error);

    if (result < 0)
        return result;
    result = guest_memory_create(&memory, &range, 1, error);
    if (result == 0) {
        result = set_up_and_time(&kvm, memory, nanoseconds, error);
        guest_memory_destroy(memory);
    }
    kvm_close(&kvm);
    return result;
}
