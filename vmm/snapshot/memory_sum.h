/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_MEMORY_SUM_H
#define MOTE_MEMORY_SUM_H

/*
 * A checksum of a memory file: over its pages that are not zero, in their order,
 * each with its number, so that a hole and a page of zeros are the same.  Each
 * page's XXH64 (Yann Collet, "xxHash fast digest algorithm", revision 0.1.1) has
 * for its seed the sum so far, plus the page's number.
 *
 * It tells damage and mistakes.  It is no signature: who can write the file can
 * make the sum fit, too.
 */

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/progress.h"

/* XXH64 of LENGTH bytes, a multiple of 32. */
uint64_t xxh64(const uint8_t *bytes, size_t length, uint64_t seed);

/* Of the LENGTH bytes of FD, whole pages. */
int memory_sum(int fd, uint64_t length, uint64_t *sum, struct progress *progress,
               struct error *error);

#endif
