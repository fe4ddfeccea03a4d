/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/image_resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json_tokener.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/job/disk_format.h"
#include "vmm/base/helper_program.h"

/* Its answer: a hundred paths, and what a job's environment may have. */
#define ANSWER_MAX (2u << 20)

static int not_understood(const char *spec, struct error *error)
{
    return error_set(error, EPROTO, "%s: mote-image gave no answer that is understood; install Mote "
                     "anew", spec);
}

/* ---- the program ---------------------------------------------------------- */

static int start(pid_t *process, const struct image_program *program, const char *spec, int output,
                 struct error *error)
{
    const char *const quietly[] = { "resolve", spec, NULL };
    const char *const aloud[] = { "resolve", "--progress", spec, NULL };

    return image_program_start(process, program, program->quiet ? quietly : aloud, -1, output,
                               error);
}

/* All that comes, with a NUL; -E2BIG for more than ANSWER_MAX. */
static int read_all(int fd, char **text)
{
    cleanup_free char *bytes = malloc(ANSWER_MAX + 1);
    size_t length = 0;

    if (!bytes)
        return -ENOMEM;
    for (;;) {
        ssize_t count = read(fd, bytes + length, ANSWER_MAX + 1 - length);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        if (count == 0)
            break;
        length += (size_t)count;
        if (length > ANSWER_MAX)
            return -E2BIG;
    }
    bytes[length] = '\0';
    *text = steal_pointer(&bytes);
    return 0;
}

int image_resolve(const char *option, const char *spec, const struct image_program *program,
                  struct json_object **answer, struct error *error)
{
    cleanup_fd int ours = -1, theirs = -1;
    cleanup_free char *text = NULL;
    int ends[2], result, status;
    pid_t process;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_system(error, errno, "--%s", option);
    ours = ends[0];
    theirs = ends[1];
    result = start(&process, program, spec, theirs, error);
    if (result < 0)
        return result;
    cleanup_close(&theirs);
    theirs = -1;
    result = read_all(ours, &text);
    /* Should it still write, it gets SIGPIPE. */
    cleanup_close(&ours);
    ours = -1;
    status = helper_program_wait(process);
    if (status > 0) {
        *error = (struct error){ .number = EINVAL }; /* it said why */
        return -EINVAL;
    }
    if (result < 0 || status < 0)
        return not_understood(spec, error);
    *answer = json_tokener_parse(text);
    return *answer ? 0 : not_understood(spec, error);
}

/* ---- its answer ----------------------------------------------------------- */

/* A member's text, or NULL. */
static const char *text_of(struct json_object *object, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(object, name, &value) ||
        !json_object_is_type(value, json_type_string))
        return NULL;
    return json_object_get_string(value);
}

/* As mote-image finds its cache; NULL where there is none. */
static char *images_folder(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    cleanup_free char *path = NULL;
    int length = -1;

    if (base && base[0] == '/')
        length = asprintf(&path, "%s/mote/images", base);
    else if (home && home[0] == '/')
        length = asprintf(&path, "%s/.cache/mote/images", home);
    if (length < 0)
        path = NULL; /* undefined after a failure */
    return path ? realpath(path, NULL) : NULL;
}

/*
 * Whether PATH may be an answer to SPEC: the disk that SPEC names, or a file of the
 * cache.  An archive that broke into mote-image, which is jailed for that, would
 * else have any file of the user's as its disk.
 */
static bool is_expected(const char *path, const char *spec)
{
    const char *slash = strrchr(path, '/');
    cleanup_free char *own = NULL;

    if (strncmp(spec, "disk:", 5) == 0) {
        own = realpath(spec + 5, NULL);
        return own && strcmp(path, own) == 0;
    }
    own = images_folder();
    return own && slash && strlen(own) == (size_t)(slash - path) &&
           strncmp(path, own, strlen(own)) == 0;
}

static int open_layer(struct json_object *layer, const char *option, const char *spec,
                      struct rootfs_disk *disk, struct error *error)
{
    const char *path = text_of(layer, "path"), *format = text_of(layer, "format");
    cleanup_fd int fd = -1;

    if (!path || !format || !disk_format_named(format) || !is_expected(path, spec))
        return not_understood(spec, error);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set(error, errno, "--%s: %s: %s; try again, as the cache may have been "
                         "cleaned", option, path, strerror(errno));
    disk->path = strdup(path);
    if (!disk->path)
        return error_system(error, ENOMEM, "--%s", option);
    disk->file_system = disk_format_named(format);
    disk->fd = steal_fd(&fd);
    return 0;
}

int image_open_layers(struct json_object *answer, const char *option, const char *spec,
                      struct rootfs_disk *disks, size_t capacity, struct error *error)
{
    struct json_object *layers;
    size_t count;

    if (!json_object_object_get_ex(answer, "layers", &layers) ||
        !json_object_is_type(layers, json_type_array) ||
        (count = json_object_array_length(layers)) == 0)
        return not_understood(spec, error);
    if (count > capacity)
        return error_set(error, E2BIG, "--%s %s: has %zu layers, and a VM room for %zu; squash "
                         "the image", option, spec, count, capacity);
    for (size_t i = 0; i < count; i++) {
        int result = open_layer(json_object_array_get_idx(layers, i), option, spec, &disks[i],
                                error);

        if (result == 0)
            continue;
        rootfs_release_disks(disks, i);
        return result;
    }
    return (int)count;
}

static int read_list(struct json_object *config, const char *name, struct text_list *list,
                     struct error *error)
{
    struct json_object *values;
    int result = 0;

    if (!json_object_object_get_ex(config, name, &values) ||
        !json_object_is_type(values, json_type_array))
        return 0;
    for (size_t i = 0; result == 0 && i < json_object_array_length(values); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(values, i));

        result = text ? text_list_add(list, text, error) : not_understood(name, error); /* null */
    }
    return result;
}

static int read_text(struct json_object *config, const char *name, char **text,
                     struct error *error)
{
    const char *value = text_of(config, name);

    if (!value)
        return 0;
    *text = strdup(value);
    return *text ? 0 : error_system(error, ENOMEM, "the image's configuration");
}

int image_read_config(struct json_object *answer, struct image_config *config,
                      struct error *error)
{
    struct json_object *object, *check;
    int result;

    if (!json_object_object_get_ex(answer, "config", &object))
        return 0;
    config->health_check = json_object_object_get_ex(object, "health_check", &check) &&
                           json_object_get_boolean(check);
    if ((result = read_list(object, "entrypoint", &config->entrypoint, error)) < 0 ||
        (result = read_list(object, "cmd", &config->command, error)) < 0 ||
        (result = read_list(object, "env", &config->environment, error)) < 0 ||
        (result = read_text(object, "user", &config->user, error)) < 0 ||
        (result = read_list(object, "volumes", &config->volumes, error)) < 0 ||
        (result = read_text(object, "stop_signal", &config->stop_signal, error)) < 0 ||
        (result = read_text(object, "working_dir", &config->work_directory, error)) < 0)
        return result;
    return 0;
}
