/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGE_H
#define MOTE_IMAGE_H

/*
 * A kernel or initrd file, open for reading.  The file is hostile and may even
 * change or shrink while it is read, so what is looked at is copied first, by
 * pread(2), and a short read is an error with the file's name.
 *
 * What goes to the guest unseen may be mapped instead, so that VMs share it in the
 * host's page cache.  But a mapped file must stay as it is while its VMs run, and
 * kernels are rebuilt and copied over in place.  So that is for a file which nobody
 * may write to (chmod a-w), as in Mote's caches; one that changes is a new file there.
 * The mode guards against mistakes alone: who owns the kernel owns the guest.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/machine/guest_memory.h"

struct image {
    const char *role; /* "kernel", "initrd": a literal for messages */
    const char *path; /* the caller's, outlives the image */
    int fd;
    uint64_t size; /* in bytes, as it was when opened */
    bool constant; /* nobody may write to it */
};

/* Opens a regular, non-empty file.  The caller closes it by image_close(). */
int image_open(struct image *image, const char *role, const char *path, struct error *error);
/* As image_open(), of a file that is open already: FD, which becomes the image's, also on an error.  PATH is for messages. */
int image_adopt(struct image *image, const char *role, const char *path, int fd, struct error *error);
void image_close(struct image *image);

/* Copies [offset, offset + length) of the file; all of it, or an error. */
int image_read(const struct image *image, uint64_t offset, void *bytes, size_t length,
               struct error *error);

/*
 * Copies [offset, offset + length) of the file to guest ADDRESS, where memory is
 * still as it was made: zero.  The holes of a large file are not written, so
 * that they take none.
 */
int image_load(const struct image *image, uint64_t offset, uint64_t length,
               struct guest_memory *memory, uint64_t address, struct error *error);

/*
 * As image_load(), for bytes that the guest is not likely to change: whole pages of a
 * constant file are mapped where offset and ADDRESS agree in a page's size.
 */
int image_place(const struct image *image, uint64_t offset, uint64_t length,
                struct guest_memory *memory, uint64_t address, struct error *error);

#endif
