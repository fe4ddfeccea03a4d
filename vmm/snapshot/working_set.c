/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/working_set.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/snapshot/memory_sum.h"

#define PAGE_SIZE MEMORY_FILE_PAGE
#define ENTRIES 512u
/* /proc/PID/pagemap: present, or swapped; and of a file, not the process's own. */
#define PAGE_IS_MAPPED (3ull << 62)
#define PAGE_OF_FILE (1ull << 61)
/* Pages that are asked for; where all of them are in the cache, the rest is too. */
#define SAMPLES 64u
/* What a record is called while it is written. */
#define NEW "working-set.new"

struct header {
    char magic[8];
    uint32_t version;
    uint32_t zero;
    uint64_t size;
    uint8_t id[SNAPSHOT_ID_SIZE];
    uint64_t sum;
};
_Static_assert(sizeof(struct header) == 48, "as touched.h says");

static struct header header_of(const struct vm_snapshot_source *source, const uint8_t *map)
{
    uint64_t sum = xxh64(map, memory_file_map_length(source->size), 0);
    struct header header = {
        .version = htole32(1), .size = htole64(source->size), .sum = htole64(sum),
    };

    memcpy(header.magic, "MOTETCH\n", sizeof(header.magic));
    memcpy(header.id, source->id, sizeof(header.id));
    return header;
}

/* The map of FD, which may be anything; NULL for none.  The caller frees it. */
static uint8_t *read_map(const struct vm_snapshot_source *source, int fd)
{
    uint64_t length = memory_file_map_length(source->size);
    cleanup_free uint8_t *map = malloc(length);
    struct error ignored = ERROR_INIT;
    struct header header, wanted;

    if (!map || memory_file_get(fd, &header, sizeof(header), 0, &ignored) < 0 ||
        memory_file_get(fd, map, length, PAGE_SIZE, &ignored) < 0)
        return NULL;
    wanted = header_of(source, map);
    return memcmp(&header, &wanted, sizeof(header)) == 0 ? steal_pointer(&map) : NULL;
}

/* The header last: without it there is none. */
static int write_map(const struct vm_snapshot_source *source, const uint8_t *map, int fd)
{
    struct header header = header_of(source, map);
    struct error ignored = ERROR_INIT;
    int result = memory_file_put(fd, map, memory_file_map_length(source->size), PAGE_SIZE, &ignored);

    return result < 0 ? result : memory_file_put(fd, &header, sizeof(header), 0, &ignored);
}

/* ---- in the supervisor ----------------------------------------------------- */

/* One that is of another snapshot, or damaged, would stand in the way of one that is of use. */
static bool has_sound_one(struct vm_snapshot_source *source)
{
    cleanup_free uint8_t *map = source->working_set_fd >= 0 ? read_map(source, source->working_set_fd) : NULL;

    return map != NULL;
}

