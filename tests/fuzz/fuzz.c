/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define PAGE_SIZE 4096u
#define MIB (1ull << 20)
/* No descriptor of this process has such a number. */
#define FILE_BASE 1000000

_Noreturn void fuzz_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

uint64_t fuzz_take(struct fuzz_input *input, size_t width)
{
    struct fuzz_input bytes = fuzz_take_bytes(input, width);
    uint64_t value = 0;

    if (bytes.size)
        memcpy(&value, bytes.bytes, bytes.size);
    return value;
}

struct fuzz_input fuzz_take_bytes(struct fuzz_input *input, size_t length)
{
    struct fuzz_input taken = { input->bytes, length < input->size ? length : input->size };

    input->bytes += taken.size;
    input->size -= taken.size;
    return taken;
}

/* ---- files ---- */

static struct fuzz_file *files[FUZZ_FILES];

struct image fuzz_image(enum fuzz_file_kind kind, struct fuzz_file *file)
{
    files[kind] = file;
    return (struct image){
        .role = kind == FUZZ_KERNEL ? "kernel" : "initrd",
        .path = "input",
        .fd = FILE_BASE + (int)kind,
        .size = file->size,
    };
}

ssize_t __real_pread(int fd, void *buffer, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void *buffer, size_t length, off_t offset);

ssize_t __wrap_pread(int fd, void *buffer, size_t length, off_t offset)
{
    struct fuzz_file *file;
    size_t from_content;

    if (fd < FILE_BASE || fd >= FILE_BASE + FUZZ_FILES)
        return __real_pread(fd, buffer, length, offset);
    file = files[fd - FILE_BASE];
    fuzz_require(offset >= 0);
    file->reads++;
    if ((uint64_t)offset >= file->true_size)
        return 0;
    if (length > file->true_size - (uint64_t)offset)
        length = file->true_size - (uint64_t)offset;
    from_content = (uint64_t)offset < file->content.size ? file->content.size - (size_t)offset : 0;
    if (from_content > length)
        from_content = length;
    if (from_content)
        memcpy(buffer, file->content.bytes + offset, from_content);
    memset((uint8_t *)buffer + from_content, 0, length - from_content);
    if (file->change_at && file->reads >= file->change_at &&
        file->change_offset - (size_t)offset < length)
        ((uint8_t *)buffer)[file->change_offset - (size_t)offset] ^= 0xff;
    return (ssize_t)length;
}

/* ---- memory ---- */

struct guest_memory *fuzz_memory(unsigned int index)
{
    static const struct {
        struct guest_range ranges[2];
        size_t count;
    } shapes[FUZZ_MEMORIES] = {
        { { { 0, 2 * MIB } }, 1 },
        { { { 0, 16 * MIB } }, 1 },
        { { { 0, 64 * MIB } }, 1 },
        { { { 0, 32 * MIB }, { 4096 * MIB, 16 * MIB } }, 2 },
    };
    static struct guest_memory *memories[FUZZ_MEMORIES];
    struct error error;

    index %= FUZZ_MEMORIES;
    if (memories[index])
        return memories[index];
    fuzz_require(guest_memory_create(&memories[index], shapes[index].ranges, shapes[index].count,
                                     &error) == 0);
    for (size_t i = 0; i < shapes[index].count; i++) {
        struct guest_slice slice;

        guest_memory_slice(memories[index], shapes[index].ranges[i].address,
                           shapes[index].ranges[i].size, &slice);
        /* A huge page would be cleared whole for each run that touches a byte of it. */
        madvise(slice.bytes, slice.length, MADV_NOHUGEPAGE);
    }
    return memories[index];
}

static bool is_claimed(uint64_t page, const struct guest_range *claimed, size_t count)
{
    if (page < MIB)
        return true;
    for (size_t i = 0; i < count; i++)
        if (claimed[i].size && page + PAGE_SIZE > claimed[i].address &&
            page < claimed[i].address + claimed[i].size)
            return true;
    return false;
}

void fuzz_memory_reset(struct guest_memory *memory, const struct guest_range *claimed, size_t count)
{
    static unsigned char resident[64 * MIB / PAGE_SIZE];

    for (size_t i = 0; i < guest_memory_region_count(memory); i++) {
        struct guest_range region = guest_memory_region(memory, i);
        struct guest_slice slice;

        fuzz_require(guest_memory_slice(memory, region.address, region.size, &slice) == 0);
        fuzz_require(slice.length <= sizeof(resident) * PAGE_SIZE);
        if (count > 0) {
            fuzz_require(mincore(slice.bytes, slice.length, resident) == 0);
            for (size_t page = 0; page < slice.length / PAGE_SIZE; page++)
                fuzz_require(!(resident[page] & 1) ||
                             is_claimed(region.address + page * PAGE_SIZE, claimed, count));
        }
        fuzz_require(madvise(slice.bytes, slice.length, MADV_DONTNEED) == 0);
    }
}
