/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LISTING_H
#define MOTE_IMAGES_LISTING_H

/*
 * The listing beside a layer's image: LISTING_HEAD bytes that tell whether the
 * root is opaque, then what is in the image, without content, as a tar archive
 * packed by zstd.  Layers above ask it for what they inherit and where links lead
 * (layer_inherit.h); a worker reads it, as strictly as any layer's archive.
 */

#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/images/layer.h"

#define LISTING_HEAD 16

/* Writes the layer's folders, with their attributes, its links, and the names of all else to FD. */
int listing_write(const struct layer *layer, int fd, struct error *error);

/* Reads the listing in FD into LAYER, which is new. */
int listing_read(struct layer *layer, int fd, struct error *error);

/* Whether the root hides all that the layers below have; parses nothing. */
int listing_root_is_opaque(int fd, bool *opaque, struct error *error);

#endif
