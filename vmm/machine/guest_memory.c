/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/guest_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/page_size.h"

/* Of the bits below, whatever the host's own pages are. */
#define PAGE_SIZE PAGE_SIZE_MIN
#ifndef MADV_POPULATE_WRITE /* older C libraries do not have it */
#define MADV_POPULATE_WRITE 23
#endif

struct region {
    uint64_t address;
    uint64_t size;
    uint8_t *host;
    void *mapping; /* what mmap() returned: HOST is aligned up inside it */
    size_t mapping_size;
    /* Where files are, a bit for each page: 1 for one that has none, or has none any more. */
    uint8_t *detached;
    int advice; /* to madvise(), of huge pages; MADV_NORMAL: none */
};

/*
 * Each piece that takes a file's place may cut one of the host's mappings into three,
 * of which a process has 65,530 (vm.max_map_count), and a guest chooses the pieces.
 */
#define PIECES_MAX 8192

struct guest_memory {
    size_t count;
    unsigned int pieces; /* that took a file's place, ever: neighbours need not be one mapping */
    struct region regions[GUEST_MEMORY_REGIONS_MAX];
};

static int check_ranges(const struct guest_range *ranges, size_t count, struct error *error)
{
    uint64_t end = 0;

    if (count == 0 || count > GUEST_MEMORY_REGIONS_MAX)
        return error_set(error, EINVAL, "guest memory: %zu regions; 1 to %d are possible", count,
                         GUEST_MEMORY_REGIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct guest_range *range = &ranges[i];

        if (range->size == 0 || range->size % page_size() || range->address % page_size() ||
            range->address < end || range->size > UINT64_MAX - range->address ||
            range->size > SIZE_MAX - huge_page_size())
            return error_set(error, EINVAL,
                             "guest memory: region %zu is empty, unaligned or overlaps", i);
        end = range->address + range->size;
    }
    return 0;
}

static int cannot_map(const struct guest_range *range, struct error *error)
{
    return error_set(error, errno,
                     "guest memory of %llu MiB: this host cannot map it (%s); "
                     "give a smaller --memory",
                     (unsigned long long)(range->size >> 20), strerror(errno));
}

static int map_region(struct region *region, const struct guest_range *range, struct error *error)
{
    /* Host and guest addresses must agree modulo a huge page, or neither the host's
     * page tables nor the nested ones can use one. */
    size_t huge = huge_page_size(), slack = range->size >= huge ? huge : 0;
    size_t size = range->size + slack;
    uintptr_t host;
    void *mapping;

    mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (mapping == MAP_FAILED)
        return cannot_map(range, error);
    host = (uintptr_t)mapping;
    if (slack)
        host = (host + huge - 1) & ~(uintptr_t)(huge - 1);
    *region = (struct region){
        .address = range->address,
        .size = range->size,
        .host = (uint8_t *)host,
        .mapping = mapping,
        .mapping_size = size,
    };
    return 0;
}

static size_t bits_size(uint64_t region_size)
{
    return region_size / PAGE_SIZE / 8 + 1;
}

static int map_file(struct region *region, const struct guest_range *range, int file,
                    uint64_t offset, struct error *error)
{
    void *mapping = mmap(NULL, range->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                         file, (off_t)offset);

    if (mapping == MAP_FAILED)
        return cannot_map(range, error);
    *region = (struct region){
        .address = range->address,
        .size = range->size,
        .host = mapping,
        .mapping = mapping,
        .mapping_size = range->size,
        .detached = calloc(1, bits_size(range->size)),
    };
    if (region->detached)
        return 0;
    munmap(mapping, range->size);
    return error_system(error, ENOMEM, "guest memory");
}

int guest_memory_create_from(struct guest_memory **memory, const struct guest_range *ranges,
                             size_t count, int file, struct error *error)
{
    struct guest_memory *created;
    uint64_t offset = 0;
    int result;

    result = check_ranges(ranges, count, error);
    if (result < 0)
        return result;
    created = calloc(1, sizeof(*created));
    if (!created)
        return error_system(error, ENOMEM, "guest memory");
    for (size_t i = 0; i < count; i++) {
        if (file < 0)
            result = map_region(&created->regions[i], &ranges[i], error);
        else
            result = map_file(&created->regions[i], &ranges[i], file, offset, error);
        if (result < 0) {
            guest_memory_destroy(created);
            return result;
        }
        offset += ranges[i].size;
        created->count++;
    }
    *memory = created;
    return 0;
}

