/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ELF_IMAGE_H
#define MOTE_ELF_IMAGE_H

/*
 * An ELF kernel: its checked headers, and its segments brought to the physical
 * addresses that they ask for.  A 32-bit file (Xen's own, many unikernels) has
 * its headers widened to those of ELF64, and from there on is no different.
 */

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/image.h"
#include "vmm/monitor/boot/loading.h"

/* Linux has about five program headers; this is room enough for any kernel. */
#define ELF_SEGMENTS_MAX 64

/* Which files an architecture takes; it supplies arch_elf_target. */
struct elf_target {
    const char *name;       /* "x86-64", for messages */
    uint16_t machine;       /* EM_… of a 64-bit file */
    uint16_t machine_32bit; /* of a 32-bit one; EM_NONE: takes none */
    uint64_t lowest;        /* the physical address below which no segment goes */
};
extern const struct elf_target arch_elf_target;

struct elf_image {
    bool is_32bit;
    uint64_t entry; /* e_entry as the file gives it; unchecked */
    size_t segment_count;
    Elf64_Phdr segments[ELF_SEGMENTS_MAX];
};

bool elf_has_magic(const struct image *image);

/* Reads and checks the file header and the program headers. */
int elf_read(const struct image *image, struct elf_image *elf, struct error *error);

/*
 * Brings every PT_LOAD segment into AREA, those that the file says are not
 * written to by image_place(), and yields the smallest range that holds them all.
 * Fresh guest memory is zero, so .bss needs no writing.
 */
int elf_load(const struct image *image, const struct elf_image *elf, const struct load_area *area,
             struct guest_range *range, struct error *error);

/* Whether ADDRESS is inside a PT_LOAD segment's physical range. */
bool elf_holds(const struct elf_image *elf, uint64_t address);

/*
 * The 32-bit or 64-bit number that the note of OWNER and TYPE holds.
 * Returns 1 when found, 0 when there is none, or a negative errno.
 */
int elf_number_note(const struct image *image, const struct elf_image *elf, const char *owner,
                    uint32_t type, uint64_t *number, struct error *error);

#endif
