/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_H
#define MOTE_IMAGES_LAYER_H

/*
 * One layer of a container image: from its tar archive to a tree and its files'
 * content in a private folder (staging.h), of which mkfs.erofs makes the image
 * that overlayfs stacks with the others.
 *
 * Whiteouts become character devices 0:0, opaque folders get an attribute of
 * overlayfs'; both hide what the layers below have, never what this
 * layer has itself, in whatever order its entries come.
 *
 * Archives are hostile.  Entries that climb out, pass through a link or link to
 * what the layer does not have are refused with their name; counts and sizes
 * are bounded by the tree and the folder.
 */

#include <archive.h>

#include "vmm/error.h"
#include "vmm/images/file_tree.h"
#include "vmm/images/staging.h"

struct layer {
    struct file_tree tree;
    struct file_inode *whiteout; /* all share one inode, as overlayfs has it */
    unsigned int entries;
};

int layer_init(struct layer *layer, struct error *error);
void layer_release(struct layer *layer);

/* Reads all entries of TAR, which is open, into the tree and STAGING; NULL leaves content out. */
int layer_unpack(struct layer *layer, struct archive *tar, struct staging *staging,
                 struct error *error);

#endif
