/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_LOADING_H
#define MOTE_LOADING_H

/* What loading has in common, whatever the kernel's format: where there is room, and what is said where there is none. */

#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/image.h"

/* Where a kernel and its initrd may go. */
struct load_area {
    struct guest_memory *memory;
    struct guest_range ram; /* what there is; size 0 for none */
    uint64_t limit;         /* where it ends at the latest, however much memory the guest is given */
};

/* The error of an image that needs RAM up to END, where AREA has none. */
int loading_needs_memory(const struct image *image, const struct load_area *area, uint64_t end,
                         struct error *error);

/*
 * Loads INITRD as high as kernel and RAM allow, out of the kernel's way: above FLOOR, where that ends, and at or below
 * END_MAX, as that wants it.  *PLACE is where it went.
 */
int loading_place_initrd(const struct image *initrd, const struct load_area *area, uint64_t floor, uint64_t end_max,
                         struct guest_range *place, struct error *error);

/* The error of a file that no loader knows: what it is, if it is one that people name by mistake. */
int loading_unknown_kernel(const struct image *image, struct error *error);

#endif
