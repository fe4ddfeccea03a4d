/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/memory_file.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/page_size.h"
#include "vmm/snapshot/memory_chain.h"
#include "vmm/base/whole_io.h"

#define PAGE_SIZE MEMORY_FILE_PAGE
/* Looked at together, and written by one call where all of them have contents. */
#define STRETCH 512u

/* /proc/PID/pagemap, an entry of 64 bits for each page (Linux, Documentation/admin-guide/mm/pagemap.rst). */
#define PAGE_PRESENT (1ull << 63)
#define PAGE_SWAPPED (1ull << 62)
#define PAGE_OF_FILE (1ull << 61)

static const char magic[8] = { 'M', 'O', 'T', 'E', 'M', 'E', 'M', '\n' };
static const uint32_t versions[] = { [MEMORY_FULL] = 1, [MEMORY_DIFFERENCE] = 2 };

struct trailer {
    char magic[8];
    uint32_t version;
    uint32_t zero;
    uint64_t size;
    uint8_t id[SNAPSHOT_ID_SIZE];
};
_Static_assert(sizeof(struct trailer) == 40, "as memory_file.h says");

/* ---- bytes ----------------------------------------------------------------- */

int memory_file_put(int fd, const void *bytes, size_t length, uint64_t offset, struct error *error)
{
    int result = whole_pwrite(fd, bytes, length, offset);

    return result < 0 ? error_system(error, -result, "snapshot: its memory") : 0;
}

int memory_file_get(int fd, void *bytes, size_t length, uint64_t offset, struct error *error)
{
    int result = whole_pread(fd, bytes, length, offset);

    if (result == -ENODATA)
        return error_set(error, EIO, "snapshot: its memory was cut short just now; copy it again or "
                         "save the VM anew");
    return result < 0 ? error_system(error, -result, "snapshot: its memory") : 0;
}

bool memory_page_is_zero(const uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;

    for (size_t i = 0; i < PAGE_SIZE / sizeof(*words); i += 8)
        if (words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] | words[i + 5] |
            words[i + 6] | words[i + 7])
            return false;
    return true;
}

/* ---- what is behind the memory --------------------------------------------- */

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
}

uint64_t memory_file_map_length(uint64_t size)
{
    return whole_pages((size / PAGE_SIZE + 7) / 8);
}

uint64_t memory_file_length(uint64_t size, enum memory_file_kind kind)
{
    return size + PAGE_SIZE + (kind == MEMORY_DIFFERENCE ? memory_file_map_length(size) : 0);
}

static int check_page_size(struct error *error)
{
    if (page_size() == MEMORY_FILE_PAGE)
        return 0;
    return error_set(error, ENOTSUP, "snapshot: its pages have %u KiB, and this host's have %zu; use a host kernel with "
                     "pages of %u KiB", MEMORY_FILE_PAGE >> 10, page_size() >> 10, MEMORY_FILE_PAGE >> 10);
}

int memory_file_begin(int fd, uint64_t size, const uint8_t id[SNAPSHOT_ID_SIZE],
                      enum memory_file_kind kind, struct error *error)
{
    uint8_t page[PAGE_SIZE] = { 0 };
    struct trailer trailer = { .version = htole32(versions[kind]), .size = htole64(size) };

    if (check_page_size(error) < 0)
        return -ENOTSUP;
    memcpy(trailer.magic, magic, sizeof(magic));
    memcpy(trailer.id, id, sizeof(trailer.id));
    memcpy(page, &trailer, sizeof(trailer));
    if (ftruncate(fd, (off_t)memory_file_length(size, kind)) < 0)
        return error_system(error, errno, "snapshot: its memory");
    return memory_file_put(fd, page, sizeof(page), size, error);
}

