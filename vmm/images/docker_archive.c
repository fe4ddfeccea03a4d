/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive that `docker save` writes, and skopeo and podman as
 * docker-archive: a tar with manifest.json, a list of images, each with the
 * names of its configuration and layers in the archive.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/document.h"
#include "vmm/images/image_config.h"
#include "vmm/images/image_plan.h"
#include "vmm/images/layer_image.h"
#include "vmm/images/resolve.h"
#include "vmm/images/saved_archive.h"

#define PIECE (256u << 10)
#define NAME_SIZE 200

/* ---- layers ---- */

struct member_reader {
    const struct saved_archive *saved;
    struct saved_member member; /* but for its name */
    struct archive *tar;
    uint8_t *piece;
};

static ssize_t read_piece(void *context, const void **bytes, struct error *error)
{
    struct member_reader *reader = context;
    la_ssize_t got = archive_read_data(reader->tar, reader->piece, PIECE);

    if (got < 0)
        return saved_damaged(reader->saved, reader->tar, error);
    *bytes = reader->piece;
    return got;
}

static void close_layer(void *context)
{
    struct member_reader *reader = context;

    if (reader->tar)
        archive_read_free(reader->tar);
    free(reader->piece);
}

static int open_layer(void *context, struct byte_source *source, struct error *error)
{
    struct member_reader *reader = context;

    *source = (struct byte_source){ read_piece, reader };
    reader->tar = saved_member_open(reader->saved, &reader->member, error);
    reader->piece = reader->tar ? malloc(PIECE) : NULL;
    if (reader->piece)
        return 0;
    if (reader->tar)
        error_system(error, ENOMEM, "the layer");
    close_layer(reader);
    return -error->number;
}

/* The digest that a blob's own name tells, as newer archives have them: blobs/sha256/HEX. */
static bool name_digest(const char *name, struct digest *digest)
{
    static const char blobs[] = "blobs/sha256/";

    return strncmp(name, blobs, strlen(blobs)) == 0 &&
           strlen(name) == strlen(blobs) + DIGEST_HEX &&
           digest_parse_hex(name + strlen(blobs), digest);
}

static int resolve_layers(struct resolution *resolution, const struct saved_archive *saved,
                          const struct image_plan *plan, struct error *error)
{
    cleanup_free struct member_reader *readers = calloc(plan->count, sizeof(*readers));
    cleanup_free struct layer_input *inputs = calloc(plan->count, sizeof(*inputs));
    static char name[] = "a layer";

    if (!readers || !inputs)
        return error_system(error, ENOMEM, "%s", saved->reference.path);
    for (size_t i = 0; i < plan->count; i++) {
        readers[i] = (struct member_reader){
            .saved = saved,
            .member = { .name = name, .at = plan->layers[i].at, .size = plan->layers[i].size },
        };
        inputs[i] = plan_input(plan, i);
        inputs[i].open = open_layer;
        inputs[i].close = close_layer;
        inputs[i].context = &readers[i];
    }
    return layer_images(resolution, inputs, plan->count, error);
}

/* ---- the plan, in a process of its own ---- */

static int plan_layer(const struct saved_archive *saved, const struct digest *diff_id, const char *name,
                      struct plan_layer *layer, struct error *error)
{
    const struct saved_member *member = saved_find(saved, name, error);

    if (!member)
        return -error->number;
    *layer = (struct plan_layer){ .diff_id = *diff_id, .size = member->size, .at = member->at };
    layer->has_packed = name_digest(member->name, &layer->packed);
    return 0;
}

/* ID.json or blobs/sha256/ID: the name of a configuration is its digest. */
static int check_config_digest(const struct saved_archive *saved, const char *name,
                               const void *text, size_t length, struct error *error)
{
    struct digest wanted, found = digest_of(text, length);
    char hex[DIGEST_HEX + 1];

    if (!name_digest(name, &wanted) &&
        !(strlen(name) == DIGEST_HEX + 5 && digest_parse_hex(name, &wanted)))
        return 0;
    if (!digest_equal(&wanted, &found))
        return error_set(error, EBADMSG, "%s: %s: is corrupt, its digest is sha256:%s; save the "
                         "image anew", saved->reference.path, name, digest_hex(&found, hex));
    return 0;
}

static int read_config(const struct saved_archive *saved, const char *file,
                       struct image_config *config, struct error *error)
{
    size_t length;
    cleanup_free void *text = saved_read(saved, file, &length, error);
    char name[NAME_SIZE];

    if (!text || check_config_digest(saved, file, text, length, error) < 0)
        return -error->number;
    snprintf(name, sizeof(name), "%.80s: %.100s", saved->reference.path, file);
    return image_config_read(config, name, text, length, error);
}

static int plan_layers(const struct saved_archive *saved, struct json_object *layers, const char *file,
                       const struct image_config *config, struct image_plan *plan, struct error *error)
{
    if (json_object_array_length(layers) != config->layers)
        return error_set(error, EINVAL, "%s: names %zu layers in manifest.json, %zu in %s; save the "
                         "image anew", saved->reference.path, json_object_array_length(layers),
                         config->layers, file);
    plan->count = config->layers;
    for (size_t i = 0; i < config->layers; i++)
        if (document_element("manifest.json", "Layers", layers, i, &file, error) < 0 ||
            plan_layer(saved, &config->diff_ids[i], file, &plan->layers[i], error) < 0)
            return -error->number;
    return 0;
}

