/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OCI image layout ("Image Layout" of the specification): a folder with
 * index.json and blobs/sha256/HEX, as skopeo, umoci and buildah write it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/document.h"
#include "vmm/images/image_plan.h"
#include "vmm/images/layer_image.h"
#include "vmm/images/manifest.h"
#include "vmm/images/resolve.h"

#define NESTED_MAX 4 /* indexes within indexes */
#define PIECE (256u << 10)
#define NAME_SIZE 200

struct layout {
    struct reference reference;
    int fd; /* of the folder */
};

/* ---- blobs ---- */

/* A file of the layout, which is not the user's own: no way leads out of it. */
static int open_inside(int folder, const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));

    /* Before Linux 5.6; the path is of our own making, so only links could lead out. */
    if (fd < 0 && errno == ENOSYS)
        return openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    return (int)fd;
}

static int open_file(const struct layout *layout, const char *path, uint64_t *size,
                     struct error *error)
{
    cleanup_fd int fd = open_inside(layout->fd, path);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return error_set(error, errno, "%s: %s: %s; is the layout complete?",
                         layout->reference.path, path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, EINVAL, "%s: %s: is no file; build the image anew",
                         layout->reference.path, path);
    *size = (uint64_t)status.st_size;
    return steal_fd(&fd);
}

/* Opens the blob; its size is what the descriptor says. */
static int open_blob(const struct layout *layout, const struct descriptor *descriptor,
                     struct error *error)
{
    char path[32 + DIGEST_HEX], hex[DIGEST_HEX + 1];
    uint64_t size;
    cleanup_fd int fd = -1;

    snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(&descriptor->digest, hex));
    fd = open_file(layout, path, &size, error);
    if (fd < 0)
        return -error->number;
    if (size != descriptor->size)
        return error_set(error, EBADMSG, "%s: blob sha256:%s: is corrupt, it has %llu bytes instead "
                         "of %llu; fetch the image anew", layout->reference.path, hex,
                         (unsigned long long)size, (unsigned long long)descriptor->size);
    return steal_fd(&fd);
}

/* All of FD, at most DOCUMENT_MAX bytes; the caller frees it. */
static void *read_document(const struct layout *layout, int fd, const char *name, size_t *length,
                           struct error *error)
{
    cleanup_free char *text = malloc(DOCUMENT_MAX + 1);

    *length = 0;
    if (!text) {
        error_system(error, ENOMEM, "%s", layout->reference.path);
        return NULL;
    }
    for (;;) {
        ssize_t got = read(fd, text + *length, DOCUMENT_MAX + 1 - *length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error_system(error, errno, "%s: %s", layout->reference.path, name);
            return NULL;
        }
        if (got == 0)
            return steal_pointer(&text);
        *length += (size_t)got;
        if (*length > DOCUMENT_MAX) {
            error_set(error, EFBIG, "%s: %s: is larger than %u MiB; build the image anew",
                      layout->reference.path, name, DOCUMENT_MAX >> 20);
            return NULL;
        }
    }
}

/* The blob's text, its digest checked; the caller frees it. */
static void *read_blob(const struct layout *layout, const struct descriptor *descriptor,
                       size_t *length, struct error *error)
{
    char name[DIGEST_TEXT], found[DIGEST_TEXT];
    cleanup_fd int fd = open_blob(layout, descriptor, error);
    cleanup_free void *text = NULL;
    struct digest digest;

    if (fd < 0)
        return NULL;
    text = read_document(layout, fd, digest_text(&descriptor->digest, name), length, error);
    if (!text)
        return NULL;
    digest = digest_of(text, *length);
    if (!digest_equal(&digest, &descriptor->digest)) {
        error_set(error, EBADMSG, "%s: blob %s: is corrupt, its digest is %s; fetch the image anew",
                  layout->reference.path, name, digest_text(&digest, found));
        return NULL;
    }
    return steal_pointer(&text);
}

/* ---- from the index to the manifest ---- */

static struct json_object *read_index(const struct layout *layout, const char *name,
                                      struct error *error)
{
    cleanup_free void *text = NULL;
    uint64_t size;
    size_t length;
    cleanup_fd int fd = open_inside(layout->fd, "index.json");

