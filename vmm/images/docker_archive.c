/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive that `docker save` writes, and skopeo and podman as
 * docker-archive: a tar with manifest.json, a list of images, each with the
 * names of its configuration and layers in the archive.
 *
 * The archive is read once for its index, then again from where each file that
 * is needed lies.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/images/document.h"
#include "vmm/images/entry_path.h"
#include "vmm/images/image_config.h"
#include "vmm/images/layer_image.h"
#include "vmm/images/reference.h"
#include "vmm/images/resolve.h"

#define FILES_MAX 8192u
#define LINKS_MAX 8 /* a layer that is a link to another's */
#define PIECE (256u << 10)
#define NAME_SIZE 200

/* A file of the archive. */
struct member {
    char *name;
    char *link;      /* where a link leads, NULL for a file */
    la_int64_t at;   /* where its header begins, in bytes */
    uint64_t size;
};

struct saved {
    struct reference reference;
    int fd;
    struct member *members;
    size_t count;
};

/* ---- the index ---- */

/* "./a//b" as "a/b": the form that names are compared in.  NULL when it climbs or memory is short. */
static char *plain_name(const char *path)
{
    struct error error = ERROR_INIT;
    char name[FILE_TREE_NAME_MAX + 1], *plain;
    size_t at = 0;

    if (entry_path_check(path, &error) < 0)
        return NULL;
    plain = calloc(1, strlen(path) + 2);
    while (plain && entry_path_next(&path, name))
        at += (size_t)sprintf(plain + at, "%s%s", at ? "/" : "", name);
    return plain;
}

/* A symbolic link's target, seen from the archive's root; docker wrote "../ID/layer.tar". */
static char *link_target(const char *name, const char *target)
{
    const char *slash = strrchr(name, '/');
    size_t folder = slash ? (size_t)(slash - name) : 0;
    cleanup_free char *whole = NULL;

    while (strncmp(target, "../", 3) == 0) {
        if (folder == 0)
            return NULL;
        while (folder > 0 && name[--folder] != '/')
            ;
        target += 3;
    }
    if (asprintf(&whole, "%.*s%s%s", (int)folder, name, folder ? "/" : "", target) < 0) {
        whole = NULL;
        return NULL;
    }
    return plain_name(whole);
}

static int add_member(struct saved *saved, struct archive *tar, struct archive_entry *entry,
                      struct error *error)
{
    const char *path = archive_entry_pathname(entry), *hard = archive_entry_hardlink(entry);
    mode_t type = archive_entry_filetype(entry);
    struct member *member;

    if (!path || (type != AE_IFREG && type != AE_IFLNK && !hard))
        return 0;
    if (saved->count == FILES_MAX)
        return error_set(error, E2BIG, "%s: holds more than %u files; save fewer images at once",
                         saved->reference.path, FILES_MAX);
    member = &saved->members[saved->count];
    *member = (struct member){ .name = plain_name(path) };
    if (!member->name)
        return error_set(error, EINVAL, "%s: entry %s: climbs out, or its name is too long; save "
                         "the image anew", saved->reference.path, path);
    saved->count++;
    member->at = archive_read_header_position(tar);
    member->size = (uint64_t)archive_entry_size(entry);
    if (hard)
        member->link = plain_name(hard);
    else if (type == AE_IFLNK && archive_entry_symlink(entry))
        member->link = link_target(member->name, archive_entry_symlink(entry));
    return (hard || type == AE_IFLNK) && !member->link
               ? error_set(error, EINVAL, "%s: entry %s: links out of the archive; save the image "
                           "anew", saved->reference.path, path)
               : 0;
}

static int damaged(const struct saved *saved, struct archive *tar, struct error *error)
{
    return error_set(error, EIO, "%s: cannot be read as a tar archive (%s); save the image anew",
                     saved->reference.path,
                     archive_error_string(tar) ? archive_error_string(tar) : "it is none");
}

/* A reader that begins at AT. */
static struct archive *open_tar(const struct saved *saved, la_int64_t at)
{
    struct archive *tar = archive_read_new();

    if (!tar)
        return NULL;
    archive_read_support_format_tar(tar);
    if (lseek(saved->fd, at, SEEK_SET) < 0 ||
        archive_read_open_fd(tar, saved->fd, PIECE) != ARCHIVE_OK) {
        archive_read_free(tar);
        return NULL;
    }
    return tar;
}

static int read_members(struct saved *saved, struct archive *tar, struct error *error)
{
    struct archive_entry *entry;
    int state;

    while ((state = archive_read_next_header(tar, &entry)) != ARCHIVE_EOF) {
        if (state < ARCHIVE_WARN && state != ARCHIVE_RETRY)
            return damaged(saved, tar, error);
        if (state != ARCHIVE_RETRY && add_member(saved, tar, entry, error) < 0)
            return -error->number;
    }
    return 0;
}

