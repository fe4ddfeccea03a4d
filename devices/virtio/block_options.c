/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "devices/backend/disk_overlay.h"
#include "vmm/base/settings.h"
#include "devices/virtio/block_internal.h"
#include "vmm/base/options.h"

/* More than a guest has CPUs for, and few enough to keep a device small. */
#define BLOCK_QUEUES_MAX 16

static const char *const known_keys[] = {
    "ro", "fd", "direct", "overlay", "serial", "engine", "queues", "block-size", RATE_LIMIT_KEYS, NULL,
};
static const char *const engine_names[] = {
    [DISK_ENGINE_URING] = "uring", [DISK_ENGINE_SYNC] = "sync", NULL,
};

static int parse_serial(struct settings *settings, struct block_options *options,
                        struct error *error)
{
    const char *serial = "";
    int result = settings_text(settings, "serial", &serial, error);

    if (result < 0)
        return result;
    if (strlen(serial) > BLOCK_SERIAL_SIZE)
        return error_set(error, EINVAL, "--disk: serial=%s is too long; give up to %d characters",
                         serial, BLOCK_SERIAL_SIZE);
    for (const char *at = serial; *at; at++)
        if (*at < ' ' || *at > '~')
            return error_set(error, EINVAL, "--disk: serial=%s has a character that is not plain "
                             "ASCII; leave it out", serial);
    strcpy(options->serial, serial);
    return 0;
}

static int parse_block_size(struct settings *settings, struct block_options *options,
                            struct error *error)
{
    const char *text = NULL;
    int result = settings_text(settings, "block-size", &text, error);

    if (result < 0 || !text)
        return result;
    if (strcmp(text, "512") == 0)
        options->block_size = 512;
    else if (strcmp(text, "4096") == 0)
        options->block_size = 4096;
    else
        return error_set(error, EINVAL, "--disk: block-size=%s cannot be had; give 512 or 4096",
                         text);
    return 0;
}

static int parse_engine(struct settings *settings, struct block_options *options,
                        struct error *error)
{
    const char *text = NULL;
    unsigned int engine;
    int result = settings_text(settings, "engine", &text, error);

    if (result < 0 || !text)
        return result;
    result = options_choice("disk ...,engine", text, engine_names, &engine, error);
    if (result == 0)
        options->engine = (enum disk_engine_kind)engine;
    return result;
}

/* fd=N: the disk is open already, and PATH only its name. */
static int parse_descriptor(struct settings *settings, struct block_options *options,
                            struct error *error)
{
    uint64_t fd = UINT64_MAX;
    int result = settings_number(settings, "fd", 0, INT_MAX, &fd, error);

    if (result < 0 || fd == UINT64_MAX)
        return result;
    if (options->direct)
        return error_set(error, EINVAL, "--disk: 'direct' and fd= exclude each other; open the "
                         "descriptor with O_DIRECT or leave out 'direct'");
    options->opened = true;
    options->fd = (int)fd;
    return 0;
}

/* overlay=PATH or overlay=tmp: the disk itself stays as it is. */
static int parse_overlay(struct settings *settings, struct block_options *options,
                         struct error *error)
{
    const char *path = NULL;
    int result = settings_text(settings, "overlay", &path, error);

    if (result < 0 || !path)
        return result;
    if (options->read_only || options->direct)
        return error_set(error, EINVAL, "--disk: overlay= and '%s' exclude each other; leave one "
                         "out", options->read_only ? "ro" : "direct");
    options->overlay = strdup(path);
    return options->overlay ? 0 : error_system(error, ENOMEM, "--disk");
}

static int read_options(void *target, struct settings *settings, struct error *error)
{
    struct block_options *options = target;
    const char *path;
    uint64_t queues = 1;
    int result;

    if ((result = settings_main(settings, "PATH", &path, error)) < 0 ||
        (result = settings_flag(settings, "ro", &options->read_only, error)) < 0 ||
        (result = settings_flag(settings, "direct", &options->direct, error)) < 0 ||
        (result = parse_descriptor(settings, options, error)) < 0 ||
        (result = parse_overlay(settings, options, error)) < 0 ||
        (result = parse_serial(settings, options, error)) < 0 ||
        (result = parse_engine(settings, options, error)) < 0 ||
        (result = settings_number(settings, "queues", 1, BLOCK_QUEUES_MAX, &queues, error)) < 0 ||
        (result = parse_block_size(settings, options, error)) < 0 ||
        (result = rate_limit_parse(settings, "", &options->rate, error)) < 0 ||
        (result = settings_finish(settings, known_keys, error)) < 0)
        return result;
    options->queues = (uint16_t)queues;
    options->path = strdup(path);
    return options->path ? 0 : error_system(error, ENOMEM, "--disk");
}

int block_parse(const char *text, void **options, struct error *error)
{
    static const struct settings_reader reader = {
        .option = "disk", .size = sizeof(struct block_options), .read = read_options,
        .release = block_release,
    };

    return settings_read(&reader, text, options, error);
}

/* A disk that is only read is everybody's; on top of another each writes to its own. */
int block_for_clone(struct settings *settings, const char *name, char **copy, struct error *error)
{
    const char *path, *overlay = NULL;
    bool read_only = false, direct = false;
    int result;

    if (!name)
        return 0;
    if ((result = settings_main(settings, "PATH", &path, error)) < 0 ||
        (result = settings_flag(settings, "ro", &read_only, error)) < 0 ||
        (result = settings_flag(settings, "direct", &direct, error)) < 0 ||
        (result = settings_text(settings, "overlay", &overlay, error)) < 0)
        return result;
    if (settings_take(settings, "fd"))
        return error_set(error, EINVAL, "--disk %s: fd= cannot be had by several VMs; give --disk "
                         "with the image's path", path);
    if (overlay && strcmp(overlay, DISK_OVERLAY_TEMPORARY) == 0)
        return error_set(error, EINVAL, "--disk %s: overlay=tmp cannot be given to clones: a saved VM's is gone "
                         "with it, and each gets one of its own; give --disk %s as the saved VM left it",
                         path, path);
    if (overlay)
        return error_set(error, EINVAL, "--disk %s: what the saved VM wrote is in its overlay (%s), "
                         "which clones cannot share; give --disk %s,overlay=FILE%%d, each a copy of "
                         "that", path, overlay, path);
    return read_only ? 0 : settings_again(settings, path, "overlay=tmp", copy, error);
}

void block_release(void *options)
{
    struct block_options *block = options;

    free(block->path);
    free(block->overlay);
    free(block);
}

int block_conflict(const void *options, const void *other, struct error *error)
{
    const struct block_options *one = options, *two = other;
    const char *path = one->path, *first = two->path;

    if (one->overlay && two->overlay) {
        if (strcmp(one->overlay, DISK_OVERLAY_TEMPORARY) == 0 || !disk_file_same(one->overlay, two->overlay))
            return 0; /* each on its own overlay: the image is only read */
        return error_set(error, EINVAL, "disk %s: overlay %s is given twice; give each disk its "
                         "own", path, one->overlay);
    }
    /* One open file has one report of lost writes, and each disk needs its own. */
    if (one->opened && two->opened && one->fd == two->fd && !(one->read_only && two->read_only))
        return error_set(error, EINVAL, "disk %s: descriptor %d is given twice; open the file for each "
                         "disk", path, one->fd);
    if (one->opened || two->opened || !disk_file_same(path, first))
        return 0;
    if (strcmp(path, first) == 0)
        return error_set(error, EINVAL, "disk %s: is given twice; give it once", path);
    return error_set(error, EINVAL, "disk %s: is the same as %s; give it once", path, first);
}
