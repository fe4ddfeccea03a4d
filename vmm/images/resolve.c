/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"
#include "vmm/job/disk_format.h"
#include "vmm/images/erofs_image.h"
#include "vmm/images/folder.h"
#include "vmm/base/options.h"

static const struct kind {
    const char *name;
    const char *form;
    int (*resolve)(struct resolution *resolution, const char *what, struct error *error);
} kinds[] = {
    { "oci", "oci:PATH[:TAG]", resolve_oci },
    { "docker-archive", "docker-archive:FILE[:TAG]", resolve_docker_archive },
    { "dir", "dir:PATH", resolve_folder },
    { "file", "file:FILE", resolve_file },
    { "disk", "disk:FILE", resolve_disk },
};

/* ---- the result ---- */

/* An object with empty lists and texts, or NULL. */
static struct json_object *empty_result(void)
{
    struct json_object *result = json_object_new_object();
    struct json_object *config = json_object_new_object();

    json_object_object_add(config, "entrypoint", json_object_new_array());
    json_object_object_add(config, "cmd", json_object_new_array());
    json_object_object_add(config, "env", json_object_new_array());
    json_object_object_add(config, "user", json_object_new_string(""));
    json_object_object_add(config, "working_dir", json_object_new_string(""));
    json_object_object_add(config, "stop_signal", json_object_new_string(""));
    json_object_object_add(config, "volumes", json_object_new_array());
    json_object_object_add(config, "health_check", json_object_new_boolean(false));
    json_object_object_add(result, "layers", json_object_new_array());
    json_object_object_add(result, "config", config);
    return result;
}

void resolution_set_config(struct resolution *resolution, struct json_object *config)
{
    json_object_object_add(resolution->result, "config", config);
}

static struct json_object *layers(const struct resolution *resolution)
{
    return json_object_object_get(resolution->result, "layers");
}

int resolution_add_layer(struct resolution *resolution, const char *path,
                         const struct digest *digest, const char *format, struct error *error)
{
    cleanup_free char *whole = realpath(path, NULL);
    struct json_object *layer = json_object_new_object();
    char text[DIGEST_TEXT];

    if (!whole) {
        json_object_put(layer);
        return error_system(error, errno, "%s", path);
    }
    json_object_object_add(layer, "path", json_object_new_string(whole));
    if (digest)
        json_object_object_add(layer, "digest", json_object_new_string(digest_text(digest, text)));
    json_object_object_add(layer, "format", json_object_new_string(format));
    json_object_array_add(layers(resolution), layer);
    return 0;
}

int resolution_add_image(struct resolution *resolution, const struct cache_entry *entry,
                         const struct digest *digest, struct error *error)
{
    cleanup_free char *path = cache_path(entry);

    if (!path)
        return error_system(error, ENOMEM, "the cache");
    return resolution_add_layer(resolution, path, digest, "erofs", error);
}

size_t resolution_layers(const struct resolution *resolution)
{
    return json_object_array_length(layers(resolution));
}

const char *resolution_path(const struct resolution *resolution, size_t layer)
{
    return json_object_get_string(json_object_object_get(
        json_object_array_get_idx(layers(resolution), layer), "path"));
}

void resolution_clear(struct resolution *resolution)
{
    json_object_object_add(resolution->result, "layers", json_object_new_array());
}

struct staging_limits resolution_limits(const struct resolution *resolution)
{
    return (struct staging_limits){ .image = resolution->limit,
                                    .room = cache_room(resolution->cache) };
}

void resolution_release(struct resolution *resolution)
{
    json_object_put(resolution->result);
    resolution->result = NULL;
}

/* ---- folders and disk images ---- */

