/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VCPU_H
#define MOTE_VCPU_H

/*
 * The guest's processors, one thread each: KVM_RUN, then the exit to the bus,
 * and again.  A vCPU's thread never waits for anything but KVM and a device's
 * lock.
 *
 * Any vCPU can end the VM: it reports how through the `ended` callback and
 * leaves its loop.  The owner then stops the others by vcpus_stop().  Once the
 * sandbox is entered no thread can be made anew: a pause parks those that are.
 */

#include "vmm/monitor/bus.h"
#include "vmm/base/error.h"
#include "vmm/monitor/kvm.h"
#include "vmm/base/log.h"
#include "vmm/jail/sandbox.h"

struct arch_vm;
struct vcpus;

enum vcpu_end {
    VCPU_SHUTDOWN,      /* KVM_EXIT_SHUTDOWN: the guest reset itself the hard way */
    VCPU_SYSTEM_OFF,    /* KVM_EXIT_SYSTEM_EVENT: off, by a call of the firmware's */
    VCPU_SYSTEM_RESET,  /* KVM_EXIT_SYSTEM_EVENT: reset */
    VCPU_SYSTEM_CRASH,  /* KVM_EXIT_SYSTEM_EVENT: the guest reports a crash */
    VCPU_FAILED,        /* an exit that ends in a register dump */
};

struct vcpu_env {
    struct kvm *kvm;
    struct arch_vm *arch;
    struct bus *mmio;
    struct bus *ports;
    struct log *log;
    struct sandbox *sandbox; /* NULL for none */
    void (*ended)(void *context, enum vcpu_end end); /* on a vCPU's thread; returns at once */
    void *context;
};

/* Creates COUNT vCPUs, not yet running.  ENV is copied. */
int vcpus_create(struct vcpus **vcpus, const struct vcpu_env *env, unsigned int count,
                 struct error *error);

/* The descriptor of vCPU INDEX, for the architecture's set-up. */
int vcpus_fd(const struct vcpus *vcpus, unsigned int index);

/*
 * Starts the threads.  All enter the sandbox, and so does the calling thread as
 * the one that controls, before the guest runs its first instruction.
 */
int vcpus_start(struct vcpus *vcpus, struct error *error);

/*
 * Has every thread park outside of KVM_RUN, between two instructions of its
 * guest: when it returns, the vCPUs' registers are whole and stay as they are.
 * A vCPU that has ended counts as parked.  These three are for one thread.
 */
void vcpus_pause(struct vcpus *vcpus);
void vcpus_resume(struct vcpus *vcpus);

/* Brings every thread to its end and waits for it.  Any number of times. */
void vcpus_stop(struct vcpus *vcpus);

void vcpus_destroy(struct vcpus *vcpus);

#endif
