/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_XATTRS_H
#define MOTE_IMAGES_XATTRS_H

/*
 * The extended attributes of one inode.  The bounds are fakeroot's, which
 * carries them to mkfs.erofs in messages of 1 KiB (docs/images.md).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define XATTR_MAX 1024        /* bytes of a name, its NUL, and the value */
#define XATTR_NAMES_MAX 1000u /* of an inode's names and their NULs; the rest is for overlayfs' */

#define XATTR_OPAQUE "trusted.overlay.opaque" /* "y": nothing of lower layers shows in a folder */

struct xattrs {
    uint8_t *bytes; /* {length of the value in 2 bytes, name, NUL, value}… */
    size_t length;
    size_t names; /* bytes of all names and NULs */
};

/*
 * Adds NAME ("user.mime") with its VALUE.  A name that is there already stays
 * as it is.  Nothing is added for a name that Linux could not set (of another
 * system's) and for overlayfs' own (trusted.overlay.*, user.overlay.*): an
 * image must not direct the overlay that it becomes part of.
 */
int xattrs_add(struct xattrs *xattrs, const char *name, const void *value, size_t length,
               struct error *error);

/* The attribute at *AT, which begins with 0, and *AT behind it; false when there is none left. */
bool xattrs_next(const struct xattrs *xattrs, size_t *at, const char **name, const void **value,
                 size_t *length);

/* Adds all of FROM. */
int xattrs_copy(struct xattrs *xattrs, const struct xattrs *from, struct error *error);

void xattrs_release(struct xattrs *xattrs);

#endif
