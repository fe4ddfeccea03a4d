/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ARCH_H
#define MOTE_ARCH_H

/*
 * What an architecture must supply to the monitor.  One folder beside this file,
 * named as `uname -m` has it, implements all of it; nothing outside that folder
 * asks which architecture this is.  Four headers declare what is asked:
 *
 *   vmm/machine/arch_facts.h        every process: constants, words, kernels' files
 *   vmm/monitor/arch/arch.h         the monitor alone: memory's layout, devices,
 *                                   interrupts, loading, vCPUs, their state
 *   vmm/jail/lists.h                system calls that it alone has, and what it
 *                                   asks of KVM: arch_filter_lists, arch_filter_denied
 *   vmm/monitor/boot/elf_image.h    which ELF files it takes: arch_elf_target
 *
 * An architecture is added by that folder alone: the Makefile finds it by its
 * name, and the linker says what it lacks.  vmm/monitor/boot/ has what loading and
 * describing have in common: ELF files, the initrd's place, the command line,
 * device trees, ACPI's language and tables.  A device that it alone has lies in
 * its folder, too, and its record names the code (DEVICE_ARCH).  Mote's own guest
 * kernel for it is guest/kernel/NAME.config.
 *
 * scripts/check-arch compiles everything outside of the folders for another
 * architecture, and scripts/check-includes knows words that belong inside.
 *
 * The order of calls, which speed decides (see docs/start-time.md):
 * arch_vm_create, memory slots (vm.c), arch_boot_load, then for each vCPU
 * arch_vcpu_setup.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/monitor/bus.h"
#include "vmm/base/error.h"
#include "vmm/machine/image.h"
#include "vmm/machine/irq_line.h"
#include "vmm/base/log.h"
#include "vmm/machine/arch_facts.h"
#include "vmm/machine/machine.h"

struct kvm;
struct kvm_run;
struct state;
struct arch_vm;

/* Where SIZE bytes of RAM lie; returns the number of ranges, 1 or 2. */
size_t arch_memory_layout(uint64_t size, struct guest_range ranges[2]);

/*
 * Runs a tiny guest on KVM_PATH and yields what one supervisor instruction
 * costs in it: a few nanoseconds where the processor executes it, some hundred
 * where software does.
 */
int arch_probe(const char *kvm_path, double *nanoseconds, struct error *error);

/* The devices that every machine of this architecture has. */
const struct machine_device *arch_platform_devices(size_t *count);

/* The INDEXth virtio-mmio window; false when there is no room for it. */
bool arch_virtio_window(size_t index, struct machine_device *device);

/*
 * Sets up the interrupt controller of KVM's VM, with inputs for the first
 * WINDOWS virtio windows, and puts what of it is emulated here on the bus.
 * MMIO must outlive *ARCH.
 */
int arch_vm_create(struct arch_vm **arch, struct kvm *kvm, struct bus *mmio, size_t windows,
                   struct log *log, struct error *error);
void arch_vm_destroy(struct arch_vm *arch);

/* The interrupt line of controller input NUMBER. */
struct irq_line arch_irq_line(struct arch_vm *arch, uint32_t number);

/*
 * What to boot.  PROTOCOL is a name from arch_boot_protocol_names(), or NULL to
 * detect it; INITRD is NULL for none.
 */
struct boot_source {
    const char *protocol;
    struct image *kernel;
    struct image *initrd;
    const char *command_line;
    bool console_matters; /* somebody looks at it: what will keep it silent is warned of */
};

/*
 * Loads kernel, initrd, command line and the description of MACHINE into its
 * memory, and keeps in ARCH where the first vCPU starts.  The images are
 * hostile: every number in them is checked against file and RAM.
 */
int arch_boot_load(struct arch_vm *arch, const struct boot_source *source,
                   const struct machine *machine, struct error *error);

/* Gives vCPU INDEX its identity and, for the first, the kernel's entry state. */
int arch_vcpu_setup(struct arch_vm *arch, int vcpu_fd, unsigned int index,
                    const struct machine *machine, struct error *error);

/* What ends a vCPU by KVM_EXIT_SHUTDOWN, as a VM's end is told: "triple fault". */
extern const char arch_shutdown_cause[];

/*
 * An exit that vcpu.c does not know: returns true when the architecture dealt
 * with it (port I/O, on x86).
 */
bool arch_vcpu_exit(struct arch_vm *arch, struct kvm_run *run, size_t run_size, struct bus *ports);

/*
 * Saves, or loads in place of arch_boot_load() and arch_vcpu_setup(), what of the
 * machine is KVM's (vmm/machine/state.h): first what the vCPUs share, then each of them.
 * No vCPU runs; VCPU_FD is any one of the CPU_COUNT there are.  What this host
 * cannot go on with is refused, before anything is given to KVM.
 */
void arch_vm_state(struct arch_vm *arch, int vcpu_fd, unsigned int cpu_count, struct state *state);
void arch_vcpu_state(struct arch_vm *arch, int vcpu_fd, unsigned int index, struct state *state);

/*
 * Gives the VM a generation ID that no other has, so that its guest's random
 * numbers part from those of its copies; CHANGED tells the guest, which had one.
 */
int arch_new_generation(struct arch_vm *arch, struct guest_memory *memory, bool changed,
                        struct error *error);

/* A vCPU goes on after a pause: its guest's watchdogs are told not to mind the time. */
void arch_vcpu_was_paused(int vcpu_fd);

/* Writes the registers of a vCPU that went wrong, several lines. */
void arch_vcpu_dump(int vcpu_fd, struct log *log);

#endif
