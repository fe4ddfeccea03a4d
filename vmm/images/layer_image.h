/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_IMAGE_H
#define MOTE_IMAGES_LAYER_IMAGE_H

/*
 * The disk image of one layer in the cache, made if it is not there.  It is
 * kept under the digest of the unpacked archive (diff_id), so that it is the
 * same however a registry or tool compressed it; one that has folders which only
 * lower layers describe (layer_inherit.h), under the digest of the whole stack,
 * the specification's ChainID.  Nothing is kept, nor parsed, whose digests do not
 * match: one process finds that out, and then another unpacks.
 */

#include "vmm/images/layer_stream.h"
#include "vmm/images/resolve.h"

struct layer_input {
    struct digest diff_id;       /* of the unpacked archive */
    const struct digest *packed; /* of the blob; NULL where only diff_id is known */
    uint64_t size;               /* of the blob, in bytes; 0 where it is not known */
    unsigned int number, count;  /* "layer 2 of 5" */
    /* Opens the blob when it is needed; close comes after an open that succeeded. */
    int (*open)(void *context, struct byte_source *source, struct error *error);
    void (*close)(void *context);
    void *context;
};

/* Adds the layer to the result, above those that are in it. */
int layer_image(struct resolution *resolution, const struct layer_input *input,
                struct error *error);

#endif
