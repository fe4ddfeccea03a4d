/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/memory_chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_SIZE MEMORY_FILE_PAGE
/* Read together, in the hope that the next one is asked for as well. */
#define GROUP 64u
/* Pieces that are mapped, some microseconds each; a process may have 65530 by default. */
#define MAPPINGS_MAX 4096u

int memory_chain_open(struct memory_chain *chain, const int *fds, size_t count, uint64_t size,
                      struct error *error)
{
    *chain = (struct memory_chain){ .size = size, .buffered = UINT64_MAX };
    if (count == 0 || count > SNAPSHOT_CHAIN_MAX)
        return error_set(error, EINVAL, "snapshot: %zu memory files; 1 to %d are possible", count,
                         SNAPSHOT_CHAIN_MAX);
    for (; chain->count < count; chain->count++) {
        struct memory_layer *layer = &chain->layers[chain->count];
        int result = 0;

        layer->fd = fds[chain->count];
        if (chain->count + 1 == count)
            continue;
        layer->map = malloc(memory_file_map_length(size));
        if (!layer->map)
            return error_system(error, ENOMEM, "snapshot");
        result = memory_file_read_map(layer->fd, size, layer->map, error);
        if (result < 0) {
            chain->count++; /* its map is to be freed, too */
            return result;
        }
    }
    return 0;
}

int memory_chain_open_source(struct memory_chain *chain, const struct vm_snapshot_source *source,
                             uint64_t size, struct error *error)
{
    int fds[SNAPSHOT_CHAIN_MAX] = { source->memory_fd };

    memcpy(fds + 1, source->base_fds, source->base_count * sizeof(int));
    return memory_chain_open(chain, fds, source->base_count + 1, size, error);
}

void memory_chain_close(struct memory_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        free(chain->layers[i].map);
    free(chain->buffer);
    *chain = (struct memory_chain){ .count = 0 };
}

struct memory_layer *memory_chain_layer(struct memory_chain *chain, uint64_t page)
{
    struct memory_layer *layer = chain->layers;

    while (layer->map && !memory_map_has(layer->map, page))
        layer++;
    return layer;
}

uint64_t memory_chain_run(struct memory_chain *chain, uint64_t page, uint64_t max)
{
    const struct memory_layer *layer = memory_chain_layer(chain, page);
    uint64_t count = 1;

    while (count < max && memory_chain_layer(chain, page + count) == layer)
        count++;
    return count;
}

/* Where the file has data at or after OFFSET. */
static void look_up(struct memory_layer *layer, uint64_t offset)
{
    off_t start = lseek(layer->fd, (off_t)offset, SEEK_DATA);
    bool none = start < 0 && errno == ENXIO; /* only a hole is left */
    off_t end = start < 0 ? -1 : lseek(layer->fd, start, SEEK_HOLE);

    layer->looked = offset;
    /* A file that cannot tell: look at all of it. */
    layer->data_start = none ? UINT64_MAX : start < 0 || end < 0 ? 0 : (uint64_t)start;
    layer->data_end = start < 0 || end < 0 ? UINT64_MAX : (uint64_t)end;
}

/* Of a copy with smaller blocks the data may begin amid the page. */
bool memory_chain_has_data(struct memory_chain *chain, uint64_t page)
{
    struct memory_layer *layer = memory_chain_layer(chain, page);
    uint64_t offset = page * PAGE_SIZE;

    if (offset < layer->looked || offset >= layer->data_end)
        look_up(layer, offset);
    return layer->data_start < offset + PAGE_SIZE;
}

static int fill(struct memory_chain *chain, uint64_t first, struct error *error)
{
    uint64_t left = chain->size / PAGE_SIZE - first, count = left < GROUP ? left : GROUP;
    int result = 0;

    if (!chain->buffer && !(chain->buffer = malloc(GROUP * PAGE_SIZE)))
        return error_system(error, ENOMEM, "snapshot");
    chain->buffered = UINT64_MAX;
    for (uint64_t page = first, run; result == 0 && page < first + count; page += run) {
        run = memory_chain_run(chain, page, first + count - page);
        result = memory_file_get(memory_chain_layer(chain, page)->fd,
                                 chain->buffer + (page - first) * PAGE_SIZE, run * PAGE_SIZE,
                                 page * PAGE_SIZE, error);
    }
    if (result == 0)
        chain->buffered = first;
    return result;
}

int memory_chain_page(struct memory_chain *chain, uint64_t page, const uint8_t **bytes,
                      struct error *error)
{
    uint64_t first = page - page % GROUP;

    if (chain->buffered != first) {
        int result = fill(chain, first, error);

        if (result < 0)
            return result;
    }
    *bytes = chain->buffer + (page - first) * PAGE_SIZE;
    return 0;
}

/* ---- mapping --------------------------------------------------------------- */

static int read_into(struct guest_memory *memory, uint64_t address, uint64_t length, int fd,
                     uint64_t offset, struct error *error)
{
    struct guest_slice slice;
    int result = guest_memory_slice(memory, address, length, &slice);

    if (result < 0)
        return error_system(error, -result, "guest memory");
    return memory_file_get(fd, slice.bytes, slice.length, offset, error);
}

/* The region's pages are those from FIRST on of the files. */
static int map_region(struct memory_chain *chain, struct guest_memory *memory,
                      const struct guest_range *region, uint64_t first, size_t *mappings,
                      struct error *error)
{
    uint64_t count = region->size / PAGE_SIZE;
    int result = 0;

    for (uint64_t at = 0, run; result == 0 && at < count; at += run) {
        const struct memory_layer *layer = memory_chain_layer(chain, first + at);
        uint64_t address = region->address + at * PAGE_SIZE, offset = (first + at) * PAGE_SIZE;

        run = memory_chain_run(chain, first + at, count - at);
        if (!layer->map)
            continue;
        if ((*mappings)++ < MAPPINGS_MAX)
            result = guest_memory_map_file(memory, address, run * PAGE_SIZE, layer->fd, offset, error);
        else
            result = read_into(memory, address, run * PAGE_SIZE, layer->fd, offset, error);
    }
    return result;
}

int memory_chain_map(struct memory_chain *chain, struct guest_memory *memory, struct error *error)
{
    uint64_t first = 0;
    size_t mappings = 0;

    for (size_t i = 0; i < guest_memory_region_count(memory); i++) {
        struct guest_range region = guest_memory_region(memory, i);
        int result = map_region(chain, memory, &region, first, &mappings, error);

        if (result < 0)
            return result;
        first += region.size / PAGE_SIZE;
    }
    return 0;
}
