/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/snapshot/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/progress.h"
#include "vmm/supervisor/snapshot/folder.h"
#include "vmm/snapshot/machine_state.h"
#include "vmm/snapshot/memory_chain.h"
#include "vmm/supervisor/snapshot/own.h"

#define PAGE_SIZE MEMORY_FILE_PAGE
/* At a time, between two looks at the clock. */
#define RUN_MAX (16384u)
#define BUFFER_SIZE (64 * PAGE_SIZE)

struct merge {
    struct memory_chain chain;
    int to;
    uint8_t *buffer; /* where the kernel does not copy between the two files */
    struct progress progress;
};

static int copy_by_hand(struct merge *merge, int from, uint64_t offset, uint64_t length,
                        struct error *error)
{
    int result = 0;

    if (!merge->buffer && !(merge->buffer = malloc(BUFFER_SIZE)))
        return error_system(error, ENOMEM, "snapshot");
    for (size_t part; result == 0 && length > 0; offset += part, length -= part) {
        part = length < BUFFER_SIZE ? length : BUFFER_SIZE;
        result = memory_file_get(from, merge->buffer, part, offset, error);
        if (result == 0)
            result = memory_file_put(merge->to, merge->buffer, part, offset, error);
    }
    return result;
}

/* From the same place in FROM; by reference where the file system can. */
static int copy(struct merge *merge, int from, uint64_t offset, uint64_t length,
                struct error *error)
{
    while (length > 0) {
        off_t source = (off_t)offset, target = (off_t)offset;
        ssize_t copied = merge->buffer ? -1 : copy_file_range(from, &source, merge->to, &target,
                                                              length, 0);

        if (copied < 0 && !merge->buffer && errno == EINTR)
            continue;
        if (copied < 0 && !merge->buffer && errno == ENOSPC)
            return error_system(error, errno, "snapshot: its memory");
        /* Other file systems, old kernels: whatever is wrong will be met again. */
        if (copied <= 0)
            return copy_by_hand(merge, from, offset, length, error);
        offset += (uint64_t)copied;
        length -= (uint64_t)copied;
    }
    return 0;
}

/* Runs of pages that are of one file and not holes. */
static int copy_memory(struct merge *merge, struct error *error)
{
    uint64_t count = merge->chain.size / PAGE_SIZE;
    int result = 0;

    for (uint64_t page = 0, run; result == 0 && page < count; page += run) {
        struct memory_layer *layer = memory_chain_layer(&merge->chain, page);
        bool data = memory_chain_has_data(&merge->chain, page);

        for (run = 1; run < RUN_MAX && page + run < count; run++)
            if (memory_chain_layer(&merge->chain, page + run) != layer ||
                memory_chain_has_data(&merge->chain, page + run) != data)
                break;
        if (data)
            result = copy(merge, layer->fd, page * PAGE_SIZE, run * PAGE_SIZE, error);
        progress_add(&merge->progress, run * PAGE_SIZE);
    }
    return result;
}

static int copy_all(const struct vm_snapshot_source *source, const struct snapshot_folder *folder,
                    const char *from, struct error *error)
{
    struct merge merge = { .to = folder->memory_fd };
    cleanup_free void *state = NULL;
    size_t length;
    int result = machine_state_read(source->state_fd, &state, &length, error);

    if (result == 0)
        result = machine_state_write(folder->state_fd, state, length, error);
    if (result < 0)
        return result;
    progress_init(&merge.progress, true);
    progress_begin(&merge.progress, source->size, "merging %s", from);
    result = memory_chain_open_source(&merge.chain, source, source->size, error);
    if (result == 0)
        result = copy_memory(&merge, error);
    progress_end(&merge.progress);
    memory_chain_close(&merge.chain);
    free(merge.buffer);
    return result;
}

int snapshot_merge(const char *from, const char *into, struct error *error)
{
    struct snapshot_folder folder = SNAPSHOT_FOLDER_INIT;
    struct vm_snapshot_source source;
    int result = snapshot_folder_open(&source, from, error);

    if (result < 0)
        return result;
    if (source.base_count == 0)
        result = error_set(error, EINVAL, "snapshot %s: is full already; there is nothing to merge", from);
    else if (into)
        result = snapshot_folder_begin(&folder, into, source.size, source.id, error);
    else
        result = snapshot_folder_begin_anew(&folder, from, source.size, source.id, error);
    if (result == 0)
        result = copy_all(&source, &folder, from, error);
    /* Of one from elsewhere this would make one's own. */
    if (result == 0 && snapshot_is_own(source.state_fd, source.id))
        snapshot_own_note(folder.state_fd, source.id);
    if (result == 0)
        result = snapshot_folder_finish(&folder, error);
    snapshot_folder_drop(&folder);
    snapshot_source_close(&source);
    return result;
}
