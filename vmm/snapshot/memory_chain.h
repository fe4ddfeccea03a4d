/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_MEMORY_CHAIN_H
#define MOTE_MEMORY_CHAIN_H

/*
 * The memory files that make up a snapshot's memory: its own, then its base's,
 * and so on down to a full one.  A page is that of the first file whose map has
 * it; the last has all.
 */

#include "vmm/config/config.h"
#include "vmm/snapshot/memory_file.h"

struct memory_layer {
    int fd;       /* the caller's */
    uint8_t *map; /* NULL: has all pages */
    uint64_t looked, data_start, data_end; /* where it has data at or after LOOKED */
};

struct memory_chain {
    uint64_t size; /* of RAM, bytes */
    size_t count;
    struct memory_layer layers[SNAPSHOT_CHAIN_MAX];
    uint8_t *buffer; /* pages as last read, from the page BUFFERED on */
    uint64_t buffered;
};

/*
 * COUNT files, FDS, which were checked, for SIZE bytes of RAM.  Reads their maps;
 * the caller ends it by memory_chain_close(), also after an error.
 */
int memory_chain_open(struct memory_chain *chain, const int *fds, size_t count, uint64_t size,
                      struct error *error);
/* The files of SOURCE. */
int memory_chain_open_source(struct memory_chain *chain, const struct vm_snapshot_source *source,
                             uint64_t size, struct error *error);
void memory_chain_close(struct memory_chain *chain);

/* The layer that PAGE is of. */
struct memory_layer *memory_chain_layer(struct memory_chain *chain, uint64_t page);
/* From PAGE on: how many pages, at most MAX, are of the same layer as PAGE. */
uint64_t memory_chain_run(struct memory_chain *chain, uint64_t page, uint64_t max);

/* Whether PAGE can be other than zero: its file has data there. */
bool memory_chain_has_data(struct memory_chain *chain, uint64_t page);
/* The bytes of PAGE, until the next call. */
int memory_chain_page(struct memory_chain *chain, uint64_t page, const uint8_t **bytes,
                      struct error *error);

/*
 * MEMORY, made from the last layer's file, gets the pages of those before: mapped
 * as that one is, or read where there are too many pieces to map.
 */
int memory_chain_map(struct memory_chain *chain, struct guest_memory *memory, struct error *error);

#endif
