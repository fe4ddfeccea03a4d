/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_GUEST_MEMORY_H
#define MOTE_GUEST_MEMORY_H

/*
 * The guest's RAM: a few regions of guest-physical addresses, sorted, disjoint
 * and never empty, each backed by one private mapping: of nothing, or of a
 * snapshot's file, whose pages all VMs restored from it share until they write.
 * Other files may stand in it, as the constant part of a kernel that all VMs share.
 *
 * A file behind guest memory must keep what it has: what is written to it shows
 * in the guest wherever that did not write itself, and where it was cut short,
 * KVM_RUN fails with EFAULT and this process's own accesses with SIGBUS, which end
 * the VM (vmm/monitor/vcpu.c, vmm/jail/exit_reason.c).
 *
 * This is the only code that turns a guest address into a pointer.  It never
 * yields a pointer without its length, and an access lies within one region or
 * fails: nothing crosses the hole below 4 GiB.  Comparisons have the form
 * `length <= size - offset`, which cannot wrap.
 *
 * The bytes behind a slice may change at any time under the reader, since the
 * guest's other vCPUs run on: copy what is to be checked out of it once, check the
 * copy, and use the copy.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define GUEST_MEMORY_REGIONS_MAX 4

/* Guest-physical [address, address + size), in bytes. */
struct guest_range {
    uint64_t address;
    uint64_t size;
};

struct guest_slice {
    uint8_t *bytes;
    size_t length;
};

struct guest_memory;

/*
 * Maps COUNT ranges, which must be sorted, disjoint, non-empty and page
 * aligned.  The caller owns *MEMORY and ends it by guest_memory_destroy().
 */
int guest_memory_create(struct guest_memory **memory, const struct guest_range *ranges,
                        size_t count, struct error *error);
/*
 * As guest_memory_create(), with contents: FILE has the bytes of all ranges, one
 * after the other.  It is not written, stays the caller's, and must be as long.
 */
int guest_memory_create_from(struct guest_memory **memory, const struct guest_range *ranges,
                             size_t count, int file, struct error *error);
void guest_memory_destroy(struct guest_memory *memory);

/*
 * The size of the pages behind memory without a file.  Huge ones, 2 MiB, make a start
 * quicker, as each is one fault and not 512, and hold more that nobody uses; which
 * the host gives unasked its administrator decides (docs/start-time.md).
 */
enum guest_pages { GUEST_PAGES_AS_HOST, GUEST_PAGES_HUGE, GUEST_PAGES_SMALL, GUEST_PAGES_COUNT };

/* Before anything is in MEMORY.  -EINVAL for huge ones on a host that has none. */
int guest_memory_set_pages(struct guest_memory *memory, enum guest_pages pages,
                           struct error *error);

/*
 * [address, address + length), whole pages of one region, gets the contents of FILE
 * from OFFSET on, a multiple of the page's size.  FILE is not written, and stays the
 * caller's.  While no vCPU runs.  Where it fails, what was there may be lost.
 */
int guest_memory_map_file(struct guest_memory *memory, uint64_t address, uint64_t length, int file,
                          uint64_t offset, struct error *error);

size_t guest_memory_region_count(const struct guest_memory *memory);
struct guest_range guest_memory_region(const struct guest_memory *memory, size_t index);

/* RAM in bytes, all regions together. */
uint64_t guest_memory_size(const struct guest_memory *memory);

/*
 * Yields the host's view of [address, address + length).  Returns -EFAULT when
 * the range is not wholly inside one region.  Valid until destroy.
 */
int guest_memory_slice(const struct guest_memory *memory, uint64_t address, uint64_t length,
                       struct guest_slice *slice);

/* Copies into the guest; -EFAULT as above, and then nothing is copied. */
int guest_memory_write(const struct guest_memory *memory, uint64_t address, const void *bytes,
                       size_t length);

/*
 * Gives the host the pages of SLICE back: the guest reads zeroes there until it
 * writes again; or, where it gave back thousands of pieces of a file, that file's
 * bytes.  For one thread.  SLICE is whole pages of PAGE_SIZE_MIN of one region: -EINVAL, -EFAULT,
 * or what madvise(2) said.  What is less than a page of the host's stays.
 */
int guest_memory_discard(struct guest_memory *memory, const struct guest_slice *slice);

/*
 * Makes [address, address + length) of one region, whole pages, the process's own at
 * once, as if each had been written: -EINVAL on Linux before 5.14, which cannot.
 */
int guest_memory_own(const struct guest_memory *memory, uint64_t address, uint64_t length);

/* Whether the page at ADDRESS still has a file behind it: a snapshot's or a kernel's. */
bool guest_memory_page_has_file(const struct guest_memory *memory, uint64_t address);

#endif
