/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_XATTRS_H
#define MOTE_IMAGES_XATTRS_H

/*
 * The extended attributes of one inode, as erofs stores them: entries of
 * {name length, prefix, value size, name without its prefix, value}, each
 * padded to 4 bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"

#define XATTRS_MAX (64u << 10) /* bytes of one inode's; more is refused */

struct xattrs {
    uint8_t *bytes;
    size_t length; /* a multiple of 4 */
};

/*
 * Adds NAME ("user.mime") with its VALUE.  A name that is there already stays
 * as it is.  Nothing is added for a name that Linux could not set (of another
 * system's) and for overlayfs' own (trusted.overlay.*, user.overlay.*): an
 * image must not direct the overlay that it becomes part of.
 */
int xattrs_add(struct xattrs *xattrs, const char *name, const void *value, size_t length,
               struct error *error);

/* Marks a folder as opaque for overlayfs: nothing of lower layers shows in it. */
int xattrs_add_opaque(struct xattrs *xattrs, struct error *error);

/* Whether LENGTH bytes of entries mark an opaque folder; -EBADMSG when they are no entries. */
int xattrs_find_opaque(const uint8_t *bytes, size_t length, bool *opaque);

/* Adds the entries in LENGTH bytes, but for that mark. */
int xattrs_copy(struct xattrs *xattrs, const uint8_t *bytes, size_t length, struct error *error);

void xattrs_release(struct xattrs *xattrs);

#endif
