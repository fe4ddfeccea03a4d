/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/document.h"

#define TAG_ANNOTATION "org.opencontainers.image.ref.name"

static enum media media_of(const char *type)
{
    static const struct {
        const char *type;
        enum media media;
    } known[] = {
        { "application/vnd.oci.image.index.v1+json", MEDIA_INDEX },
        { "application/vnd.docker.distribution.manifest.list.v2+json", MEDIA_INDEX },
        { "application/vnd.oci.image.manifest.v1+json", MEDIA_MANIFEST },
        { "application/vnd.docker.distribution.manifest.v2+json", MEDIA_MANIFEST },
        { "application/vnd.docker.distribution.manifest.v1+json", MEDIA_SCHEMA1 },
        { "application/vnd.docker.distribution.manifest.v1+prettyjws", MEDIA_SCHEMA1 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
        if (strcmp(type, known[i].type) == 0)
            return known[i].media;
    return MEDIA_OTHER;
}

enum media manifest_media(struct json_object *root)
{
    struct json_object *type;

    if (json_object_object_get_ex(root, "mediaType", &type) &&
        json_object_is_type(type, json_type_string))
        return media_of(json_object_get_string(type));
    if (json_object_object_get_ex(root, "manifests", NULL))
        return MEDIA_INDEX;
    if (json_object_object_get_ex(root, "layers", NULL))
        return MEDIA_MANIFEST;
    return json_object_object_get_ex(root, "fsLayers", NULL) ? MEDIA_SCHEMA1 : MEDIA_OTHER;
}

static int read_descriptor(const char *name, const char *key, struct json_object *object,
                           struct descriptor *descriptor, struct error *error)
{
    const char *digest, *type;

    if (!json_object_is_type(object, json_type_object))
        return document_wrong(name, key, "is no object", error);
    if (document_text(name, object, "digest", &digest, error) < 0 ||
        document_text(name, object, "mediaType", &type, error) < 0 ||
        document_number(name, object, "size", &descriptor->size, error) < 0)
        return -error->number;
    if (!digest || !digest_parse(digest, &descriptor->digest))
        return document_wrong(name, key, "its digest is no sha256:HEX", error);
    descriptor->media = type ? media_of(type) : MEDIA_OTHER;
    return 0;
}

/* ---- manifests ---- */

int manifest_read(struct manifest *manifest, const char *name, struct json_object *root,
                  struct error *error)
{
    struct json_object *config, *layers;

    *manifest = (struct manifest){ .count = 0 };
    if (document_object(name, root, "config", &config, error) < 0 ||
        document_list(name, root, "layers", &layers, error) < 0 ||
        read_descriptor(name, "config", config, &manifest->config, error) < 0)
        return -error->number;
    manifest->count = layers ? json_object_array_length(layers) : 0;
    if (manifest->count == 0)
        return document_wrong(name, "layers", "is empty", error);
    if (manifest->count > IMAGE_LAYERS_MAX)
        return document_wrong(name, "layers", "has more than 500 elements", error);
    for (size_t i = 0; i < manifest->count; i++)
        if (read_descriptor(name, "layers", json_object_array_get_idx(layers, i),
                            &manifest->layers[i], error) < 0)
            return -error->number;
    return 0;
}

/* ---- indexes ---- */

/* One of an index's manifests; the texts belong to its document. */
struct choice {
    struct descriptor descriptor;
    const char *tag, *system, *architecture, *variant; /* NULL where it tells none */
};

static int read_choice(const char *name, struct json_object *object, struct choice *choice,
                       struct error *error)
{
    struct json_object *platform, *annotations;

    *choice = (struct choice){ .tag = NULL };
    if (read_descriptor(name, "manifests", object, &choice->descriptor, error) < 0 ||
        document_object(name, object, "platform", &platform, error) < 0 ||
        document_object(name, object, "annotations", &annotations, error) < 0)
        return -error->number;
    if (annotations &&
        document_text(name, annotations, TAG_ANNOTATION, &choice->tag, error) < 0)
        return -error->number;
    if (platform && (document_text(name, platform, "os", &choice->system, error) < 0 ||
                     document_text(name, platform, "architecture", &choice->architecture, error) < 0 ||
                     document_text(name, platform, "variant", &choice->variant, error) < 0))
        return -error->number;
    return 0;
}

/*
 * How well this host can run it: 0 not at all, 9 best.  Without a variant it asks the
 * least of the processor, and of v1, v2, … the lower one less.
 */
static int rank(const struct choice *choice)
{
    const char *variant = choice->variant;

    if (choice->descriptor.media != MEDIA_INDEX && choice->descriptor.media != MEDIA_MANIFEST)
        return 0;
    if (!choice->architecture)
        return 1; /* the configuration will tell */
    if (!image_is_for_host(choice->system, choice->architecture))
        return 0;
    if (!variant || !variant[0])
        return 9;
    return variant[0] == 'v' && variant[1] >= '1' && variant[1] <= '6' && !variant[2] ? '9' - variant[1]
                                                                                     : 2;
}

/* Of a layout with several images, "latest" is the one that goes without saying, as for docker. */
static bool wanted(const struct choice *choice, const struct reference *reference, bool several)
{
    const char *tag = reference ? reference->tag : NULL;

    if (!reference || (!tag && !several))
        return true;
    return choice->tag && strcmp(choice->tag, tag ? tag : "latest") == 0;
}

static int read_choices(const char *name, struct json_object *list, struct choice *choices,
                        struct error *error)
{
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (read_choice(name, json_object_array_get_idx(list, i), &choices[i], error) < 0)
            return -error->number;
    return 0;
}

static int choose(const char *name, const struct choice *choices, size_t count,
                  const struct reference *reference, struct descriptor *chosen,
                  struct error *error)
{
    struct tags tags = { .count = 0 };
    size_t untagged = 0;
    bool found = false;
    int best = 0;

    for (size_t i = 0; i < count; i++)
        if (choices[i].tag)
            tags_add(&tags, choices[i].tag);
        else
            untagged++;
    for (size_t i = 0; i < count; i++) {
        if (!wanted(&choices[i], reference, tags.count > 1 || (tags.count > 0 && untagged > 0)))
            continue;
        found = true;
        if (rank(&choices[i]) > best) {
            best = rank(&choices[i]);
            *chosen = choices[i].descriptor;
        }
    }
    if (best > 0)
        return 0;
    if (!found && reference)
        return reference_unknown(reference, &tags, error);
    return error_set(error, ENOENT, "%s: holds nothing for linux/%s, which this host needs; build "
                     "the image for it", name, image_architecture());
}

int index_choose(const char *name, struct json_object *root, const struct reference *reference,
                 struct descriptor *chosen, struct error *error)
{
    struct json_object *list;
    cleanup_free struct choice *choices = NULL;
    size_t count;

    if (document_list(name, root, "manifests", &list, error) < 0)
        return -error->number;
    count = list ? json_object_array_length(list) : 0;
    if (count == 0)
        return document_wrong(name, "manifests", "names none", error);
    choices = calloc(count, sizeof(*choices));
    if (!choices)
        return error_system(error, ENOMEM, "%s", name);
    if (read_choices(name, list, choices, error) < 0)
        return -error->number;
    return choose(name, choices, count, reference, chosen, error);
}
