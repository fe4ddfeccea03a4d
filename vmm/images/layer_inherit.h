/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_INHERIT_H
#define MOTE_IMAGES_LAYER_INHERIT_H

/*
 * Folders that a layer's archive only implies.
 *
 * An archive may hold tmp/file without tmp: unpacked over the layers below, the
 * folder keeps what they gave it.  In an overlay the topmost layer's folder
 * counts, so it has to have the same attributes, or /tmp would lose its sticky
 * bit and /root become open to all.  Where they have a symbolic link of that
 * name, what the archive puts below it belongs where the link leads
 * (layer_walk.c): a folder of that name would hide the link, and with it the
 * libraries of an image whose /lib is one.  Such a layer's image depends on those
 * below it, of which their listings tell (listing.h).
 */

#include "vmm/base/error.h"
#include "vmm/images/layer.h"

/* Whether an entry of LAYER went through a folder that none had named. */
bool layer_implies_folders(const struct layer *layer);

/* What COUNT lower layers, the bottom one first, show at NAME in FOLDER of a layer above: *FOUND, or NULL. */
int layer_find_below(const struct layer *lower, size_t count, const struct file_node *folder,
                     const char *name, const struct file_inode **found, struct error *error);

/* Takes the attributes from COUNT lower layers, the bottom one first. */
int layer_inherit(struct layer *layer, const struct layer *lower, size_t count,
                  struct error *error);

#endif
