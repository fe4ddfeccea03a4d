/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the jail's lists of system calls (vmm/jail/lists.c) have on this architecture alone: calls that newer ones do
 * without, and what this folder asks of KVM.
 *
 * The kernel's clock sources that the vDSO cannot read are hpet, acpi_pm and an unstable TSC.
 */

#include <errno.h>
#include <linux/kvm.h>
#include <sys/syscall.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/lists.h"

static const struct filter_rule vcpu_rules[] = {
    ALLOW_IF(ioctl, IS(2, KVM_GET_REGS)), /* arch_vcpu_dump() */
    ALLOW_IF(ioctl, IS(2, KVM_GET_SREGS)),
};

/* The C library's epoll_wait() and poll(), elsewhere epoll_pwait and ppoll. */
static const struct filter_rule io_rules[] = {
    ALLOW(epoll_wait),
    RARE(poll, "a port's descriptor that cannot be opened anew"),
};

static const struct filter_rule control_rules[] = {
    ALLOW(epoll_wait),
    RARE(poll, "output or input that cannot be opened anew"),
    /* What KVM tells of a vCPU and its VM: a snapshot asks for all of it, and changes nothing (state.c). */
    ALLOW_IF(ioctl, IS(2, KVM_CHECK_EXTENSION)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_TSC_KHZ)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_MP_STATE)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_REGS)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_SREGS)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_XCRS)),
    RARE_IF(ioctl, "processors with little extended state", IS(2, KVM_GET_XSAVE)),
    RARE_IF(ioctl, "processors with much extended state", IS(2, KVM_GET_XSAVE2)),
    RARE_IF(ioctl, "a host that nests VMs", IS(2, KVM_GET_NESTED_STATE)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_DEBUGREGS)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_MSR_INDEX_LIST)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_MSRS)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_LAPIC)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_VCPU_EVENTS)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_CLOCK)),
    ALLOW_IF(ioctl, IS(2, KVM_KVMCLOCK_CTRL)), /* the guest's watchdogs: time has passed */
};

#define LIST(table) { .rules = table, .count = ARRAY_LENGTH(table) }

const struct filter_list arch_filter_lists[SANDBOX_THREAD_COUNT] = {
    [SANDBOX_VCPU] = LIST(vcpu_rules),
    [SANDBOX_IO] = LIST(io_rules),
    [SANDBOX_CONTROL] = LIST(control_rules),
};

/* By path what others do by folder and path only; and I/O ports and segments for a process of the host's. */
static const struct filter_rule denied_rules[] = {
    REFUSE(chmod, EPERM), REFUSE(chown, EPERM), REFUSE(lchown, EPERM), REFUSE(mknod, EPERM),
    REFUSE(iopl, EPERM), REFUSE(ioperm, EPERM), REFUSE(modify_ldt, EPERM),
};

const struct filter_list arch_filter_denied = LIST(denied_rules);
