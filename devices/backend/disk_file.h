/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_FILE_H
#define MOTE_DISK_FILE_H

/*
 * The host's side of a disk: a regular file or a block device, opened and
 * locked.  Its bytes are the disk's bytes ("raw"); the format is never guessed,
 * since the guest can write whatever a guess would look at.
 *
 * A file's size may be no multiple of the guest's blocks.  What a guest may write
 * ends with the last whole block; a read-only disk ends with all of the file, and
 * zeroes fill its last block.
 *
 * The lock is an open-file-description lock over the whole file: any number of
 * readers, or one writer, whichever process they are in.  Other monitors that
 * use such locks, QEMU among them, see it as well.
 */

#include <stdbool.h>
#include <stdint.h>

#include "devices/backend/disk_sync.h"
#include "vmm/base/error.h"
#include "vmm/base/log.h"

#define DISK_SECTOR 512u

struct disk_overlay;
struct disk_step;

struct disk_file_options {
    const char *path; /* outlives the file */
    bool opened;      /* FD is the file, which PATH only names; FD stays the caller's */
    int fd;
    bool read_only;
    bool direct;          /* O_DIRECT: past the host's page cache */
    const char *overlay;  /* where writes go instead, see disk_overlay.h; or NULL */
    uint32_t block_size;  /* the guest's logical block: 512, 4096, or 0 for the best one */
    struct log *log;
};

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

/* The message names PATH, the reason and a remedy. */
int disk_file_open(struct disk_file *file, const struct disk_file_options *options,
                   struct error *error);
void disk_file_close(struct disk_file *file);

/*
 * Looks at the size again: 1, it changed; 0, it did not; or a negative errno,
 * and then the old size stays.
 */
int disk_file_refresh(struct disk_file *file);

/* Whether both paths lead to the same file or block device now. */
bool disk_file_same(const char *path, const char *other);

#endif
