/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LISTING_H
#define MOTE_IMAGES_LISTING_H

/*
 * The listing beside a layer's image: what is in the image, without content, as
 * a tar archive packed by zstd.  Layers above ask it for what they inherit
 * (layer_inherit.h).  It is read as strictly as any layer's archive.
 */

#include <stdbool.h>

#include "vmm/error.h"
#include "vmm/images/layer.h"

/* Writes the layer's folders, with their attributes, and the names of all else to FD. */
int listing_write(const struct layer *layer, int fd, struct error *error);

/* Reads the listing in FD into LAYER, which is new. */
int listing_read(struct layer *layer, int fd, struct error *error);

/* Whether the root hides all that the layers below have; does not read the rest. */
int listing_root_is_opaque(int fd, bool *opaque, struct error *error);

#endif
