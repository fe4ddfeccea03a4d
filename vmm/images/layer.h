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
 * A path leads where it would lead in the image's root, from which nothing leads
 * out: an absolute one is taken below it, and a folder on the way that is a
 * symbolic link is followed, be it this layer's or one below, of which `below`
 * tells (merged /usr: lib is a link to usr/lib, and a layer has lib/x).
 *
 * Archives are hostile.  Entries that climb out by "..", lead in circles or link
 * to what the layer does not have are refused with their name; counts and sizes
 * are bounded by the tree and the folder.
 */

#include <archive.h>

#include "vmm/base/error.h"
#include "vmm/images/file_tree.h"
#include "vmm/images/staging.h"

/* What the layers below show at NAME in FOLDER, one of this layer's: *FOUND, NULL for nothing. */
struct layer_below {
    int (*find)(void *context, const struct file_node *folder, const char *name,
                const struct file_inode **found, struct error *error);
    void *context;
};

struct layer {
    struct file_tree tree;
    struct file_inode *whiteout; /* all share one inode, as overlayfs has it */
    unsigned int entries;
    const struct layer_below *below; /* the caller's; NULL where there is nothing */
    bool implies; /* an entry went through a folder that none had named: it depends on what is below */
};

int layer_init(struct layer *layer, struct error *error);
void layer_release(struct layer *layer);

/* Reads all entries of TAR, which is open, into the tree and STAGING; NULL leaves content out. */
int layer_unpack(struct layer *layer, struct archive *tar, struct staging *staging,
                 struct error *error);

#endif