    if (fd < 0) {
        error_set(error, errno, "%s: is no OCI image layout, its index.json: %s; check the path",
                  layout->reference.path, strerror(errno));
        return NULL;
    }
    cleanup_close(&fd);
    fd = open_file(layout, "index.json", &size, error);
    text = fd < 0 ? NULL : read_document(layout, fd, "index.json", &length, error);
    return text ? document_parse(name, text, length, json_type_object, error) : NULL;
}

/* "PATH: WHAT DIGEST", what messages about a blob's content begin with. */
static const char *blob_name(const struct layout *layout, const char *what,
                             const struct digest *digest, char name[NAME_SIZE])
{
    char text[DIGEST_TEXT];

    snprintf(name, NAME_SIZE, "%.80s: %s %s", layout->reference.path, what,
             digest_text(digest, text));
    return name;
}

static struct json_object *read_parsed(const struct layout *layout,
                                       const struct descriptor *descriptor, const char *name,
                                       struct error *error)
{
    size_t length;
    cleanup_free void *text = read_blob(layout, descriptor, &length, error);

    return text ? document_parse(name, text, length, json_type_object, error) : NULL;
}

/* Follows the indexes below DESCRIPTOR; *ROOT, the manifest's document, is the caller's. */
static int find_manifest(const struct layout *layout, struct descriptor *descriptor, char *name,
                         struct json_object **root, struct error *error)
{
    for (int depth = 0; depth < NESTED_MAX; depth++) {
        enum media media;
        int result;

        blob_name(layout, "manifest", &descriptor->digest, name);
        *root = read_parsed(layout, descriptor, name, error);
        if (!*root)
            return -error->number;
        media = manifest_media(*root);
        if (media == MEDIA_MANIFEST)
            return 0;
        result = media == MEDIA_INDEX ? index_choose(name, *root, NULL, descriptor, error)
                 : error_set(error, EINVAL, "%s: %s; convert it with skopeo copy --format oci", name,
                             media == MEDIA_SCHEMA1 ? "is of Docker's schema 1"
                                                    : "is no image of a container");
        json_object_put(*root);
        *root = NULL;
        if (result < 0)
            return result;
    }
    return error_set(error, ELOOP, "%s: is below more than %d indexes; build the image anew", name,
                     NESTED_MAX);
}

static int read_manifest(const struct layout *layout, struct manifest *manifest,
                         struct error *error)
{
    char name[NAME_SIZE];
    struct descriptor descriptor;
    struct json_object *root;
    int result;

    snprintf(name, sizeof(name), "%.80s: index.json", layout->reference.path);
    root = read_index(layout, name, error);
    if (!root)
        return -error->number;
    result = index_choose(name, root, &layout->reference, &descriptor, error);
    json_object_put(root);
    if (result < 0 || find_manifest(layout, &descriptor, name, &root, error) < 0)
        return -error->number;
    result = manifest_read(manifest, name, root, error);
    json_object_put(root);
    return result;
}

/* ---- layers ---- */

struct blob_reader {
    const struct layout *layout;
    struct descriptor descriptor;
    int fd;
    uint8_t *piece;
};

static ssize_t read_piece(void *context, const void **bytes, struct error *error)
{
    struct blob_reader *reader = context;
    ssize_t got;

    do
        got = read(reader->fd, reader->piece, PIECE);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return error_system(error, errno, "the blob cannot be read");
    *bytes = reader->piece;
    return got;
}

static void close_layer(void *context)
{
    struct blob_reader *reader = context;

    cleanup_close(&reader->fd);
    free(reader->piece);
}

static int open_layer(void *context, struct byte_source *source, struct error *error)
{
    struct blob_reader *reader = context;

    *source = (struct byte_source){ read_piece, reader };
    reader->fd = open_blob(reader->layout, &reader->descriptor, error);
    reader->piece = reader->fd < 0 ? NULL : malloc(PIECE);
    if (reader->piece)
        return 0;
    if (reader->fd >= 0)
        error_system(error, ENOMEM, "the layer");
    close_layer(reader);
    return -error->number;
}

