/* SPDX-License-Identifier: Apache-2.0 */
/* --disk PATH[,…] */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/host_path.h"
#include "vmm/config/device.h"
#include "vmm/config/rate.h"
#include "vmm/config/settings.h"

static const char *const engine_names[] = {
    [DISK_ENGINE_URING] = "uring", [DISK_ENGINE_SYNC] = "sync", NULL,
};

#define FIELD(member) SCHEMA_FIELD(struct block_options, member)

static const struct schema_row rows[] = {
    { "path", SCHEMA_TEXT, FIELD(path), .is_not_for_settings = true },
    { "fd", SCHEMA_DESCRIPTOR, FIELD(fd) },
    { "ro", SCHEMA_FLAG, FIELD(read_only) },
    { "direct", SCHEMA_FLAG, FIELD(direct) },
    { "overlay", SCHEMA_TEXT, FIELD(overlay) },
    { "serial", SCHEMA_WORD, FIELD(serial) },
    { "engine", SCHEMA_CHOICE, FIELD(engine), .choices = engine_names },
    { "queues", SCHEMA_NUMBER, FIELD(queues), 1, BLOCK_QUEUES_MAX },
    { "block-size", SCHEMA_NUMBER, FIELD(block_size), 0, UINT32_MAX, .is_not_for_settings = true },
    RATE_ROW("rate", struct block_options, rate),
};
static const struct block_options defaults = { .fd = -1, .queues = 1 };
static const struct schema schema = { rows, ARRAY_LENGTH(rows), sizeof(defaults), &defaults };

static int read_block_size(struct settings *settings, uint32_t *size, struct error *error)
{
    const char *text = NULL;
    int result = settings_text(settings, "block-size", &text, error);

    if (result < 0 || !text)
        return result;
    *size = strcmp(text, "512") == 0 ? 512 : strcmp(text, "4096") == 0 ? 4096 : 0;
    return *size ? 0 : error_set(error, EINVAL, "--disk: block-size=%s cannot be had; give 512 or 4096",
                                 text);
}

static int read_disk(struct device_config *device, struct settings *settings,
                     struct config_pool *pool, struct error *error)
{
    struct block_options *disk = &device->disk;
    const char *path;
    int result = settings_main(settings, "PATH", &path, error);

    if (result == 0)
        result = read_block_size(settings, &disk->block_size, error);
    if (result == 0)
        result = rate_from_settings(settings, "", &disk->rate, error);
    if (result < 0)
        return result;
    disk->path = config_pool_text(pool, path);
    return disk->path ? 0 : error_system(error, ENOMEM, "--disk");
}

static int validate_disk(const struct device_config *device, struct error *error)
{
    const struct block_options *disk = &device->disk;

    if (!disk->path || !disk->path[0])
        return error_set(error, EINVAL, "--disk: the PATH is missing; give --disk PATH");
    if (disk->direct && disk->fd >= 0)
        return error_set(error, EINVAL, "--disk: 'direct' and fd= exclude each other; open the "
                         "descriptor with O_DIRECT or leave out 'direct'");
    if (disk->overlay && !disk->overlay[0])
        return error_set(error, EINVAL, "--disk: the overlay has no path; give overlay=PATH or tmp");
    if (disk->overlay && (disk->read_only || disk->direct))
        return error_set(error, EINVAL, "--disk: overlay= and '%s' exclude each other; leave one "
                         "out", disk->read_only ? "ro" : "direct");
    for (const char *at = disk->serial; *at; at++)
        if (*at < ' ' || *at > '~')
            return error_set(error, EINVAL, "--disk: serial=%s has a character that is not plain "
                             "ASCII; leave it out", disk->serial);
    if (disk->block_size != 0 && disk->block_size != 512 && disk->block_size != 4096)
        return error_set(error, EINVAL, "--disk: block-size=%u cannot be had; give 512 or 4096",
                         disk->block_size);
    return rate_validate("disk", &disk->rate, error);
}

static bool is_temporary(const struct block_options *disk)
{
    return strcmp(disk->overlay, DISK_OVERLAY_TEMPORARY) == 0;
}

static int conflict_of_disks(const struct device_config *device, const struct device_config *other,
                             struct error *error)
{
    const struct block_options *one = &device->disk, *two = &other->disk;

    if (one->overlay && two->overlay) {
        if (is_temporary(one) || !host_path_is_same(one->overlay, two->overlay))
            return 0; /* each on its own overlay: the image is only read */
        return error_set(error, EINVAL, "disk %s: overlay %s is given twice; give each disk its "
                         "own", one->path, one->overlay);
    }
    /* One open file has one report of lost writes, and each disk needs its own. */
    if (one->fd >= 0 && one->fd == two->fd && !(one->read_only && two->read_only))
        return error_set(error, EINVAL, "disk %s: descriptor %d is given twice; open the file for each "
                         "disk", one->path, one->fd);
    if (one->fd >= 0 || two->fd >= 0 || !host_path_is_same(one->path, two->path))
        return 0;
    if (strcmp(one->path, two->path) == 0)
        return error_set(error, EINVAL, "disk %s: is given twice; give it once", one->path);
    return error_set(error, EINVAL, "disk %s: is the same as %s; give it once", one->path, two->path);
}

static bool disk_reaches_host(const struct device_config *device)
{
    (void)device;
    return true;
}

/* A disk that is only read is everybody's; on top of another each writes to its own. */
static int disk_for_clone(struct device_config *device, const char *name, struct config_pool *pool,
                          struct error *error)
{
    struct block_options *disk = &device->disk;
    const char *path = disk->path;

    (void)pool;
    if (!name)
        return 0;
    if (disk->fd >= 0)
        return error_set(error, EINVAL, "--disk %s: fd= cannot be had by several VMs; give --disk "
                         "with the image's path", path);
    if (disk->overlay && is_temporary(disk))
        return error_set(error, EINVAL, "--disk %s: overlay=tmp cannot be given to clones: a saved VM's is gone "
                         "with it, and each gets one of its own; give --disk %s as the saved VM left it",
                         path, path);
    if (disk->overlay)
        return error_set(error, EINVAL, "--disk %s: what the saved VM wrote is in its overlay (%s), "
                         "which clones cannot share; give --disk %s,overlay=FILE%%d, each a copy of "
                         "that", path, disk->overlay, path);
    if (!disk->read_only) {
        disk->overlay = DISK_OVERLAY_TEMPORARY;
        disk->direct = false;
    }
    return 0;
}

static void describe_disk(const struct device_config *device, FILE *stream)
{
    const struct block_options *disk = &device->disk;

    fprintf(stream, "--disk %.64s%s", disk->path, disk->read_only ? ",ro" : "");
    if (disk->overlay)
        fprintf(stream, ",overlay=%.64s", disk->overlay);
}

static const char *const known[] = { "block-size", RATE_KEYS, NULL };

const struct device_row disk_row = {
    .name = "disk",
    .option = "disk",
    .argument = "PATH[,...]",
    .help = "a raw image or block device; then any of ro, fd=N, direct,\n"
            "overlay=PATH|tmp, serial=ID, engine=uring|sync, queues=N,\n"
            "block-size=512|4096, rate=BYTES/s, ops=N/s, burst=BYTES",
    .schema = &schema,
    .read = read_disk,
    .known = known,
    .validate = validate_disk,
    .conflict = conflict_of_disks,
    .reaches_host = disk_reaches_host,
    .for_clone = disk_for_clone,
    .describe = describe_disk,
};
