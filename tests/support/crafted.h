/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CRAFTED_H
#define MOTE_CRAFTED_H

/*
 * Small valid kernel images, made to be broken in one place: unit tests change
 * single fields of them, the fuzzers' seeds are made from them.  Nothing here
 * needs a test framework.
 */

#include <asm/bootparam.h>
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/machine/image.h"

#define CRAFTED_MAX 16384

struct crafted {
    size_t size; /* of the file; what lies beyond CRAFTED_MAX is a hole */
    _Alignas(8) uint8_t bytes[CRAFTED_MAX];
};

/* bzImage: two sectors of setup code, then 4 KiB that want 2 MiB at 16 MiB. */
#define CRAFTED_SETUP_SIZE 1024u
#define CRAFTED_KERNEL_SIZE 4096u
#define CRAFTED_LOAD_ADDRESS 0x1000000ull
#define CRAFTED_INIT_SIZE 0x200000u
#define CRAFTED_HEADER 0x1f1u
void craft_bzimage(struct crafted *crafted);

/* ELF: program headers for two segments at 16 MiB and 18 MiB, then one for notes. */
enum crafted_program_header { CRAFTED_TEXT, CRAFTED_DATA, CRAFTED_NOTES, CRAFTED_HEADERS };
#define CRAFTED_PROGRAM_HEADERS 64u
#define CRAFTED_NOTES_OFFSET 0x400u
#define CRAFTED_TEXT_OFFSET 0x1000u
#define CRAFTED_TEXT_SIZE 0x800u
#define CRAFTED_DATA_OFFSET 0x1800u
#define CRAFTED_DATA_SIZE 0x100u
#define CRAFTED_DATA_ADDRESS 0x1200000ull
#define CRAFTED_DATA_MEMORY 0x3000u
#define CRAFTED_ENTRY (CRAFTED_LOAD_ADDRESS + 0x10)
#define CRAFTED_PVH_ENTRY (CRAFTED_LOAD_ADDRESS + 0x20)
/* The Xen note follows this one of another owner. */
#define CRAFTED_XEN_NOTE (CRAFTED_NOTES_OFFSET + 36u)
void craft_elf(struct crafted *crafted, bool with_pvh_note);
/* The same segments in a 32-bit file; its own entry is of no use here. */
void craft_elf32(struct crafted *crafted, bool with_pvh_note);

/* Sets WIDTH bytes at OFFSET to VALUE, little-endian. */
struct poke {
    size_t offset;
    size_t width;
    uint64_t value;
};
void craft_poke(struct crafted *crafted, const struct poke *poke);

/* Where fields lie, as the first two members of a struct poke. */
#define HEADER_FIELD(field)                                                                        \
    CRAFTED_HEADER + offsetof(struct setup_header, field), sizeof(((struct setup_header *)0)->field)
#define ELF_FIELD(field) offsetof(Elf64_Ehdr, field), sizeof(((Elf64_Ehdr *)0)->field)
#define ELF32_FIELD(field) offsetof(Elf32_Ehdr, field), sizeof(((Elf32_Ehdr *)0)->field)
#define SEGMENT32_FIELD(index, field)                                                              \
    CRAFTED_PROGRAM_HEADERS + (index) * sizeof(Elf32_Phdr) + offsetof(Elf32_Phdr, field),          \
        sizeof(((Elf32_Phdr *)0)->field)
#define SEGMENT_FIELD(index, field)                                                                \
    CRAFTED_PROGRAM_HEADERS + (index) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, field),          \
        sizeof(((Elf64_Phdr *)0)->field)

/* The file in memory, sparse where it is larger than CRAFTED_MAX.  Aborts on failure. */
struct image crafted_open(const struct crafted *crafted, const char *role);

#endif
