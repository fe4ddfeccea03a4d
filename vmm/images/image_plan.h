/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_IMAGE_PLAN_H
#define MOTE_IMAGES_IMAGE_PLAN_H

/*
 * What there is to do for a container image: its layers, where they lie, and how
 * to run it.  The documents of an image (and the archive that they are in) are
 * read by a worker (worker.h), which sends the plan; its receiver, who starts
 * programs, never sees their bytes.
 */

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/images/image_config.h"
#include "vmm/images/layer_image.h"

struct plan_layer {
    struct digest diff_id, packed; /* as layer_input (layer_image.h) */
    uint64_t size;
    int64_t at;         /* of a saved archive: where its header begins */
    uint8_t has_packed; /* whether `packed` is known */
};

struct image_plan {
    struct plan_layer layers[IMAGE_LAYERS_MAX]; /* bottom first */
    size_t count;
    struct json_object *run; /* "config" of the result (resolve.h) */
    bool spooled;            /* the archive was unpacked into the file for that */
};

/* Reads an image's documents into PLAN, which is empty. */
typedef int plan_reader(void *context, struct image_plan *plan, struct error *error);

/* Has READ read them in a process of its own.  PLAN is the caller's to release, also after a failure. */
int plan_make(struct image_plan *plan, const struct resolution *resolution, plan_reader *read,
              void *context, struct error *error);
void plan_release(struct image_plan *plan);

/* The layer at INDEX, but for what opens it. */
struct layer_input plan_input(const struct image_plan *plan, size_t index);

/* An answer's bytes, which are hostile, into PLAN. */
int plan_decode(struct image_plan *plan, const void *bytes, size_t length, struct error *error);

#endif