int guest_memory_create(struct guest_memory **memory, const struct guest_range *ranges,
                        size_t count, struct error *error)
{
    return guest_memory_create_from(memory, ranges, count, -1, error);
}

void guest_memory_destroy(struct guest_memory *memory)
{
    if (!memory)
        return;
    for (size_t i = 0; i < memory->count; i++) {
        munmap(memory->regions[i].mapping, memory->regions[i].mapping_size);
        free(memory->regions[i].detached);
    }
    free(memory);
}

int guest_memory_set_pages(struct guest_memory *memory, enum guest_pages pages,
                           struct error *error)
{
    int advice = pages == GUEST_PAGES_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;

    if (pages == GUEST_PAGES_AS_HOST)
        return 0;
    for (size_t i = 0; i < memory->count; i++) {
        struct region *region = &memory->regions[i];

        /* Where there are no huge pages, all are small. */
        if (madvise(region->host, region->size, advice) < 0 &&
            (errno != EINVAL || pages == GUEST_PAGES_HUGE))
            return error_set(error, errno, "--huge-pages on: this host's kernel has none (%s); "
                             "leave it out", strerror(errno));
        region->advice = advice;
    }
    return 0;
}

size_t guest_memory_region_count(const struct guest_memory *memory)
{
    return memory->count;
}

struct guest_range guest_memory_region(const struct guest_memory *memory, size_t index)
{
    const struct region *region = &memory->regions[index];

    return (struct guest_range){ .address = region->address, .size = region->size };
}

uint64_t guest_memory_size(const struct guest_memory *memory)
{
    uint64_t size = 0;

    for (size_t i = 0; i < memory->count; i++)
        size += memory->regions[i].size;
    return size;
}

/* The index of the region that ADDRESS, which may be any, lies in; their number for none. */
static size_t region_index(const struct guest_memory *memory, uint64_t address)
{
    size_t i = 0;

    while (i < memory->count && (address < memory->regions[i].address ||
                                 address - memory->regions[i].address >= memory->regions[i].size))
        i++;
    return i;
}

int guest_memory_slice(const struct guest_memory *memory, uint64_t address, uint64_t length,
                       struct guest_slice *slice)
{
    size_t i = region_index(memory, address);
    uint64_t offset;

    if (i == memory->count)
        return -EFAULT;
    offset = address - memory->regions[i].address;
    if (length > memory->regions[i].size - offset)
        return -EFAULT;
    *slice = (struct guest_slice){ .bytes = memory->regions[i].host + offset, .length = length };
    return 0;
}

int guest_memory_write(const struct guest_memory *memory, uint64_t address, const void *bytes,
                       size_t length)
{
    struct guest_slice slice;
    int result = guest_memory_slice(memory, address, length, &slice);

    if (result == 0)
        memcpy(slice.bytes, bytes, slice.length);
    return result;
}

/* ---- files behind pages ---------------------------------------------------- */

static bool has_file(const struct region *region, size_t page)
{
    return region->detached &&
           !(__atomic_load_n(&region->detached[page / 8], __ATOMIC_RELAXED) & 1u << page % 8);
}

/* Two threads may change neighbours at once. */
static void set_detached(const struct region *region, size_t first, size_t count, bool detached)
{
    for (size_t page = first; page < first + count; page++) {
        uint8_t bit = (uint8_t)(1u << page % 8);

        if (detached)
            __atomic_or_fetch(&region->detached[page / 8], bit, __ATOMIC_RELAXED);
        else
            __atomic_and_fetch(&region->detached[page / 8], (uint8_t)~bit, __ATOMIC_RELAXED);
    }
}

/* Before the first file in a region that began without one. */
static bool have_bits(struct region *region)
{
    if (region->detached)
        return true;
    region->detached = malloc(bits_size(region->size));
    if (region->detached)
        memset(region->detached, 0xff, bits_size(region->size));
    return region->detached != NULL;
}

