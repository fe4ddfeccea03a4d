/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_IMAGE_RESOLVE_H
#define MOTE_RUN_IMAGE_RESOLVE_H

/*
 * Directories and container images by way of mote-image, which makes read-only
 * disk images of them and prints where those are (its `resolve`).  It is ours,
 * but what it prints comes from hostile images: sizes and kinds are checked.
 */

#include <json-c/json_object.h>

#include "vmm/base/error.h"
#include "vmm/job/image_program.h"
#include "vmm/job/rootfs.h"

/*
 * SPEC as `mote-image resolve` takes it, OPTION for messages; *ANSWER is the
 * caller's to put.  An error without a message: mote-image gave one.
 */
int image_resolve(const char *option, const char *spec, const struct image_program *program,
                  struct json_object **answer, struct error *error);

/* The layers of an answer, opened, at most CAPACITY; how many, or a negative errno. */
int image_open_layers(struct json_object *answer, const char *option, const char *spec,
                      struct rootfs_disk *disks, size_t capacity, struct error *error);

int image_read_config(struct json_object *answer, struct image_config *config,
                      struct error *error);

#endif