static int check_trailer(const struct trailer *trailer, uint64_t size,
                         const uint8_t id[SNAPSHOT_ID_SIZE], enum memory_file_kind kind,
                         struct error *error)
{
    if (memcmp(trailer->magic, magic, sizeof(magic)) != 0 ||
        trailer->version != htole32(versions[kind]) || trailer->zero != 0 ||
        le64toh(trailer->size) != size)
        return error_set(error, EINVAL, "snapshot: its memory was altered; save the VM anew");
    if (memcmp(trailer->id, id, sizeof(trailer->id)) != 0)
        return error_set(error, EINVAL, "snapshot: its memory is that of another snapshot; keep the "
                         "files of one snapshot together");
    return 0;
}

int memory_file_check(int fd, uint64_t size, const uint8_t id[SNAPSHOT_ID_SIZE],
                      enum memory_file_kind kind, struct error *error)
{
    uint64_t length = memory_file_length(size, kind);
    struct trailer trailer;
    struct stat status;
    int result = check_page_size(error);

    if (result < 0)
        return result;
    if (fstat(fd, &status) < 0)
        return error_system(error, errno, "snapshot: its memory");
    if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size != length)
        return error_set(error, EINVAL, "snapshot: its memory has %llu bytes and must have %llu: it "
                         "was cut short or is another's; copy it again or save the VM anew",
                         (unsigned long long)status.st_size, (unsigned long long)length);
    result = memory_file_get(fd, &trailer, sizeof(trailer), size, error);
    return result < 0 ? result : check_trailer(&trailer, size, id, kind, error);
}

int memory_file_read_map(int fd, uint64_t size, uint8_t *map, struct error *error)
{
    uint64_t length = memory_file_map_length(size);
    int result = memory_file_get(fd, map, length, size + PAGE_SIZE, error);

    for (uint64_t page = size / PAGE_SIZE; result == 0 && page < length * 8; page++)
        if (memory_map_has(map, page))
            result = error_set(error, EINVAL, "snapshot: its memory has pages outside of memory: it "
                               "was altered; save the VM anew");
    return result;
}

/* ---- what becomes of each page --------------------------------------------- */

struct writing {
    int fd;
    const struct guest_memory *memory;
    const struct memory_saving *saving;
    uint8_t *map; /* of a difference */
};

/* A stretch of one region: COUNT pages, ADDRESS in the guest and the FIRST of the files. */
struct stretch {
    const uint8_t *bytes;
    size_t count;
    uint64_t address, first;
    uint64_t entries[STRETCH]; /* of the page map */
};

/* What the page tables know; where they cannot be asked, all is present. */
static void look_up(const struct writing *writing, struct stretch *stretch)
{
    off_t offset = (off_t)((uintptr_t)stretch->bytes / PAGE_SIZE * sizeof(*stretch->entries));
    ssize_t length = (ssize_t)(stretch->count * sizeof(*stretch->entries));
    int page_map = writing->saving->page_map;

    if (page_map >= 0 && pread(page_map, stretch->entries, (size_t)length, offset) == length)
        return;
    for (size_t i = 0; i < stretch->count; i++)
        stretch->entries[i] = PAGE_PRESENT;
}

static bool is_own(uint64_t entry)
{
    return (entry & PAGE_SWAPPED) || ((entry & PAGE_PRESENT) && !(entry & PAGE_OF_FILE));
}

/* Whether it still is a page of a file, touched or not. */
static bool is_of_file(const struct writing *writing, const struct stretch *stretch, size_t i)
{
    return !is_own(stretch->entries[i]) &&
           guest_memory_page_has_file(writing->memory, stretch->address + i * PAGE_SIZE);
}

/* Whether it still is the page of the files that the memory came from. */
static bool is_of_source(const struct writing *writing, const struct stretch *stretch, size_t i)
{
    return writing->saving->source && is_of_file(writing, stretch, i);
}

/* A VM that was booted may have its kernel's file in memory, of which every page counts. */
static bool has_contents(const struct writing *writing, const struct stretch *stretch, size_t i)
{
    struct memory_chain *source = writing->saving->source;
    bool may_have = is_own(stretch->entries[i]) ||
                    (is_of_file(writing, stretch, i) &&
                     (!source || memory_chain_has_data(source, stretch->first + i)));

    return may_have && !memory_page_is_zero(stretch->bytes + i * PAGE_SIZE);
}

