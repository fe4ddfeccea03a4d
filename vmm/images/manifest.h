/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_MANIFEST_H
#define MOTE_IMAGES_MANIFEST_H

/*
 * Manifests and indexes of the OCI image specification, and their twins of
 * Docker's schema 2: an index lists manifests for platforms, a manifest its
 * configuration and layers, each by a descriptor {media type, digest, size}.
 */

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/images/digest.h"
#include "vmm/images/image_config.h"
#include "vmm/images/reference.h"

enum media {
    MEDIA_OTHER, /* signatures, attestations, what is not invented yet */
    MEDIA_INDEX,
    MEDIA_MANIFEST,
    MEDIA_SCHEMA1, /* Docker's before 2016: no digests of the layers as they are unpacked */
};

struct descriptor {
    struct digest digest;
    uint64_t size; /* in bytes */
    enum media media;
};

struct manifest {
    struct descriptor config;
    struct descriptor layers[IMAGE_LAYERS_MAX]; /* bottom first */
    size_t count;
};

/* NAME begins all messages.  ROOT is the document. */
int manifest_read(struct manifest *manifest, const char *name, struct json_object *root,
                  struct error *error);

/* What a document says that it is, by its media type or else by its members. */
enum media manifest_media(struct json_object *root);

/*
 * Chooses of an index's manifests.  With REFERENCE, the layout's own index, by
 * its tag; in each case by this host's platform.
 */
int index_choose(const char *name, struct json_object *root, const struct reference *reference,
                 struct descriptor *chosen, struct error *error);

#endif
