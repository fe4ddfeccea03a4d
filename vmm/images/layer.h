/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_H
#define MOTE_IMAGES_LAYER_H

/*
 * One layer of a container image: from its tar archive to a tree and its files'
 * content in an erofs image, which overlayfs stacks with the others.
 *
 * Whiteouts become character devices 0:0, opaque folders get the attribute
 * trusted.overlay.opaque; both hide what the layers below have, never what this
 * layer has itself, in whatever order its entries come.
 *
 * Archives are hostile.  Entries that climb out, pass through a link or link to
 * what the layer does not have are refused with their name; counts and sizes
 * are bounded by the tree and the image.
 */

#include <archive.h>

#include "vmm/error.h"
#include "vmm/images/erofs.h"
#include "vmm/images/file_tree.h"

struct layer {
    struct file_tree tree;
    struct file_inode *whiteout; /* all share one inode, as overlayfs has it */
    unsigned int entries;
};

int layer_init(struct layer *layer, struct error *error);
void layer_release(struct layer *layer);

/* Reads all entries of TAR, which is open, into the tree and IMAGE. */
int layer_unpack(struct layer *layer, struct archive *tar, struct erofs *image,
                 struct error *error);

/* Ends IMAGE with the layer's whiteouts and folders. */
int layer_finish(struct layer *layer, struct erofs *image, const uint8_t uuid[16],
                 struct error *error);

#endif
