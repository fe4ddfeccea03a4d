/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAGE_SIZE_H
#define MOTE_PAGE_SIZE_H

#include <stddef.h>

/* Bytes of this host's pages, in which memory is mapped, shown to a guest and given back: 4096, or up to 65,536. */
size_t page_size(void);

/* The least that any host has. */
#define PAGE_SIZE_MIN 4096u

/* Bytes of its huge pages: what one page of page tables maps, whose entries have 8 bytes. */
size_t huge_page_size(void);

#endif
