/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_KERNEL_MARKS_H
#define MOTE_KERNEL_MARKS_H

/*
 * Texts that only kernels with a certain part have in them, looked for in a kernel's file.  Heuristics: what is found decides
 * what a guest is told, but nothing is believed of it.  The file is hostile, and so large as it wants to be.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/machine/image.h"

/* The longest text of a mark, and the most of a file that is looked through for them. */
#define KERNEL_MARK_MAX 32u
#define KERNEL_MARKS_SCAN_MAX (128u << 20)

struct kernel_mark {
    const char *text;
    bool *found; /* set to true */
};

/* In [offset, offset + length) of the file, as far as that is there. */
void kernel_marks_scan(const struct image *kernel, uint64_t offset, uint64_t length, const struct kernel_mark *marks,
                       size_t count);

/* In the section NAME of a 64-bit ELF file; in all of one without sections or without that one. */
void kernel_marks_scan_section(const struct image *kernel, const char *name, const struct kernel_mark *marks,
                               size_t count);

#endif
