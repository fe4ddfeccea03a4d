/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_RESOLVE_H
#define MOTE_IMAGES_RESOLVE_H

/*
 * From what the user named to the disk images of its layers and its
 * configuration.  The result is one JSON object:
 *
 *   { "layers": [ { "path": …, "digest": "sha256:…", "format": "erofs" } … ],
 *     "config": { "entrypoint": […], "cmd": […], "env": ["NAME=VALUE"…], "user": "…",
 *                 "working_dir": "…", "stop_signal": "…", "volumes": ["/PATH"…],
 *                 "health_check": true|false } }
 *
 * The bottom layer comes first.  A disk image of the user's own has no digest.
 * A folder, file or disk image has an empty configuration.
 */

#include <json-c/json_object.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/images/cache.h"
#include "vmm/base/progress.h"
#include "vmm/images/staging.h"
#include "vmm/jail/sandbox.h"

struct resolution {
    const struct cache *cache;
    struct progress *progress;
    uint64_t limit;             /* bytes that an image may have, holes included */
    struct sandbox *sandbox;    /* for those that unpack; NULL for none */
    struct json_object *result; /* the object above */
    struct digest chain;        /* ChainID of the layers in it */
};

/* SPEC is dir:PATH, file:FILE, disk:FILE, oci:PATH[:TAG] or docker-archive:FILE[:TAG]. */
int resolve(struct resolution *resolution, const char *spec, struct error *error);
void resolution_release(struct resolution *resolution);

/* The kinds, one function each; WHAT is what follows the first colon. */
int resolve_folder(struct resolution *resolution, const char *what, struct error *error);
int resolve_file(struct resolution *resolution, const char *what, struct error *error);
int resolve_oci(struct resolution *resolution, const char *what, struct error *error);
int resolve_docker_archive(struct resolution *resolution, const char *what, struct error *error);
int resolve_disk(struct resolution *resolution, const char *what, struct error *error);

/* DIGEST is NULL for a disk image of the user's own. */
int resolution_add_layer(struct resolution *resolution, const char *path,
                         const struct digest *digest, const char *format, struct error *error);

/* The image that ENTRY found or made. */
int resolution_add_image(struct resolution *resolution, const struct cache_entry *entry,
                         const struct digest *digest, struct error *error);

/* The layers so far, and the path of one's image. */
size_t resolution_layers(const struct resolution *resolution);
const char *resolution_path(const struct resolution *resolution, size_t layer);
/* Takes all layers out. */
void resolution_clear(struct resolution *resolution);

/* Replaces the empty configuration by CONFIG, which is taken. */
void resolution_set_config(struct resolution *resolution, struct json_object *config);

/* What an image that is made now may take. */
struct staging_limits resolution_limits(const struct resolution *resolution);

#endif
