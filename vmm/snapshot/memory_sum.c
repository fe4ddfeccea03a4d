/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/memory_sum.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/snapshot/memory_file.h"

#define PAGE_SIZE MEMORY_FILE_PAGE
#define BUFFER_SIZE (64 * PAGE_SIZE)

/* ---- XXH64 ----------------------------------------------------------------- */

#define PRIME_1 0x9e3779b185ebca87ull
#define PRIME_2 0xc2b2ae3d27d4eb4full
#define PRIME_3 0x165667b19e3779f9ull
#define PRIME_4 0x85ebca77c2b2ae63ull
#define LANES 4u

static uint64_t rotate(uint64_t value, unsigned int bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t lane(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return le64toh(value);
}

static uint64_t mix(uint64_t accumulator, uint64_t value)
{
    return rotate(accumulator + value * PRIME_2, 31) * PRIME_1;
}

uint64_t xxh64(const uint8_t *bytes, size_t length, uint64_t seed)
{
    uint64_t lanes[LANES] = { seed + PRIME_1 + PRIME_2, seed + PRIME_2, seed, seed - PRIME_1 };
    uint64_t sum;

    for (size_t at = 0; at < length; at += sizeof(lanes))
        for (size_t i = 0; i < LANES; i++)
            lanes[i] = mix(lanes[i], lane(bytes + at + 8 * i));
    sum = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
    for (size_t i = 0; i < LANES; i++)
        sum = (sum ^ mix(0, lanes[i])) * PRIME_1 + PRIME_4;
    sum += length;
    sum = (sum ^ sum >> 33) * PRIME_2;
    sum = (sum ^ sum >> 29) * PRIME_3;
    return sum ^ sum >> 32;
}

/* ---- of a file ------------------------------------------------------------- */

static int add_range(int fd, uint64_t start, uint64_t end, uint8_t *buffer, uint64_t *sum,
                     struct progress *progress, struct error *error)
{
    while (start < end) {
        uint64_t length = end - start < BUFFER_SIZE ? end - start : BUFFER_SIZE;
        int result = memory_file_get(fd, buffer, length, start, error);

        if (result < 0)
            return result;
        for (uint64_t at = 0; at < length; at += PAGE_SIZE)
            if (!memory_page_is_zero(buffer + at))
                *sum = xxh64(buffer + at, PAGE_SIZE, *sum + (start + at) / PAGE_SIZE);
        start += length;
        progress_add(progress, length);
    }
    return 0;
}

int memory_sum(int fd, uint64_t length, uint64_t *sum, struct progress *progress,
               struct error *error)
{
    cleanup_free uint8_t *buffer = malloc(BUFFER_SIZE);
    uint64_t at = 0;

    if (!buffer)
        return error_system(error, ENOMEM, "snapshot");
    *sum = 0;
    while (at < length) {
        off_t start = lseek(fd, (off_t)at, SEEK_DATA);
        off_t end = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
        int result;

        if (start < 0 && errno == ENXIO)
            break; /* only a hole is left */
        /* A file that cannot tell has data everywhere; data may begin and end amid a page. */
        if (start >= 0 && end >= 0) {
            at = (uint64_t)start / PAGE_SIZE * PAGE_SIZE;
            end = (end + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
        }
        if (start < 0 || end < 0 || (uint64_t)end > length)
            end = (off_t)length;
        result = add_range(fd, at, (uint64_t)end, buffer, sum, progress, error);
        if (result < 0)
            return result;
        at = (uint64_t)end;
    }
    return 0;
}