static int read_archive(struct saved *saved, struct error *error)
{
    struct archive *tar = open_tar(saved, 0);
    int result;

    saved->members = calloc(FILES_MAX, sizeof(*saved->members));
    if (!tar || !saved->members) {
        if (tar)
            archive_read_free(tar);
        return error_set(error, EINVAL, "%s: is no tar archive as docker save writes it; check the "
                         "path", saved->reference.path);
    }
    result = read_members(saved, tar, error);
    archive_read_free(tar);
    return result;
}

/* The file of that NAME, through links; the last of that name counts, as for tar. */
static const struct member *find(const struct saved *saved, const char *name, struct error *error)
{
    const char *wanted = name;

    for (int links = 0; links < LINKS_MAX; links++) {
        const struct member *found = NULL;

        for (size_t i = 0; i < saved->count; i++)
            if (strcmp(saved->members[i].name, wanted) == 0)
                found = &saved->members[i];
        if (!found)
            break;
        if (!found->link)
            return found;
        wanted = found->link;
    }
    error_set(error, ENOENT, "%s: holds no file %s; save the image anew", saved->reference.path,
              name);
    return NULL;
}

/* ---- a file of it ---- */

static struct archive *open_member(const struct saved *saved, const struct member *member,
                                   struct error *error)
{
    struct archive *tar = open_tar(saved, member->at);
    struct archive_entry *entry;

    if (tar && archive_read_next_header(tar, &entry) >= ARCHIVE_WARN)
        return tar;
    if (tar)
        archive_read_free(tar);
    error_set(error, EIO, "%s: %s: cannot be read; save the image anew", saved->reference.path,
              member->name);
    return NULL;
}

/* All of MEMBER; the caller frees it. */
static void *read_member(const struct saved *saved, const char *name, size_t *length,
                         struct error *error)
{
    const struct member *member = find(saved, name, error);
    cleanup_free void *text = NULL;
    struct archive *tar;
    la_ssize_t got;

    if (!member)
        return NULL;
    if (member->size > DOCUMENT_MAX) {
        error_set(error, EFBIG, "%s: %s: is larger than %u MiB; save the image anew",
                  saved->reference.path, name, DOCUMENT_MAX >> 20);
        return NULL;
    }
    text = malloc(member->size + 1);
    tar = text ? open_member(saved, member, error) : NULL;
    if (!text)
        error_system(error, ENOMEM, "%s", name);
    if (!tar)
        return NULL;
    got = archive_read_data(tar, text, member->size);
    if (got != (la_ssize_t)member->size)
        damaged(saved, tar, error);
    archive_read_free(tar);
    if (got != (la_ssize_t)member->size)
        return NULL;
    *length = member->size;
    return steal_pointer(&text);
}

/* ---- layers ---- */

struct member_reader {
    const struct saved *saved;
    const struct member *member;
    struct archive *tar;
    uint8_t *piece;
};

static ssize_t read_piece(void *context, const void **bytes, struct error *error)
{
    struct member_reader *reader = context;
    la_ssize_t got = archive_read_data(reader->tar, reader->piece, PIECE);

    if (got < 0)
        return damaged(reader->saved, reader->tar, error);
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
    reader->tar = open_member(reader->saved, reader->member, error);
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

static int resolve_layer(struct resolution *resolution, const struct saved *saved,
                         const struct image_config *config, size_t index, const char *name,
                         struct error *error)
{
    struct member_reader reader = { saved, find(saved, name, error), NULL, NULL };
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
static int check_config_digest(const struct saved *saved, const char *name, const void *text,
                               size_t length, struct error *error)
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

static int read_config(const struct saved *saved, const char *file, struct image_config *config,
                       struct error *error)
{
    size_t length;
    cleanup_free void *text = read_member(saved, file, &length, error);
    char name[NAME_SIZE];

    if (!text || check_config_digest(saved, file, text, length, error) < 0)
        return -error->number;
    snprintf(name, sizeof(name), "%.80s: %.100s", saved->reference.path, file);
    return image_config_read(config, name, text, length, error);
}

static int resolve_image(struct resolution *resolution, const struct saved *saved,
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
static int has_tag(const struct saved *saved, struct json_object *image, struct tags *tags,
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

static int choose(const struct saved *saved, struct json_object *images,
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

static int resolve_in(struct resolution *resolution, struct saved *saved, struct error *error)
{
    cleanup_free void *text = NULL;
    struct json_object *images, *image;
    struct stat status;
    size_t length;
    int result;

    saved->fd = open(saved->reference.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (saved->fd < 0 || fstat(saved->fd, &status) < 0)
        return error_set(error, errno, "%s: %s; check the path", saved->reference.path,
                         strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, EINVAL, "%s: is no file of docker save; a folder may be "
                         "oci:PATH", saved->reference.path);
    if (read_archive(saved, error) < 0)
        return -error->number;
    text = read_member(saved, "manifest.json", &length, error);
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
    struct saved saved = { .fd = -1 };
    int result = reference_read(&saved.reference, what, error);

    if (result == 0)
        result = resolve_in(resolution, &saved, error);
    for (size_t i = 0; i < saved.count; i++) {
        free(saved.members[i].name);
        free(saved.members[i].link);
    }
    free(saved.members);
    cleanup_close(&saved.fd);
    free(saved.reference.path);
    return result;
}
