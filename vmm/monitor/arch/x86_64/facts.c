/* SPDX-License-Identifier: Apache-2.0 */
/* The constants of arch_facts.h. */

#include <linux/audit.h>

#include "vmm/machine/arch_facts.h"

const uint32_t arch_audit_number = AUDIT_ARCH_X86_64;

const char arch_serial_console[] = "ttyS0";

/*
 * Without
 *
 * - taking the lock prefixes out of the code where there is one CPU: 6,000
 *   writes, each through a mapping of its own, into 735 of 2,230 pages that VMs
 *   share as long as nobody writes there;
 * - a search for PCI devices, of which there are none: two thirds of the exits
 *   for ports until the init;
 * - 2 MiB, zeroed first, for one CPU's 172 KiB of variables;
 * - a look twice a second whether the TSC goes as KVM's clock does, for which an
 *   idle guest wakes.
 */
const char arch_job_kernel_options[] = "noreplace-smp pci=off percpu_alloc=page tsc=nowatchdog";

/* A triple fault, which ends the VM under every monitor, whatever hardware it has. */
const char arch_reset_kernel_option[] = "reboot=t";

const char arch_kernel_formats[] = "a bzImage or vmlinux";
const char arch_kernel_help[] = "bzImage or ELF vmlinux to boot (required)";
const char arch_boot_protocol_help[] = "linux64, elf64 or pvh (default: detected)";

const char arch_kvm_modules[] = "the kvm-intel or kvm-amd module";
const char arch_kvm_load_command[] = "sudo modprobe kvm-intel || sudo modprobe kvm-amd";
