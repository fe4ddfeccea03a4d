/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_BOOT_H
#define MOTE_X86_BOOT_H

/*
 * How a kernel gets into an x86-64 guest.
 *
 * A boot protocol has two halves: load() brings the kernel's bytes to their
 * place and tells what room the kernel claims; hand_over() writes the structure
 * that its entry point expects.  What lies between is the same for all: initrd,
 * command line and the description of the machine.
 *
 *   linux64  bzImage, 64-bit entry      boot_params in RSI
 *   elf64    vmlinux, 64-bit entry      boot_params in RSI
 *   pvh      ELF with a Xen PVH note    hvm_start_info in EBX, 32-bit entry
 */

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/image.h"
#include "vmm/machine/machine.h"
#include "vmm/monitor/boot/loading.h"

/* The state in which the first vCPU meets the kernel. */
struct boot_entry {
    bool long_mode;    /* else 32-bit protected mode without paging */
    uint64_t rip;
    uint64_t argument; /* guest address: RSI in long mode, else EBX */
};

/* What load() found out. */
struct loaded_kernel {
    struct guest_range range;    /* all RAM that the kernel uses before it knows the memory map */
    uint64_t entry;              /* guest-physical */
    uint64_t initrd_end_max;     /* the initrd must end at or below this address */
    uint64_t command_line_max;   /* bytes without the final NUL */
    bool seeks_pci;              /* it is a Linux that reads ACPI, as PCs have it */
    struct setup_header header;  /* linux64: the image's own; otherwise the least that is needed */
};

/* What stands in guest memory beside the kernel when hand_over() is called. */
struct boot_handover {
    uint64_t command_line;    /* address of a NUL-terminated string */
    struct guest_range initrd; /* size 0 for none */
    uint64_t rsdp;            /* ACPI root pointer, 0 for none */
    uint64_t setup_data;      /* address of a setup_data list, 0 for none */
};

struct boot_protocol {
    const char *name;
    bool takes_setup_data; /* a device tree can be handed over */

    /* Whether the image looks like this protocol's; decides nothing else. */
    bool (*probe)(const struct image *image);
    int (*load)(const struct image *image, struct guest_memory *memory,
                struct loaded_kernel *kernel, struct error *error);
    int (*hand_over)(struct guest_memory *memory, const struct loaded_kernel *kernel,
                     const struct boot_handover *handover, struct boot_entry *entry,
                     struct error *error);
};

extern const struct boot_protocol boot_linux64;
extern const struct boot_protocol boot_elf64;
extern const struct boot_protocol boot_pvh;

/*
 * Writes boot_params ("zero page") around KERNEL's setup_header and yields the
 * 64-bit entry state.  The hand_over() of both 64-bit protocols.
 */
int boot_params_write(struct guest_memory *memory, const struct loaded_kernel *kernel,
                      const struct boot_handover *handover, struct boot_entry *entry,
                      struct error *error);

/*
 * The guest-physical memory map in e820 terms: entries in ENTRIES, their number
 * returned.  At most E820_ENTRIES.
 */
#define E820_ENTRIES 8
size_t boot_memory_map(const struct guest_memory *memory, struct boot_e820_entry *entries);

/*
 * Where RAM that the kernel may claim lies: from 1 MiB to the end of the region
 * below 4 GiB.  Size 0 where the guest has no more than 1 MiB.
 */
struct guest_range boot_low_ram(const struct guest_memory *memory);

/* The same, as loaders see it. */
struct load_area boot_load_area(struct guest_memory *memory);

/* Puts code where a reboot through real mode ends. */
int boot_write_reset_vector(struct guest_memory *memory, struct error *error);

#endif
