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

#include "vmm/cleanup.h"
#include "vmm/images/document.h"
#include "vmm/images/image_config.h"
#include "vmm/images/layer_image.h"
#include "vmm/images/resolve.h"
#include "vmm/images/saved_archive.h"

#define PIECE (256u << 10)
#define NAME_SIZE 200

/* ---- layers ---- */

struct member_reader {
    const struct saved_archive *saved;
    const struct saved_member *member;
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
    reader->tar = saved_member_open(reader->saved, reader->member, error);
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

static int resolve_layer(struct resolution *resolution, const struct saved_archive *saved,
                         const struct image_config *config, size_t index, const char *name,
                         struct error *error)
{
    struct member_reader reader = { saved, saved_find(saved, name, error), NULL, NULL };
    struct digest packed;
    struct layer_input input = {
        .diff_id = config->diff_ids[index],
        .number = (unsigned int)index + 1,
        .count = (unsigned int)config->layers,
        .open = open_layer,
        .close = close_layer,
        .context = &reader,
    };

    if (!reader.member)
        return -error->number;
    input.size = reader.member->size;
    if (name_digest(reader.member->name, &packed))
        input.packed = &packed;
    return layer_image(resolution, &input, error);
}

/* ---- the image ---- */

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

static int resolve_image(struct resolution *resolution, const struct saved_archive *saved,
                         struct json_object *image, struct error *error)
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
    resolution_set_config(resolution, config->run);
    if (json_object_array_length(layers) != config->layers)
        return error_set(error, EINVAL, "%s: names %zu layers in manifest.json, %zu in %s; save the "
                         "image anew", saved->reference.path, json_object_array_length(layers),
                         config->layers, file);
    for (size_t i = 0; i < config->layers; i++)
        if (document_element(name, "Layers", layers, i, &file, error) < 0 ||
            resolve_layer(resolution, saved, config, i, file, error) < 0)
            return -error->number;
    return 0;
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

static int resolve_in(struct resolution *resolution, const struct saved_archive *saved,
                      struct error *error)
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
        result = resolve_image(resolution, saved, image, error);
    json_object_put(images);
    return result;
}

int resolve_docker_archive(struct resolution *resolution, const char *what, struct error *error)
{
    struct saved_archive saved;
    int result = saved_open(&saved, what, error);

    if (result == 0)
        result = resolve_in(resolution, &saved, error);
    saved_close(&saved);
    return result;
}
