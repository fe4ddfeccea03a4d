/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_WORK_H
#define MOTE_IMAGES_LAYER_WORK_H

/*
 * The two processes that read layers' archives (worker.h): one finds out whether
 * each is what its digests say, another unpacks them into the private folder of
 * the image that they are to become.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/images/cache.h"
#include "vmm/images/layer_image.h"

/* What is made at a time: an image of COUNT layers that lie above each other. */
struct layer_work {
    const struct resolution *resolution;
    const struct layer_input *inputs;
    size_t count;
    size_t at; /* the layer that is worked on, of them */
    struct cache_entry *entry;
};

/* What the process that unpacks has to tell. */
struct layer_unpacked {
    uint64_t image; /* bytes that it will have */
    bool implies, holes;
    char longest[FILE_TREE_PATH_MAX]; /* path of a file with the longest name there can be; or empty */
};

int layer_work_verify(struct layer_work *work, struct error *error);
int layer_work_unpack(struct layer_work *work, struct layer_unpacked *unpacked,
                      struct error *error);

/* "layer sha256:…: " before the message, if there is one; the blob's digest where there is one. */
int layer_named(const struct layer_input *input, struct error *error);

#endif
