/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/job/disk_format.h"
#include "vmm/job/image_resolve.h"

static int refuse(const char *option, const char *path, int number, struct error *error)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return error_set(error, number, "--%s %s: does not exist; check the path", option, path);
    case EACCES:
    case EPERM:
        return error_set(error, number, "--%s %s: %s; make it readable for this user", option,
                         path, strerror(number));
    default:
        return error_system(error, number, "--%s %s", option, path);
    }
}

/* Of what was found to be no image: -v ./app.conf:/etc/app.conf:ro, as other tools take it. */
static bool is_one_file(const char *option, const struct stat *status)
{
    return strcmp(option, "volume") == 0 && S_ISREG(status->st_mode);
}

/* What may be opened: opening a device may act on it. */
static int check_type(const char *option, const char *path, const struct stat *status,
                      struct error *error)
{
    if (S_ISREG(status->st_mode) || S_ISBLK(status->st_mode))
        return 0;
    return error_set(error, EINVAL, "--%s %s: is %s, neither a directory nor a disk image; name one of "
                     "these%s", option, path, S_ISFIFO(status->st_mode) ? "a FIFO"
                     : S_ISSOCK(status->st_mode) ? "a socket" : "a device",
                     strcmp(option, "volume") == 0 ? ", or a file" : "");
}

/* A raw image with a file system that the guest will know; *ONE_FILE: it is none, but a file that can be shown. */
static int open_image(struct rootfs_disk *disk, const char *option, const char *path,
                      bool *one_file, struct error *error)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *format;
    char name[sizeof(error->message)];
    struct stat status;

    *one_file = false;
    if (fd < 0 || fstat(fd, &status) < 0)
        return refuse(option, path, errno, error);
    if (check_type(option, path, &status, error) < 0)
        return -error->number;
    snprintf(name, sizeof(name), "--%s %s", option, path);
    if (disk_format_detect(fd, name, &format, error) < 0) {
        /* Whatever it is: a packed archive, too, is a file that a job may want. */
        *one_file = is_one_file(option, &status) &&
                    (error->number == ENODATA || error->number == EINVAL);
        return -error->number;
    }
    disk->path = strdup(path);
    if (!disk->path)
        return error_system(error, ENOMEM, "--%s", option);
    disk->file_system = format;
    disk->fd = steal_fd(&fd);
    return 0;
}

/* Of a directory or file: the image that mote-image makes of it, or has made. */
static int open_resolved(const char *option, const char *spec, const struct image_program *program,
                         struct rootfs_disk *disks, size_t capacity, struct image_config *config,
                         struct error *error)
{
    struct json_object *answer;
    int count, result = image_resolve(option, spec, program, &answer, error);

    if (result < 0)
        return result;
    count = image_open_layers(answer, option, spec, disks, capacity, error);
    if (count > 0 && config && (result = image_read_config(answer, config, error)) < 0) {
        rootfs_release_disks(disks, (size_t)count);
        count = result;
    }
    json_object_put(answer);
    return count;
}

/* One disk of what mote-image knows by KIND. */
static int open_made(const char *option, const char *kind, const char *path,
                     const struct image_program *program, struct rootfs_disk *disk,
                     struct error *error)
{
    cleanup_free char *spec = NULL;
    int count;

    if (asprintf(&spec, "%s:%s", kind, path) < 0)
        return error_system(error, ENOMEM, "--%s", option);
    count = open_resolved(option, spec, program, disk, 1, NULL, error);
    return count < 0 ? count : 0;
}

/* One disk of a directory, of a raw image or, as a volume, of another file. */
static int open_path(const char *option, const char *path, const struct image_program *program,
                     struct rootfs_disk *disk, struct error *error)
{
    bool one_file;
    struct stat status;
    int result;

    if (stat(path, &status) < 0)
        return refuse(option, path, errno, error);
    if (S_ISDIR(status.st_mode))
        return open_made(option, "dir", path, program, disk, error);
    if (check_type(option, path, &status, error) < 0)
        return -error->number;
    result = open_image(disk, option, path, &one_file, error);
    if (!one_file)
        return result;
    disk->one_file = true;
    return open_made(option, "file", path, program, disk, error);
}

int rootfs_open(struct rootfs *rootfs, const char *what, bool image,
                const struct image_program *program, struct error *error)
{
    int count = 1, result;

    *rootfs = (struct rootfs){ .layer_count = 0 };
    if (image && strncmp(what, "file:", 5) == 0)
        return error_set(error, EINVAL, "--image %s: is one file, and no root; give it by --volume", what);
    if (image) {
        result = count = open_resolved("image", what, program, rootfs->layers, RUN_LAYERS_MAX,
                                       &rootfs->config, error);
    } else {
        result = open_path("rootfs", what, program, &rootfs->layers[0], error);
    }
    if (result < 0)
        return result;
    rootfs->layer_count = (size_t)count;
    return 0;
}

int rootfs_add_volume(struct rootfs *rootfs, const char *path,
                      const struct image_program *program, struct error *error)
{
    int result;

    if (rootfs->volume_count == RUN_VOLUMES_MAX)
        return error_set(error, E2BIG, "--volume: over %u of them; give fewer", RUN_VOLUMES_MAX);
    result = open_path("volume", path, program, &rootfs->volumes[rootfs->volume_count], error);
    if (result == 0)
        rootfs->volume_count++;
    return result;
}

void rootfs_release_disks(struct rootfs_disk *disks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(disks[i].fd);
        free(disks[i].path);
    }
}

void rootfs_release(struct rootfs *rootfs)
{
    rootfs_release_disks(rootfs->layers, rootfs->layer_count);
    rootfs_release_disks(rootfs->volumes, rootfs->volume_count);
    text_list_release(&rootfs->config.entrypoint);
    text_list_release(&rootfs->config.command);
    text_list_release(&rootfs->config.environment);
    text_list_release(&rootfs->config.volumes);
    free(rootfs->config.stop_signal);
    free(rootfs->config.user);
    free(rootfs->config.work_directory);
    *rootfs = (struct rootfs){ .layer_count = 0 };
}
