/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests are no state: they are finished before saving.  The disk that a saved
 * device meets must be the one that the guest knows, as far as can be told: its
 * size, its blocks, whether it may be written.  A file that grew meanwhile stays
 * as large as it was until the user has the monitor look again.  What lies in a
 * temporary overlay is in no file that the loaded one could be given.
 */
#include <errno.h>
#include <string.h>

#include "devices/backend/disk_overlay.h"
#include "devices/virtio/block_internal.h"
#include "vmm/machine/state.h"

static void check_disk(struct block *block, struct state *state, uint64_t size)
{
    const struct disk_file *file = &block->file;
    struct error error = ERROR_INIT;

    if (size <= file->size)
        return;
    error_set(&error, EINVAL, "disk %s: has %llu bytes, and had %llu when the VM was saved; give "
              "the disk that belongs to it", file->path, (unsigned long long)file->size,
              (unsigned long long)size);
    state_fail(state, &error);
}

/* Also where a copy without a name took the overlay's place. */
static void refuse_temporary(const struct block *block, struct state *state)
{
    const char *overlay = block->options->overlay;
    struct error error = ERROR_INIT;

    if (!overlay || strcmp(overlay, DISK_OVERLAY_TEMPORARY) != 0)
        return;
    error_set(&error, ENOTSUP, "disk %s: what the VM wrote ends with it (overlay=tmp), so it cannot be "
              "saved; start it with --disk %s,overlay=FILE (clones: FILE%%d)", block->options->path,
              block->options->path);
    state_fail(state, &error);
}

void block_state(struct virtio_device *virtio, struct state *state)
{
    struct block *block = (struct block *)virtio;
    struct disk_file *file = &block->file;
    uint64_t size = file->size;
    uint32_t block_size = file->block_size;
    bool read_only = file->read_only, writeback = block->config.writeback;
    bool flush_failed = disk_sync_has_failed(&file->sync);

    if (!state_is_loading(state))
        refuse_temporary(block, state);
    state_u64(state, &size);
    state_u32(state, &block_size);
    state_bool(state, &read_only);
    state_bool(state, &writeback);
    state_bool(state, &flush_failed);
    rate_limit_state(block->rate, state);
    if (!state_is_loading(state))
        return;
    state_require(state, size > 0 && size % file->block_size == 0, "the disk's size");
    state_require(state, block_size == file->block_size, "the disk's block size");
    state_require(state, read_only == file->read_only, "whether the disk is read-only");
    check_disk(block, state, size);
    if (!state_is_sound(state))
        return;
    if (size != file->size)
        file->padding = 0; /* the file has grown past its old end */
    file->size = size;
    block->config.capacity = size / DISK_SECTOR;
    block->config.writeback = writeback;
    if (flush_failed)
        disk_sync_fail(&file->sync);
}
