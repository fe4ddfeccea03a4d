/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_GUEST_READ_H
#define TESTS_GUEST_READ_H

/* A copy of what the guest has in its memory; -EFAULT where that is not wholly inside of one region. */

#include <string.h>

#include "vmm/machine/guest_memory.h"

static inline int guest_read(const struct guest_memory *memory, uint64_t address, void *bytes, size_t length)
{
    struct guest_slice slice;
    int result = guest_memory_slice(memory, address, length, &slice);

    if (result == 0)
        memcpy(bytes, slice.bytes, slice.length);
    return result;
}

#endif
