/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_FILE_H
#define MOTE_DISK_FILE_H

/*
 * The host's side of a disk: a regular file or a block device.  Its bytes are the
 * disk's bytes ("raw"); the format is never guessed, since the guest can write
 * whatever a guess would look at.
 *
 * Who opens it is not who serves it: struct disk_host is what the one passes to
 * the other (vmm/supervisor/host_disk.h).  The file is locked, by an
 * open-file-description lock, which belongs to who opened it: nothing here takes
 * or releases one.
 *
 * A file's size may be no multiple of the guest's blocks.  What a guest may write
 * ends with the last whole block; a read-only disk ends with all of the file, and
 * zeroes fill its last block.
 */

#include <stdbool.h>
#include <stdint.h>

#include "devices/backend/disk_sync.h"
#include "vmm/base/error.h"
#include "vmm/base/log.h"

#define DISK_SECTOR 512u

struct disk_overlay;
struct disk_step;

/* A disk that is open, locked and checked: plain data. */
struct disk_host {
    int fd;
    int overlay_fd;            /* where writes go instead, see disk_overlay.h; or -1 */
    bool overlay_is_temporary;
    bool read_only;            /* the disk, for its guest */
    bool direct;               /* O_DIRECT: past the host's page cache */
    bool block_device;
    bool pad;                  /* a last block that is not whole is filled up with zeroes */
    bool can_discard;          /* holes can be punched */
    uint32_t block_size;       /* of the guest's view: 512 or 4096 */
    uint32_t physical_size;    /* what the host reads and writes at once */
    uint32_t memory_alignment; /* of buffers; 1 unless direct */
    uint32_t offset_alignment; /* of offsets and lengths; 1 unless direct */
    uint64_t size;             /* bytes, a multiple of block_size, not 0 */
    uint32_t padding;          /* of these, zeroes that the file does not have; only if it is read-only */
};

#define DISK_HOST_INIT { .fd = -1, .overlay_fd = -1 }

struct disk_file {
    int fd;
    struct disk_overlay *overlay; /* NULL: the file itself is written */
    const char *path;
    bool read_only;
    bool direct;
    bool block_device;
    bool pad;                  /* a last block that is not whole is filled up with zeroes */
    bool can_discard;          /* holes can be punched */
    uint32_t block_size;       /* of the guest's view */
    uint32_t physical_size;    /* what the host reads and writes at once */
    uint32_t memory_alignment; /* of buffers; 1 unless direct */
    uint32_t offset_alignment; /* of offsets and lengths; 1 unless direct */
    uint64_t size;             /* bytes, a multiple of block_size, not 0 */
    uint32_t padding;          /* of these, zeroes that the file does not have; only if it is read-only */
    struct log *log;
    struct log_limit failures;
    struct disk_sync sync; /* of the overlay, where there is one */

    /* For tests: may replace the result of any call of the host.  Any thread. */
    int64_t (*fault)(void *context, const struct disk_step *step, int64_t result);
    void *fault_context;
};

/* The overlay's descriptor, -1 without one; or the file's own. */
int disk_file_fd(const struct disk_file *file, bool in_overlay);

/* How large the disk is in a file of BYTES: whole blocks, of which *PADDING bytes are not in the file. */
uint64_t disk_file_size(uint64_t bytes, uint32_t block_size, bool pad, uint32_t *padding);

/*
 * The disk's descriptors become FILE's, but for an error.  PATH outlives FILE; OVERLAY is that of the overlay, for messages.
 */
int disk_file_open(struct disk_file *file, const struct disk_host *host, const char *path, const char *overlay,
                   struct log *log, struct error *error);
void disk_file_close(struct disk_file *file);

/*
 * HOST's file is the disk's from now on, PATH its name; the old one is closed.  Nothing is in flight, and there is no
 * overlay.  On an error, which is about HOST, the old one stays.
 */
int disk_file_replace(struct disk_file *file, const struct disk_host *host, const char *path, struct error *error);

/*
 * Looks at the size again: 1, it changed; 0, it did not; or a negative errno,
 * and then the old size stays.
 */
int disk_file_refresh(struct disk_file *file);

#endif
