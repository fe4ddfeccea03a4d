/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/memory_file.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_SIZE 4096u
/* Looked at together, and written by one call where all of them have contents. */
#define STRETCH 512u

/* /proc/PID/pagemap, an entry of 64 bits for each page (Linux, Documentation/admin-guide/mm/pagemap.rst). */
#define PAGE_PRESENT (1ull << 63)
#define PAGE_SWAPPED (1ull << 62)
#define PAGE_OF_FILE (1ull << 61)

static const char magic[8] = { 'M', 'O', 'T', 'E', 'M', 'E', 'M', '\n' };

struct trailer {
    char magic[8];
    uint32_t version;
    uint32_t zero;
    uint64_t size;
    uint8_t id[SNAPSHOT_ID_SIZE];
};
_Static_assert(sizeof(struct trailer) == 40, "as memory_file.h says");

/* ---- the page behind the memory -------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t length, uint64_t offset, struct error *error)
{
    const uint8_t *at = bytes;

    while (length > 0) {
        ssize_t written = pwrite(fd, at, length, (off_t)offset);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return error_system(error, written < 0 ? errno : EIO, "snapshot: its memory");
        at += written;
        offset += (uint64_t)written;
        length -= (size_t)written;
    }
    return 0;
}

uint64_t memory_file_length(uint64_t size)
{
    return size + PAGE_SIZE;
}

int memory_file_begin(int fd, uint64_t size, const uint8_t id[SNAPSHOT_ID_SIZE],
                      struct error *error)
{
    uint8_t page[PAGE_SIZE] = { 0 };
    struct trailer trailer = { .version = htole32(1), .size = htole64(size) };

    memcpy(trailer.magic, magic, sizeof(magic));
    memcpy(trailer.id, id, sizeof(trailer.id));
    memcpy(page, &trailer, sizeof(trailer));
    return write_all(fd, page, sizeof(page), size, error);
}

int memory_file_check(int fd, uint64_t size, const uint8_t id[SNAPSHOT_ID_SIZE],
                      struct error *error)
{
    struct trailer trailer;
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_system(error, errno, "snapshot: its memory");
    if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size != memory_file_length(size))
        return error_set(error, EINVAL, "snapshot: its memory has %llu bytes and must have %llu: it "
                         "was cut short or is another's; copy it again or save the VM anew",
                         (unsigned long long)status.st_size,
                         (unsigned long long)memory_file_length(size));
    if (pread(fd, &trailer, sizeof(trailer), (off_t)size) != (ssize_t)sizeof(trailer))
        return error_system(error, EIO, "snapshot: its memory");
    if (memcmp(trailer.magic, magic, sizeof(magic)) != 0 || trailer.version != htole32(1) ||
        trailer.zero != 0 || le64toh(trailer.size) != size)
        return error_set(error, EINVAL, "snapshot: its memory was altered; save the VM anew");
    if (memcmp(trailer.id, id, sizeof(trailer.id)) != 0)
        return error_set(error, EINVAL, "snapshot: its memory is that of another snapshot; keep the "
                         "files of one snapshot together");
    return 0;
}

/* ---- which pages have contents --------------------------------------------- */

/* Of the file that memory came from: the data at or after an offset, [start, end). */
struct extent {
    uint64_t start, end;
};

/* In the page at OFFSET: of a copy with smaller blocks the data may begin amid it. */
static bool base_has_data(int base, struct extent *extent, uint64_t offset)
{
    if (offset >= extent->end) {
        off_t start = lseek(base, (off_t)offset, SEEK_DATA);
        off_t end = start < 0 ? -1 : lseek(base, start, SEEK_HOLE);

        if (start < 0 && errno == ENXIO)
            *extent = (struct extent){ UINT64_MAX, UINT64_MAX }; /* only a hole is left */
        else if (start < 0 || end < 0)
            *extent = (struct extent){ 0, UINT64_MAX }; /* that cannot tell: look at all of it */
        else
            *extent = (struct extent){ (uint64_t)start, (uint64_t)end };
    }
    return extent->start < offset + PAGE_SIZE;
}

static bool is_zero(const uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;

    for (size_t i = 0; i < PAGE_SIZE / sizeof(*words); i += 8)
        if (words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] | words[i + 5] |
            words[i + 6] | words[i + 7])
            return false;
    return true;
}

struct writing {
    int fd, page_map, base;
    const struct guest_memory *memory;
    struct extent data; /* of BASE */
};

/* What the page tables know of COUNT pages from BYTES on; where they cannot be asked, all is present. */
static void look_up(const struct writing *writing, const uint8_t *bytes, size_t count,
                    uint64_t *entries)
{
    off_t offset = (off_t)((uintptr_t)bytes / PAGE_SIZE * sizeof(*entries));
    ssize_t length = (ssize_t)(count * sizeof(*entries));

    if (writing->page_map >= 0 && pread(writing->page_map, entries, (size_t)length, offset) == length)
        return;
    for (size_t i = 0; i < count; i++)
        entries[i] = PAGE_PRESENT;
}

/* Whether the page, ADDRESS in the guest and OFFSET in the files, can be other than zero. */
static bool may_have_contents(struct writing *writing, uint64_t entry, uint64_t address,
                              uint64_t offset)
{
    bool own = (entry & PAGE_SWAPPED) || ((entry & PAGE_PRESENT) && !(entry & PAGE_OF_FILE));

    return own || (writing->base >= 0 && guest_memory_page_has_file(writing->memory, address) &&
                   base_has_data(writing->base, &writing->data, offset));
}

static int write_stretch(struct writing *writing, const uint8_t *bytes, size_t count,
                         uint64_t address, uint64_t offset, struct error *error)
{
    uint64_t entries[STRETCH];
    size_t first = 0; /* of the pages that wait to be written */
    int result = 0;

    look_up(writing, bytes, count, entries);
    for (size_t i = 0; i <= count && result == 0; i++) {
        if (i < count &&
            may_have_contents(writing, entries[i], address + i * PAGE_SIZE, offset + i * PAGE_SIZE) &&
            !is_zero(bytes + i * PAGE_SIZE))
            continue;
        if (i > first)
            result = write_all(writing->fd, bytes + first * PAGE_SIZE, (i - first) * PAGE_SIZE,
                               offset + first * PAGE_SIZE, error);
        first = i + 1;
    }
    return result;
}

int memory_file_write(int fd, const struct guest_memory *memory, int page_map, int base,
                      struct error *error)
{
    struct writing writing = {
        .fd = fd, .page_map = page_map, .base = base, .memory = memory,
    };
    uint64_t offset = 0;

    for (size_t i = 0; i < guest_memory_region_count(memory); i++) {
        struct guest_range region = guest_memory_region(memory, i);
        struct guest_slice slice;
        int result = guest_memory_slice(memory, region.address, region.size, &slice);

        if (result < 0)
            return error_system(error, -result, "guest memory");
        for (uint64_t at = 0; at < region.size; at += STRETCH * PAGE_SIZE) {
            uint64_t left = (region.size - at) / PAGE_SIZE;

            result = write_stretch(&writing, slice.bytes + at, left < STRETCH ? left : STRETCH,
                                   region.address + at, offset + at, error);
            if (result < 0)
                return result;
        }
        offset += region.size;
    }
    return 0;
}