void working_set_prepare(struct vm_snapshot_source *source, const char *path)
{
    if (has_sound_one(source) || faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
        return;
    source->record_fd = memfd_create("working-set", MFD_CLOEXEC);
    /* Its size is its limit in the jail. */
    if (source->record_fd >= 0 &&
        ftruncate(source->record_fd, (off_t)(PAGE_SIZE + memory_file_map_length(source->size))) == 0)
        return;
    cleanup_close(&source->record_fd);
    source->record_fd = -1;
}

/*
 * MAP, the caller's, in a file of its own: what the VM's process recorded to it may still write to.
 * Where a job waits nobody waits for a disk: a power cut leaves one that is not sound, and is recorded anew.
 */
static bool write_anew(const struct vm_snapshot_source *source, const uint8_t *map, int folder)
{
    cleanup_fd int fd = -1;

    unlinkat(folder, NEW, 0); /* what a kill left */
    fd = openat(folder, NEW, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    return fd >= 0 && write_map(source, map, fd) == 0 && (source->awaits_job || fsync(fd) == 0);
}

void working_set_keep(struct vm_snapshot_source *source, const char *path)
{
    cleanup_fd int folder = -1;
    cleanup_free uint8_t *map = source->record_fd >= 0 ? read_map(source, source->record_fd) : NULL;

    if (map)
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* What has the name already is not sound, or another VM's that was quicker. */
    if (folder >= 0 && (!write_anew(source, map, folder) || renameat(folder, NEW, folder, "working-set") < 0))
        unlinkat(folder, NEW, 0);
}

/* ---- recording ------------------------------------------------------------- */

/* The region's pages are those from FIRST on of the map, which gets those WRITTEN, or all. */
static bool look_up(const struct guest_memory *memory, const struct guest_range *region, int page_map,
                    bool written, uint8_t *map, uint64_t first)
{
    uint64_t entries[ENTRIES], pages = region->size / PAGE_SIZE;
    struct guest_slice slice;

    if (guest_memory_slice(memory, region->address, region->size, &slice) < 0)
        return false;
    for (uint64_t at = 0; at < pages; at += ENTRIES) {
        size_t count = pages - at < ENTRIES ? pages - at : ENTRIES;
        uint64_t offset = ((uintptr_t)slice.bytes / PAGE_SIZE + at) * sizeof(*entries);
        struct error ignored = ERROR_INIT;

        if (memory_file_get(page_map, entries, count * sizeof(*entries), offset, &ignored) < 0)
            return false;
        for (size_t i = 0; i < count; i++)
            if (entries[i] & PAGE_IS_MAPPED && !(written && entries[i] & PAGE_OF_FILE))
                map[(first + at + i) / 8] |= (uint8_t)(1u << (first + at + i) % 8);
    }
    return true;
}

void working_set_record(const struct vm_snapshot_source *source, const struct guest_memory *memory,
                    int page_map)
{
    cleanup_free uint8_t *map = calloc(1, memory_file_map_length(source->size));
    uint64_t first = 0;

    if (!map || page_map < 0 || guest_memory_size(memory) != source->size)
        return;
    for (size_t i = 0; i < guest_memory_region_count(memory); i++) {
        struct guest_range region = guest_memory_region(memory, i);

        if (!look_up(memory, &region, page_map, source->awaits_job, map, first))
            return;
        first += region.size / PAGE_SIZE;
    }
    write_map(source, map, source->record_fd);
}

/* ---- reading ahead --------------------------------------------------------- */

/* The first of the map's PAGES from PAGE on; PAGES for none.  Most of them are not in it. */
static uint64_t next_in(const uint8_t *map, uint64_t page, uint64_t pages)
{
    while (page < pages && !memory_map_has(map, page))
        page += page % 8 == 0 && map[page / 8] == 0 ? 8 : 1;
    return page < pages ? page : pages;
}

/* Whether PAGE is at hand; also where that cannot be told without reading it. */
static bool is_cached(struct memory_chain *chain, uint64_t page)
{
    uint8_t byte;
    struct iovec part = { .iov_base = &byte, .iov_len = 1 };
    int fd = memory_chain_layer(chain, page)->fd;

    return preadv2(fd, &part, 1, (off_t)(page * PAGE_SIZE), RWF_NOWAIT) == 1;
}

/* Of the pages in MAP some, all over it. */
static bool all_is_cached(struct memory_chain *chain, const uint8_t *map)
{
    uint64_t pages = chain->size / PAGE_SIZE, step = pages / SAMPLES + 1;

    for (uint64_t page = next_in(map, 0, pages); page < pages; page = next_in(map, page + step, pages))
        if (!is_cached(chain, page))
            return false;
    return true;
}

static void read_ahead(struct memory_chain *chain, const uint8_t *map)
{
    uint64_t pages = chain->size / PAGE_SIZE;

    for (uint64_t page = 0, run; page < pages; page += run) {
        const struct memory_layer *layer = memory_chain_layer(chain, page);

        for (run = 1; page + run < pages; run++)
            if (memory_map_has(map, page + run) != memory_map_has(map, page) ||
                memory_chain_layer(chain, page + run) != layer)
                break;
        if (memory_map_has(map, page))
            posix_fadvise(layer->fd, (off_t)(page * PAGE_SIZE), (off_t)(run * PAGE_SIZE),
                          POSIX_FADV_WILLNEED);
    }
}

/*
 * Copies the pages of REGION that the guest writes, from FIRST on of the map; at
 * most LEFT, of which it takes what it copied.
 */
static void copy_region(const struct guest_memory *memory, const struct guest_range *region,
                        const uint8_t *map, uint64_t first, uint64_t *left)
{
    uint64_t end = first + region->size / PAGE_SIZE, page = next_in(map, first, end), run;

    for (; page < end && *left > 0; page = next_in(map, page + run, end)) {
        for (run = 1; page + run < end && run < *left && memory_map_has(map, page + run); run++)
            ;
        if (guest_memory_own(memory, region->address + (page - first) * PAGE_SIZE, run * PAGE_SIZE) < 0)
            return; /* each when it is written, then */
        *left -= run;
    }
}

static void copy_pages(const struct guest_memory *memory, const uint8_t *map)
{
    uint64_t first = 0, left = WORKING_SET_COPIES_MAX;

    for (size_t i = 0; i < guest_memory_region_count(memory); i++) {
        struct guest_range region = guest_memory_region(memory, i);

        copy_region(memory, &region, map, first, &left);
        first += region.size / PAGE_SIZE;
    }
}

void working_set_read_ahead(const struct vm_snapshot_source *source, struct memory_chain *chain,
                        const struct guest_memory *memory)
{
    cleanup_free uint8_t *map = source->working_set_fd >= 0 ? read_map(source, source->working_set_fd) : NULL;

    if (!map)
        return;
    if (!all_is_cached(chain, map))
        read_ahead(chain, map);
    if (source->awaits_job && guest_memory_size(memory) == source->size)
        copy_pages(memory, map);
}
