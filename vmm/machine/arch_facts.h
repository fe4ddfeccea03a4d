/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ARCH_FACTS_H
#define MOTE_ARCH_FACTS_H

/*
 * Facts about the architecture that every process asks for.  Its folder,
 * vmm/monitor/arch/NAME/, supplies them; what the monitor alone needs of it is in
 * vmm/monitor/arch/arch.h, which also says how one is added.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most RAM that this machine's processor can address for a guest, in bytes. */
uint64_t arch_memory_limit(void);

/* As a snapshot names it: "x86_64". */
extern const char arch_name[];

/* AUDIT_ARCH_… of this architecture: how seccomp tells system calls apart. */
extern const uint32_t arch_audit_number;

/* Whether the processor says that it can virtualize. */
bool arch_has_virtualization(void);

/* How the hypervisor that this runs under calls itself; false where there is none. */
#define ARCH_HYPERVISOR_SIZE 13
bool arch_hypervisor(char name[ARCH_HYPERVISOR_SIZE]);

/* The names that --boot-protocol takes, as "linux64, elf64, pvh"; and the option's help. */
const char *arch_boot_protocol_names(void);
bool arch_boot_protocol_known(const char *name);
extern const char arch_boot_protocol_help[];

/* What --kernel takes, as "a bzImage or vmlinux"; and the option's help. */
extern const char arch_kernel_formats[];
extern const char arch_kernel_help[];

/*
 * A kernel that unpacks itself in the guest, as a bzImage does, told by its file's first LENGTH bytes, which are hostile: at
 * least ARCH_KERNEL_START of them, where there are so many.
 */
#define ARCH_KERNEL_START 1024
bool arch_kernel_is_packed(const uint8_t *start, size_t length);

/* Where what is compressed lies in such a file, as that says: unchecked. */
struct packed_kernel {
    uint64_t offset, length;
    bool size_follows; /* four bytes of LENGTH are the unpacked size, behind all formats but gzip's */
};

/* NULL, or what is wrong with it. */
const char *arch_kernel_payload(const uint8_t *start, size_t length, struct packed_kernel *kernel);

/* Whether a kernel begins so that was packed in one of those. */
bool arch_kernel_is_unpacked(const uint8_t *start, size_t length);

/* What a Linux guest calls its console on DEVICE_SERIAL: "ttyS0". */
extern const char arch_serial_console[];

/* What saves a job's kernel time on this architecture alone: options, by blanks (job_session.c has the others). */
extern const char arch_job_kernel_options[];

/* The kernel's option for a reboot that ends any monitor's VM at once. */
extern const char arch_reset_kernel_option[];

/* What a host without /dev/kvm lacks, as "the kvm-intel or kvm-amd module"; and the shell's command for it. */
extern const char arch_kvm_modules[];
extern const char arch_kvm_load_command[];

#endif
