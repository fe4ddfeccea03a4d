/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_MEMORY_FILE_H
#define MOTE_MEMORY_FILE_H

/*
 * A snapshot's memory: the bytes of the guest's RAM, region after region, in a
 * sparse file where pages of zeros are holes; behind them one page that names
 * the snapshot to which they belong:
 *
 *   0     "MOTEMEM\n"
 *   8     version, 32 bits: 1, or 2 for a difference; then 32 bits of zero
 *   16    bytes of RAM before this page, 64 bits
 *   24    the snapshot's id, 16 bytes, the same as in its state
 *
 * A difference has the pages that are other than in its base, each at its own
 * place, and behind the page above a map, a bit for each page of RAM from the
 * lowest of the first byte on, up to whole pages: 1 for a page of this file, a
 * hole among them is a page of zeros; 0 for one of the base's.  So no map can
 * name a page twice, or one outside of memory.
 *
 * Little-endian.  A file that was cut short lacks its end, and one of another
 * snapshot has another id.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/machine/guest_memory.h"

#define SNAPSHOT_ID_SIZE 16
/* Its pages are these.  A host with larger ones could not map what is in it: there it is refused. */
#define MEMORY_FILE_PAGE 4096u

struct memory_chain;

enum memory_file_kind { MEMORY_FULL, MEMORY_DIFFERENCE };

/* Bytes of the file for SIZE bytes of RAM: with what is behind it. */
uint64_t memory_file_length(uint64_t size, enum memory_file_kind kind);

/* Makes FD, empty, one for SIZE bytes of RAM: all zero, or as the base. */
int memory_file_begin(int fd, uint64_t size, const uint8_t id[SNAPSHOT_ID_SIZE],
                      enum memory_file_kind kind, struct error *error);

/* Whether FD is a whole one, for SIZE bytes of RAM and the snapshot ID. */
int memory_file_check(int fd, uint64_t size, const uint8_t id[SNAPSHOT_ID_SIZE],
                      enum memory_file_kind kind, struct error *error);

/* The map of a difference: memory_file_map_length() bytes, the caller's. */
uint64_t memory_file_map_length(uint64_t size);
int memory_file_read_map(int fd, uint64_t size, uint8_t *map, struct error *error);

static inline bool memory_map_has(const uint8_t *map, uint64_t page)
{
    return map[page / 8] >> page % 8 & 1;
}

/* What saving knows of the memory. */
struct memory_saving {
    int page_map; /* this process's own /proc/self/pagemap: what was never touched is not looked at; or -1 */
    struct memory_chain *source; /* the files that the memory came from, or NULL */
    struct memory_chain *base;   /* of a difference, or NULL; may be the source */
};

/*
 * Writes MEMORY, which nobody changes meanwhile, into FD, whose offset tells those who share it how far that is,
 * also amid pages that are not written.
 */
int memory_file_write(int fd, const struct guest_memory *memory, const struct memory_saving *saving,
                      struct error *error);

/* Of a page that is aligned as words are. */
bool memory_page_is_zero(const uint8_t *page);

/* All of LENGTH bytes, or an error; a file that ends before is one. */
int memory_file_put(int fd, const void *bytes, size_t length, uint64_t offset, struct error *error);
int memory_file_get(int fd, void *bytes, size_t length, uint64_t offset, struct error *error);

#endif
