/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_IMAGE_H
#define MOTE_IMAGES_LAYER_IMAGE_H

/*
 * The disk images of layers in the cache, made if they are not there.  It is
 * kept under the digest of the unpacked archive (diff_id), so that it is the
 * same however a registry or tool compressed it; one that has folders which only
 * lower layers describe (layer_inherit.h), under the digest of the whole stack,
 * the specification's ChainID.  Of more layers than LAYER_IMAGES_MAX, several
 * share an image (layer_merge.h), under a digest of their stack and how many they
 * are.  Nothing is kept, nor parsed, whose digests do not
 * match: one process finds that out, and then another unpacks.
 */

#include "vmm/images/layer_stream.h"
#include "vmm/images/resolve.h"

/*
 * Disks that the layers of an image take at most.  A kernel that is told of its devices by its command line, as Mote's
 * own, has 2,047 bytes for that, some forty a device: with these, all volumes and the rest of a job's it has room.
 */
#define LAYER_IMAGES_MAX 24u

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

/* Puts the images of all COUNT layers, bottom first, into the result. */
int layer_images(struct resolution *resolution, const struct layer_input *inputs, size_t count,
                 struct error *error);

#endif
