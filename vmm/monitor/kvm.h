/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_KVM_H
#define MOTE_KVM_H

/*
 * Thin wrappers over the KVM ioctls that every architecture shares.  Errors
 * come back as a negative errno and a line that names the remedy.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

/* /dev/kvm and, after kvm_create_vm(), one VM.  -1 where not open. */
struct kvm {
    int fd;
    int vm_fd;
    size_t run_size; /* bytes of a vCPU's shared kvm_run area */
};

#define KVM_INIT { .fd = -1, .vm_fd = -1 }

/* Opens PATH and checks that it is a KVM new enough for Mote. */
int kvm_open(struct kvm *kvm, const char *path, struct error *error);

int kvm_create_vm(struct kvm *kvm, struct error *error);

/* Closes what is open.  vCPUs keep the VM alive until they are closed too. */
void kvm_close(struct kvm *kvm);

/*
 * ioctl(2) with a bounded number of tries on EINTR and EAGAIN, which KVM gives
 * under memory pressure and pending signals.  Returns what ioctl returned, or
 * the negative errno.
 */
int kvm_ioctl(int fd, unsigned long request, uintptr_t argument);

/* The value of capability NUMBER, 0 where this KVM does not know it. */
int kvm_capability(const struct kvm *kvm, int number);

/* Shows SIZE bytes at host address HOST to the guest at ADDRESS. */
int kvm_add_memory(struct kvm *kvm, uint32_t slot, uint64_t address, uint64_t size, void *host,
                   struct error *error);

/*
 * Has guest reads of a page at ADDRESS answered from PAGE; writes leave the kernel
 * as before.  NULL takes it away.  A negative errno without words: plain exits
 * serve as well.
 */
int kvm_show_page(struct kvm *kvm, uint32_t slot, uint64_t address, void *page);

/*
 * Has KVM write EVENT_FD when VALUE (32 bits) is written to guest ADDRESS, or no
 * longer.  A negative errno without words: plain exits serve as well.
 */
int kvm_doorbell(struct kvm *kvm, uint64_t address, uint32_t value, int event_fd, bool attach);

/* Returns the descriptor of a new vCPU, the caller's. */
int kvm_create_vcpu(struct kvm *kvm, unsigned int index, struct error *error);

#endif