/* Fresh pages take the place of whatever was at BYTES; -errno. */
static int map_nothing(const struct region *region, uint8_t *bytes, size_t length)
{
    if (mmap(bytes, length, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        return -errno;
    if (region->advice != MADV_NORMAL)
        madvise(bytes, length, region->advice); /* the host took it before */
    return 0;
}

int guest_memory_own(const struct guest_memory *memory, uint64_t address, uint64_t length)
{
    struct guest_slice slice;
    int result = guest_memory_slice(memory, address, length, &slice);

    if (result == 0 && madvise(slice.bytes, slice.length, MADV_POPULATE_WRITE) < 0)
        result = -errno;
    return result;
}

bool guest_memory_page_has_file(const struct guest_memory *memory, uint64_t address)
{
    size_t i = region_index(memory, address);
    const struct region *region = &memory->regions[i];

    return i < memory->count && has_file(region, (address - region->address) / PAGE_SIZE);
}

int guest_memory_map_file(struct guest_memory *memory, uint64_t address, uint64_t length, int file,
                          uint64_t offset, struct error *error)
{
    const struct guest_range range = { .address = address, .size = length };
    struct guest_slice slice;
    int result = guest_memory_slice(memory, address, length, &slice);
    struct region *region;

    if (result < 0 || length == 0 || address % page_size() || length % page_size() ||
        offset % page_size())
        return error_set(error, EINVAL, "guest memory: no file can stand at 0x%llx",
                         (unsigned long long)address);
    region = &memory->regions[region_index(memory, address)];
    if (!have_bits(region))
        return error_system(error, ENOMEM, "guest memory");
    if (mmap(slice.bytes, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
             file, (off_t)offset) == MAP_FAILED) {
        result = cannot_map(&range, error);
        /* Some file systems refuse when what was there is gone already. */
        map_nothing(region, slice.bytes, length);
        return result;
    }
    set_detached(region, (address - region->address) / PAGE_SIZE, length / PAGE_SIZE, false);
    return 0;
}

/* ---- giving pages back ----------------------------------------------------- */

/*
 * Anonymous pages take a file's place, so that its contents do not come back.  Where
 * that was done too often the guest's own page goes, and the file's comes back: for
 * the driver either is memory that it has to fill (virtio 1.2, 5.5.6).
 */
static int discard_pages(struct guest_memory *memory, const struct region *region,
                         uint8_t *bytes, size_t length)
{
    size_t first = (size_t)(bytes - region->host) / PAGE_SIZE, count = length / PAGE_SIZE, page;

    for (page = first; page < first + count; page++)
        if (has_file(region, page))
            break;
    if (page < first + count && memory->pieces < PIECES_MAX &&
        map_nothing(region, bytes, length) == 0) {
        memory->pieces++;
        set_detached(region, first, count, true);
        return 0;
    }
    return madvise(bytes, length, MADV_DONTNEED) < 0 ? -errno : 0;
}

/* A guest may have smaller pages than the host: only what is whole of the host's goes. */
static int discard_whole_pages(struct guest_memory *memory, const struct region *region,
                               const struct guest_slice *slice)
{
    size_t mask = page_size() - 1;
    uintptr_t start = ((uintptr_t)slice->bytes + mask) & ~mask;
    uintptr_t end = ((uintptr_t)slice->bytes + slice->length) & ~mask;

    return start < end ? discard_pages(memory, region, (uint8_t *)start, end - start) : 0;
}

int guest_memory_discard(struct guest_memory *memory, const struct guest_slice *slice)
{
    uintptr_t start = (uintptr_t)slice->bytes;

    if (start % PAGE_SIZE || slice->length % PAGE_SIZE)
        return -EINVAL;
    for (size_t i = 0; i < memory->count; i++) {
        const struct region *region = &memory->regions[i];
        uintptr_t host = (uintptr_t)region->host;

        if (start < host || start - host >= region->size)
            continue;
        if (slice->length > region->size - (start - host))
            return -EFAULT;
        return discard_whole_pages(memory, region, slice);
    }
    return -EFAULT;
}
