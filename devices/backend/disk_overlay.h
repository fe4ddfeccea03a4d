/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_OVERLAY_H
#define MOTE_DISK_OVERLAY_H

/*
 * What a VM wrote to a disk that it shares with others: a file of its own on top
 * of an image that stays as it is.
 *
 * A sector is either here or in the image; a map has a bit for each.  Sectors lie
 * at their own place in the file, which is sparse: it takes as much space as was
 * written, nothing is ever moved, and since whole sectors are all that is
 * written, nothing has to be copied up either.
 *
 *   0      a header of 4 KiB: magic, version, the image's size and time
 *   4096   the map: bit N % 8 of byte N / 8 tells of sector N; whole 4 KiB
 *   then   the sectors
 *
 * A bit is set once its sector is written.  In memory that is at once; in the
 * file at the next flush, after the sectors themselves are stable, so that a
 * host that crashed left no bit without its sector.  A temporary overlay has no
 * name and ends with the VM: its map is never written, and a flush does nothing.
 *
 * An overlay file is as hostile as an image: it is read by pread(2), its header
 * and size are checked, and its map says no more than which file a sector is
 * read from.  Calls are made by any thread.
 *
 * Who opens the file makes it by disk_overlay_make() where it is new; who serves
 * the disk loads it by disk_overlay_load(), in any case.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "vmm/base/error.h"

struct disk_overlay;

/* The word for a temporary one, in place of a path: it lies in $TMPDIR or else /var/tmp. */
#define DISK_OVERLAY_TEMPORARY "tmp"

/* Open for reading and writing; PATH is for messages. */
struct disk_overlay_file {
    int fd;
    bool is_temporary;
    const char *path;
};

/* What it lies on: SIZE is the disk's, bytes; PATH is for messages. */
struct disk_overlay_image {
    const char *path;
    struct stat status;
    uint64_t size;
};

/* Of the file for a disk of SIZE bytes. */
uint64_t disk_overlay_length(uint64_t size);

/* FILE, which is new and empty, becomes an overlay without a sector. */
int disk_overlay_make(const struct disk_overlay_file *file, const struct disk_overlay_image *image,
                      struct error *error);

/* FILE's descriptor becomes the overlay's, but for an error. */
int disk_overlay_load(struct disk_overlay **overlay, const struct disk_overlay_file *file,
                      const struct disk_overlay_image *image, struct error *error);
/* Where STABLE, writes the map if the file lacks some of it; what became of that is the result. */
int disk_overlay_close(struct disk_overlay *overlay, bool stable);

/* For reading and writing the sectors: byte 0 of the disk is at disk_overlay_start(). */
int disk_overlay_fd(const struct disk_overlay *overlay);
uint64_t disk_overlay_start(const struct disk_overlay *overlay);
bool disk_overlay_is_temporary(const struct disk_overlay *overlay);

/*
 * From OFFSET on, how many of the next LENGTH bytes are *HERE, or are not: at
 * least one sector.  The range lies on the disk.
 */
uint64_t disk_overlay_run(const struct disk_overlay *overlay, uint64_t offset, uint64_t length,
                          bool *here);

/*
 * LENGTH bytes at OFFSET were written, as the next part of whole sectors: each is
 * here once its last byte is.
 */
void disk_overlay_wrote(struct disk_overlay *overlay, uint64_t offset, uint64_t length);

/*
 * A flush syncs the file and settles; where that returns 1 it does both AGAIN.
 * 0: all that was written before is stable; or a negative errno.  MARK is what
 * disk_overlay_mark() said before the sync.
 */
uint64_t disk_overlay_mark(struct disk_overlay *overlay);
int disk_overlay_settle(struct disk_overlay *overlay, uint64_t mark, bool again);

#endif
