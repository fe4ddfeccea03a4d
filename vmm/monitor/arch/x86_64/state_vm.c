/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state that the vCPUs share: CPUID, the clock and the interrupt controller.
 *
 * Time goes on while a VM is not there: the guest's clocks, KVM's and the TSC,
 * are set as if it had slept, so that its wall clock is right from the start.
 * KVM_KVMCLOCK_CTRL then tells its watchdogs to be quiet about it.
 */

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch_vm.h"
#include "cpuid.h"
#include "devices/device.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/machine/state.h"

/* A host whose clock was never set must not throw the guest decades ahead. */
#define ELAPSED_MAX (10ull * 366 * 86400 * 1000000000u)

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t arch_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static void failed(struct state *state, int number, const char *what)
{
    struct error error = ERROR_INIT;

    error_system(&error, number, "snapshot: %s", what);
    state_fail(state, &error);
}

static void clock_state(struct arch_vm *arch, struct state *state)
{
    struct kvm_clock_data clock = { .clock = 0 };
    uint64_t wall = read_clock(CLOCK_REALTIME), saved = wall, guest = 0;
    int result;

    if (!state_is_loading(state)) {
        result = kvm_ioctl(arch->kvm->vm_fd, KVM_GET_CLOCK, (uintptr_t)&clock);
        if (result < 0)
            failed(state, -result, "KVM_GET_CLOCK");
        guest = clock.clock;
        arch->clock_at = arch_monotonic();
    }
    state_begin(state, "clock", 0, 1);
    state_u64(state, &saved);
    state_u64(state, &guest);
    state_require(state, saved <= INT64_MAX && guest <= INT64_MAX, "the time");
    state_end(state);
    if (!state_is_loading(state) || !state_is_sound(state))
        return;
    arch->elapsed = wall > saved && wall - saved < ELAPSED_MAX ? wall - saved : 0;
    clock = (struct kvm_clock_data){ .clock = guest + arch->elapsed };
    result = kvm_ioctl(arch->kvm->vm_fd, KVM_SET_CLOCK, (uintptr_t)&clock);
    if (result < 0)
        failed(state, -result, "KVM_SET_CLOCK");
    arch->clock_at = arch_monotonic();
}

/* What this host would tell a guest of as many vCPUs. */
static struct cpuid_template *host_cpuid(struct arch_vm *arch, int vcpu_fd, unsigned int cpu_count,
                                         struct state *state)
{
    int tsc_khz = kvm_ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);
    struct cpuid_template *cpuid = NULL;
    struct error error = ERROR_INIT;

    if (cpuid_create(&cpuid, arch->kvm, cpu_count, tsc_khz > 0 ? (uint32_t)tsc_khz : 0, &error) < 0)
        state_fail(state, &error);
    return cpuid;
}

static void load_cpuid(struct arch_vm *arch, int vcpu_fd, unsigned int cpu_count,
                       struct state *state)
{
    struct cpuid_template *host = host_cpuid(arch, vcpu_fd, cpu_count, state);
    struct cpuid_template *loaded = calloc(1, sizeof(*loaded));

    if (!loaded)
        failed(state, ENOMEM, "CPUID");
    if (host && loaded) {
        loaded->cpu_count = cpu_count;
        loaded->intel = host->intel;
        cpuid_state(loaded, host, state);
    }
    free(host);
    free(arch->cpuid);
    arch->cpuid = loaded;
}

void arch_vm_state(struct arch_vm *arch, int vcpu_fd, unsigned int cpu_count, struct state *state)
{
    if (state_is_loading(state))
        load_cpuid(arch, vcpu_fd, cpu_count, state);
    else
        cpuid_state(arch->cpuid, NULL, state);
    clock_state(arch, state);
    if (!arch->ioapic->ops->state)
        return;
    pthread_mutex_lock(&arch->ioapic->lock);
    arch->ioapic->ops->state(arch->ioapic, state);
    pthread_mutex_unlock(&arch->ioapic->lock);
}