static int resolve_layers(struct resolution *resolution, const struct layout *layout,
                          const struct image_plan *plan, struct error *error)
{
    cleanup_free struct blob_reader *readers = calloc(plan->count, sizeof(*readers));
    cleanup_free struct layer_input *inputs = calloc(plan->count, sizeof(*inputs));

    if (!readers || !inputs)
        return error_system(error, ENOMEM, "%s", layout->reference.path);
    for (size_t i = 0; i < plan->count; i++) {
        readers[i] = (struct blob_reader){
            .layout = layout,
            .descriptor = { .digest = plan->layers[i].packed, .size = plan->layers[i].size },
            .fd = -1,
        };
        inputs[i] = plan_input(plan, i);
        inputs[i].open = open_layer;
        inputs[i].close = close_layer;
        inputs[i].context = &readers[i];
    }
    return layer_images(resolution, inputs, plan->count, error);
}

/* ---- the plan, in a process of its own ---- */

static int check_count(const char *name, const struct image_config *config, size_t count,
                       struct error *error)
{
    if (config->layers == count)
        return 0;
    return error_set(error, EINVAL, "%s: tells of %zu layers, the manifest of %zu; build the image "
                     "anew", name, config->layers, count);
}

static int plan_layers(const struct layout *layout, const struct manifest *manifest,
                       struct image_plan *plan, struct error *error)
{
    char name[NAME_SIZE];
    size_t length;
    cleanup_free void *text = read_blob(layout, &manifest->config, &length, error);
    cleanup_free struct image_config *config = calloc(1, sizeof(*config));

    if (!text)
        return -error->number;
    if (!config)
        return error_system(error, ENOMEM, "%s", layout->reference.path);
    blob_name(layout, "config", &manifest->config.digest, name);
    if (image_config_read(config, name, text, length, error) < 0)
        return -error->number;
    plan->run = config->run;
    if (check_count(name, config, manifest->count, error) < 0)
        return -error->number;
    plan->count = manifest->count;
    for (size_t i = 0; i < plan->count; i++)
        plan->layers[i] = (struct plan_layer){ .diff_id = config->diff_ids[i],
                                               .packed = manifest->layers[i].digest,
                                               .size = manifest->layers[i].size,
                                               .has_packed = true };
    return 0;
}

static int read_plan(void *context, struct image_plan *plan, struct error *error)
{
    const struct layout *layout = context;
    cleanup_free struct manifest *manifest = malloc(sizeof(*manifest));

    if (!manifest)
        return error_system(error, ENOMEM, "%s", layout->reference.path);
    if (read_manifest(layout, manifest, error) < 0)
        return -error->number;
    return plan_layers(layout, manifest, plan, error);
}

/* ---- the whole ---- */

static int resolve_planned(struct resolution *resolution, struct layout *layout,
                           struct image_plan *plan, struct error *error)
{
    if (plan_make(plan, resolution, read_plan, layout, error) < 0)
        return -error->number;
    resolution_set_config(resolution, json_object_get(plan->run));
    return resolve_layers(resolution, layout, plan, error);
}

static int resolve_in(struct resolution *resolution, struct layout *layout, struct error *error)
{
    cleanup_free struct image_plan *plan = calloc(1, sizeof(*plan));
    int result;

    if (!plan)
        return error_system(error, ENOMEM, "%s", layout->reference.path);
    layout->fd = open(layout->reference.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (layout->fd < 0)
        return error_set(error, errno, "%s: %s; an OCI image layout is a folder, a file of docker "
                         "save is docker-archive:FILE", layout->reference.path, strerror(errno));
    result = resolve_planned(resolution, layout, plan, error);
    plan_release(plan);
    return result;
}

int resolve_oci(struct resolution *resolution, const char *what, struct error *error)
{
    struct layout layout = { .fd = -1 };
    int result = reference_read(&layout.reference, what, error);

    if (result == 0)
        result = resolve_in(resolution, &layout, error);
    cleanup_close(&layout.fd);
    free(layout.reference.path);
    return result;
}
