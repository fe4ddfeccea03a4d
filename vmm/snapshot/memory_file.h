/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_MEMORY_FILE_H
#define MOTE_MEMORY_FILE_H

/*
 * A snapshot's memory: the bytes of the guest's RAM, region after region, in a
 * sparse file where pages of zeros are holes; behind them one page that names
 * the snapshot to which they belong:
 *
 *   0     "MOTEMEM\n"
 *   8     version, 32 bits: 1; then 32 bits of zero
 *   16    bytes of RAM before this page, 64 bits
 *   24    the snapshot's id, 16 bytes, the same as in its state
 *
 * Little-endian.  A file that was cut short lacks this page, and one of another
 * snapshot has another id.
 */

#include <stdint.h>

#include "vmm/error.h"
#include "vmm/guest_memory.h"

#define SNAPSHOT_ID_SIZE 16

/* Bytes of the file for SIZE bytes of RAM: with the page behind it. */
uint64_t memory_file_length(uint64_t size);

/* Makes FD, empty, one for SIZE bytes of RAM, all zero. */
int memory_file_begin(int fd, uint64_t size, const uint8_t id[SNAPSHOT_ID_SIZE],
                      struct error *error);

/*
 * Writes MEMORY, which nobody changes meanwhile, into FD.  PAGE_MAP is this
 * process's own /proc/self/pagemap, or -1: with it, what was never touched is not
 * looked at.  BASE is the file that MEMORY came from, or -1.
 */
int memory_file_write(int fd, const struct guest_memory *memory, int page_map, int base,
                      struct error *error);

/* Whether FD is a whole one, for SIZE bytes of RAM and the snapshot ID. */
int memory_file_check(int fd, uint64_t size, const uint8_t id[SNAPSHOT_ID_SIZE],
                      struct error *error);

#endif