static int plan_image(const struct saved_archive *saved, struct json_object *image,
                      struct image_plan *plan, struct error *error)
{
    cleanup_free struct image_config *config = calloc(1, sizeof(*config));
    const char *name = "manifest.json", *file;
    struct json_object *layers;

    if (!config)
        return error_system(error, ENOMEM, "%s", saved->reference.path);
    if (document_text(name, image, "Config", &file, error) < 0 ||
        document_list(name, image, "Layers", &layers, error) < 0)
        return -error->number;
    if (!file || !layers)
        return document_wrong(name, file ? "Layers" : "Config", "is missing", error);
    if (read_config(saved, file, config, error) < 0)
        return -error->number;
    plan->run = config->run;
    return plan_layers(saved, layers, file, config, plan, error);
}

/* ---- which image ---- */

/* TAG names REPO:TAG in full, without Docker's own registry, or by its last part. */
static bool matches(const char *full, const char *tag)
{
    const char *colon = strrchr(full, ':');
    size_t library = strlen("docker.io/library/"), hub = strlen("docker.io/");

    if (strncmp(full, "docker.io/library/", library) == 0)
        full += library;
    else if (strncmp(full, "docker.io/", hub) == 0)
        full += hub;
    if (strncmp(tag, "docker.io/library/", library) == 0)
        tag += library;
    if (strcmp(full, tag) == 0 || (colon && strcmp(colon + 1, tag) == 0))
        return true;
    return colon && strcmp(colon, ":latest") == 0 && strlen(tag) == (size_t)(colon - full) &&
           strncmp(full, tag, strlen(tag)) == 0;
}

/* Whether one of IMAGE's tags is wanted; all are added to TAGS. */
static int has_tag(const struct saved_archive *saved, struct json_object *image, struct tags *tags,
                   bool *has, struct error *error)
{
    struct json_object *list;

    *has = false;
    if (!json_object_is_type(image, json_type_object))
        return document_wrong("manifest.json", "an element", "is no object", error);
    if (document_list("manifest.json", image, "RepoTags", &list, error) < 0)
        return -error->number;
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        const char *tag;

        if (document_element("manifest.json", "RepoTags", list, i, &tag, error) < 0)
            return -error->number;
        tags_add(tags, tag);
        *has = *has || (saved->reference.tag && matches(tag, saved->reference.tag));
    }
    return 0;
}

static int choose(const struct saved_archive *saved, struct json_object *images,
                  struct json_object **chosen, struct error *error)
{
    struct tags tags = { .count = 0 };
    size_t count = json_object_array_length(images);

    *chosen = NULL;
    if (count == 0 || count > DOCUMENT_LIST_MAX)
        return document_wrong("manifest.json", "the list", "names no image, or too many", error);
    for (size_t i = 0; i < count; i++) {
        struct json_object *image = json_object_array_get_idx(images, i);
        bool has;

        if (has_tag(saved, image, &tags, &has, error) < 0)
            return -error->number;
        if (has || (!saved->reference.tag && count == 1))
            *chosen = image;
    }
    return *chosen ? 0 : reference_unknown(&saved->reference, &tags, error);
}

static int plan_archive(const struct saved_archive *saved, struct image_plan *plan, struct error *error)
{
    size_t length;
    cleanup_free void *text = saved_read(saved, "manifest.json", &length, error);
    struct json_object *images, *image;
    int result;

    images = text ? document_parse("manifest.json", text, length, json_type_array, error) : NULL;
    if (!images)
        return -error->number;
    result = choose(saved, images, &image, error);
    if (result == 0)
        result = plan_image(saved, image, plan, error);
    json_object_put(images);
    return result;
}

static int read_plan(void *context, struct image_plan *plan, struct error *error)
{
    struct saved_archive *saved = context;

    if (saved_read_index(saved, &plan->spooled, error) < 0)
        return -error->number;
    return plan_archive(saved, plan, error);
}

/* ---- the whole ---- */

static int resolve_planned(struct resolution *resolution, struct saved_archive *saved,
                           struct image_plan *plan, struct error *error)
{
    if (plan_make(plan, resolution, read_plan, saved, error) < 0)
        return -error->number;
    if (plan->spooled)
        saved_use_spool(saved);
    resolution_set_config(resolution, json_object_get(plan->run));
    return resolve_layers(resolution, saved, plan, error);
}

int resolve_docker_archive(struct resolution *resolution, const char *what, struct error *error)
{
    struct staging_limits limits = resolution_limits(resolution);
    cleanup_free struct image_plan *plan = calloc(1, sizeof(*plan));
    struct saved_archive saved;
    int result = saved_open(&saved, what, error);

    saved.progress = resolution->progress;
    saved.limit = limits.image < limits.room ? limits.image : limits.room;
    if (result == 0)
        result = cache_spool(resolution->cache, &saved.spool, error);
    if (result == 0 && !plan)
        result = error_system(error, ENOMEM, "%s", what);
    if (result == 0)
        result = resolve_planned(resolution, &saved, plan, error);
    if (plan)
        plan_release(plan);
    saved_close(&saved);
    return result;
}
