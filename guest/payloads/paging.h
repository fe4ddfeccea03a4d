/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_PAGING_H
#define MOTE_PAYLOAD_PAGING_H

/*
 * Page tables of the payload's own: 0 to 8 GiB one to one, in pages of 2 MiB.
 * The loader maps no more than 1 GiB, and MMIO begins at 3 GiB.
 */

#include "payload.h"

#define MAPPED_GIB 8

static struct {
    uint64_t top[512], directories[512], pages[MAPPED_GIB * 512];
} page_tables __attribute__((aligned(4096)));

static inline void map_memory(void)
{
    page_tables.top[0] = (uint64_t)page_tables.directories | 3;
    for (uint64_t i = 0; i < MAPPED_GIB; i++)
        page_tables.directories[i] = (uint64_t)&page_tables.pages[i * 512] | 3;
    for (uint64_t i = 0; i < MAPPED_GIB * 512; i++)
        page_tables.pages[i] = i << 21 | 0x83;
    __asm__ volatile("mov %0, %%cr3" : : "r"(&page_tables) : "memory");
}

#endif