int resolve_disk(struct resolution *resolution, const char *what, struct error *error)
{
    cleanup_fd int fd = open(what, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const char *format;
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return error_set(error, errno, "%s: %s; check the path", what, strerror(errno));
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return error_set(error, EINVAL, "%s: is no file; give a folder or a disk image", what);
    if (disk_format_detect(fd, what, &format, error) < 0)
        return -error->number;
    return resolution_add_layer(resolution, what, NULL, format, error);
}

/* Whether the folder is as it was; says what else if not. */
static int check_stamp(const struct resolution *resolution, const char *path,
                       const struct digest *stamp, struct error *error)
{
    struct folder again;
    struct digest found;
    int result = folder_open(&again, path, resolution->cache, error);

    if (result == 0)
        found = folder_stamp(&again);
    folder_close(&again);
    if (result == 0 && !digest_equal(stamp, &found))
        return error_set(error, EAGAIN, "%s: changed while it was read; try again when no "
                         "program writes there", path);
    return result;
}

static int write_folder(struct resolution *resolution, struct folder *folder,
                        const struct digest *stamp, const struct cache_entry *entry,
                        struct error *error)
{
    struct staging_limits limits = resolution_limits(resolution);
    struct erofs_source source = { folder->whole, folder->others, folder->other_count };
    struct error inner = ERROR_INIT;
    struct staging staging;
    int result = erofs_image_check(error);

    if (result < 0)
        return result;
    result = staging_begin(&staging, entry->parts, &limits, error);
    if (result == 0)
        result = folder_tell_files(folder, &staging, error);
    progress_begin(resolution->progress, staging.image, "reading %.60s", folder->path);
    if (result == 0) {
        result = erofs_image_make(&staging, &source, entry->fd, resolution->sandbox,
                                  stamp->bytes, resolution->progress, error);
        /* Files that go while mkfs.erofs reads are no fault of its own. */
        if (check_stamp(resolution, folder->path, stamp, &inner) < 0) {
            *error = inner;
            result = -error->number;
        } else if (result < 0 && file_tree_longest(&folder->tree)) {
            char path[FILE_TREE_PATH_MAX];

            file_node_path(file_tree_longest(&folder->tree), path, sizeof(path));
            result = erofs_image_blame(path, error);
        }
    }
    staging_end(&staging);
    return result;
}

static int folder_image(struct resolution *resolution, struct folder *folder, struct error *error)
{
    struct digest stamp = folder_stamp(folder);
    struct cache_name name = { "folder-", stamp, false };
    struct cache_entry entry;
    int result = cache_get(resolution->cache, &name, 1, &entry, error);

    if (result == 0 && entry.fd >= 0)
        result = write_folder(resolution, folder, &stamp, &entry, error);
    if (result == 0 && entry.fd >= 0)
        result = cache_keep(&entry, error);
    cache_drop(&entry);
    if (result < 0)
        return result;
    return resolution_add_image(resolution, &entry, &stamp, error);
}

int resolve_folder(struct resolution *resolution, const char *what, struct error *error)
{
    struct folder folder;
    int result = folder_open(&folder, what, resolution->cache, error);

    if (result == 0)
        result = folder_image(resolution, &folder, error);
    folder_close(&folder);
    return result;
}

/* ---- which kind ---- */

static const char *kind_name(const void *context, size_t index)
{
    return ((const struct kind *)context)[index].name;
}

static int unknown_kind(const char *spec, size_t length, struct error *error)
{
    char word[32];
    const char *nearest;

    snprintf(word, sizeof(word), "%.*s", (int)(length < 31 ? length : 31), spec);
    if (strcmp(word, "docker") == 0 || strcmp(word, "http") == 0 || strcmp(word, "https") == 0)
        return error_set(error, EINVAL, "%.200s: is in a registry, and Mote pulls nothing; give: skopeo copy "
                         "docker://IMAGE oci:FOLDER:TAG, then oci:FOLDER:TAG", spec);
    nearest = options_nearest(word, kind_name, kinds, ARRAY_LENGTH(kinds));
    if (spec[length] == ':' && nearest)
        return error_set(error, EINVAL, "%s: is no kind of image; did you mean %s:?", word,
                         nearest);
    return error_set(error, EINVAL, "%.200s: is no image's name; give oci:PATH[:TAG], "
                     "docker-archive:FILE[:TAG], dir:PATH, file:FILE or disk:FILE", spec);
}

int resolve(struct resolution *resolution, const char *spec, struct error *error)
{
    size_t length = strcspn(spec, ":");

    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (spec[length] != ':' || strlen(kinds[i].name) != length ||
            strncmp(spec, kinds[i].name, length) != 0)
            continue;
        if (spec[length + 1] == '\0')
            return error_set(error, EINVAL, "%s: names nothing; give %s", spec, kinds[i].form);
        if (strlen(spec) >= PATH_MAX)
            return error_set(error, ENAMETOOLONG, "%.60s...: is too long for a path; shorten it",
                             spec);
        resolution->result = empty_result();
        return kinds[i].resolve(resolution, spec + length + 1, error);
    }
    return unknown_kind(spec, length, error);
}
