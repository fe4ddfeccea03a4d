/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_INHERIT_H
#define MOTE_IMAGES_LAYER_INHERIT_H

/*
 * Folders that a layer's archive only implies.
 *
 * An archive may hold tmp/file without tmp: unpacked over the layers below, the
 * folder keeps what they gave it.  In an overlay the topmost layer's folder
 * counts, so it has to have the same attributes, or /tmp would lose its sticky
 * bit and /root become open to all.  Such a layer's image depends on those
 * below it, of which their listings tell (listing.h).
 */

#include "vmm/error.h"
#include "vmm/images/layer.h"

bool layer_implies_folders(const struct layer *layer);

/* Takes the attributes from COUNT lower layers, the bottom one first. */
int layer_inherit(struct layer *layer, const struct layer *lower, size_t count,
                  struct error *error);

#endif
