/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_IMAGE_CONFIG_H
#define MOTE_IMAGES_IMAGE_CONFIG_H

/*
 * A container image's configuration, as the OCI image specification ("Image
 * Configuration") and Docker's schema 2 have it: which layers, for what
 * platform, and how to run it.
 */

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/images/digest.h"

#define IMAGE_VOLUMES_MAX 64 /* as RUN_FOLDERS_MAX */
#define IMAGE_LAYERS_MAX 500 /* overlayfs stacks no more */

struct image_config {
    struct digest diff_ids[IMAGE_LAYERS_MAX]; /* bottom first */
    size_t layers;
    struct json_object *run; /* "config" of the result (resolve.h); the caller's */
};

/*
 * Reads LENGTH bytes of TEXT.  NAME ("image PATH: config sha256:…") begins all
 * messages.  An image for another platform than this host's is refused.
 */
int image_config_read(struct image_config *config, const char *name, const void *text,
                      size_t length, struct error *error);

/* This host's architecture as images name it: "amd64". */
const char *image_architecture(void);
/* Whether an image that names SYSTEM and ARCHITECTURE, in one of the ways that are in use, is for this host; NULL and "" fit. */
bool image_is_for_host(const char *system, const char *architecture);

#endif