/* Whether the page, which HAS contents or is zero, is other than in the base. */
static int is_changed(const struct writing *writing, const struct stretch *stretch, size_t i,
                      bool has, bool *changed, struct error *error)
{
    struct memory_chain *base = writing->saving->base;
    const uint8_t *bytes;
    int result;

    *changed = has;
    if (!memory_chain_has_data(base, stretch->first + i))
        return 0;
    result = memory_chain_page(base, stretch->first + i, &bytes, error);
    if (result == 0)
        *changed = has ? memcmp(bytes, stretch->bytes + i * PAGE_SIZE, PAGE_SIZE) != 0
                       : !memory_page_is_zero(bytes);
    return result;
}

/* Whether page I is to be written; the map learns of it, and of one that became zero. */
static int choose(const struct writing *writing, const struct stretch *stretch, size_t i,
                  bool *write, struct error *error)
{
    const struct memory_saving *saving = writing->saving;
    uint64_t page = stretch->first + i;
    bool changed;
    int result;

    *write = false;
    if (saving->base && saving->base == saving->source && is_of_source(writing, stretch, i))
        return 0;
    *write = has_contents(writing, stretch, i);
    if (!saving->base)
        return 0;
    result = is_changed(writing, stretch, i, *write, &changed, error);
    if (changed)
        writing->map[page / 8] |= (uint8_t)(1u << page % 8);
    *write = *write && changed;
    return result;
}

/* ---- writing --------------------------------------------------------------- */

static int write_stretch(const struct writing *writing, struct stretch *stretch,
                         struct error *error)
{
    size_t first = 0; /* of the pages that wait to be written */
    int result = 0;

    look_up(writing, stretch);
    for (size_t i = 0; i <= stretch->count && result == 0; i++) {
        bool write = false;

        if (i < stretch->count)
            result = choose(writing, stretch, i, &write, error);
        if (write)
            continue;
        if (i > first && result == 0)
            result = memory_file_put(writing->fd, stretch->bytes + first * PAGE_SIZE,
                                     (i - first) * PAGE_SIZE, (stretch->first + first) * PAGE_SIZE,
                                     error);
        first = i + 1;
    }
    return result;
}

static int write_region(const struct writing *writing, const struct guest_range *region,
                        uint64_t first, struct error *error)
{
    struct guest_slice slice;
    int result = guest_memory_slice(writing->memory, region->address, region->size, &slice);

    if (result < 0)
        return error_system(error, -result, "guest memory");
    for (uint64_t at = 0; result == 0 && at < region->size; at += STRETCH * PAGE_SIZE) {
        uint64_t left = (region->size - at) / PAGE_SIZE;
        struct stretch stretch = {
            .bytes = slice.bytes + at,
            .count = left < STRETCH ? left : STRETCH,
            .address = region->address + at,
            .first = first + at / PAGE_SIZE,
        };

        result = write_stretch(writing, &stretch, error);
        lseek(writing->fd, (off_t)((stretch.first + stretch.count) * PAGE_SIZE), SEEK_SET);
    }
    return result;
}

int memory_file_write(int fd, const struct guest_memory *memory, const struct memory_saving *saving,
                      struct error *error)
{
    uint64_t size = guest_memory_size(memory), first = 0;
    cleanup_free uint8_t *map = saving->base ? calloc(1, memory_file_map_length(size)) : NULL;
    struct writing writing = { .fd = fd, .memory = memory, .saving = saving, .map = map };
    int result = 0;

    if (saving->base && !map)
        return error_system(error, ENOMEM, "snapshot");
    for (size_t i = 0; result == 0 && i < guest_memory_region_count(memory); i++) {
        struct guest_range region = guest_memory_region(memory, i);

        result = write_region(&writing, &region, first, error);
        first += region.size / PAGE_SIZE;
    }
    if (result == 0 && map)
        result = memory_file_put(fd, map, memory_file_map_length(size), size + PAGE_SIZE, error);
    return result;
}
