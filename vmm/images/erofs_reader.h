/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_EROFS_READER_H
#define MOTE_IMAGES_EROFS_READER_H

/*
 * Looks up names in images that erofs.h wrote: the layers below one that is
 * being made.  Anything else is refused, and no number of the image is used
 * before it was compared with the image's size.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/images/erofs_format.h"
#include "vmm/images/file_tree.h"

struct erofs_view {
    int fd; /* the caller's */
    uint64_t position;
    struct erofs_inode inode; /* as it lies in the image */
};

int erofs_view_root(int fd, struct erofs_view *root, struct error *error);

/* 1 and *CHILD when FOLDER has NAME, 0 when it has not. */
int erofs_view_child(const struct erofs_view *folder, const char *name, struct erofs_view *child,
                     struct error *error);

bool erofs_view_is_folder(const struct erofs_view *view);

/* Whether overlayfs shows nothing of lower layers in this folder. */
int erofs_view_is_opaque(const struct erofs_view *folder, bool *opaque, struct error *error);

/* Owner, permissions, time and extended attributes, but for overlayfs' own, to INODE. */
int erofs_view_attributes(const struct erofs_view *view, struct file_inode *inode,
                          struct error *error);

#endif
