/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/run/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/disk_format.h"
#include "vmm/run/image_resolve.h"

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
static bool is_one_file(const char *option, const struct stat *status, const struct error *error)
{
    return strcmp(option, "volume") == 0 && S_ISREG(status->st_mode) && error->number == ENODATA;
}

/* A raw image with a file system that the guest will know. */
static int open_image(struct rootfs_disk *disk, const char *option, const char *path,
                      struct error *error)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *format;
    char name[sizeof(error->message)];
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return refuse(option, path, errno, error);
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return error_set(error, EINVAL, "--%s %s: is neither a directory nor a disk image; name "
                         "one of these", option, path);
    snprintf(name, sizeof(name), "--%s %s", option, path);
    if (disk_format_detect(fd, name, &format, error) < 0)
        return is_one_file(option, &status, error)
                   ? error_set(error, EINVAL, "--%s %s: is one file, and folders alone can be shared; "
                               "name the folder that it is in", option, path)
                   : -error->number;
    disk->path = strdup(path);
    if (!disk->path)
        return error_system(error, ENOMEM, "--%s", option);
    disk->file_system = format;
    disk->fd = steal_fd(&fd);
    return 0;
}

/* Of a directory: the image that mote-image makes of it, or has made. */
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

/* One disk of a directory or of a raw image. */
static int open_path(const char *option, const char *path, const struct image_program *program,
                     struct rootfs_disk *disk, struct error *error)
{
    cleanup_free char *spec = NULL;
    struct stat status;
    int count;

    if (stat(path, &status) < 0)
        return refuse(option, path, errno, error);
    if (!S_ISDIR(status.st_mode))
        return open_image(disk, option, path, error);
    if (asprintf(&spec, "dir:%s", path) < 0)
        return error_system(error, ENOMEM, "--%s", option);
    count = open_resolved(option, spec, program, disk, 1, NULL, error);
    return count < 0 ? count : 0;
}

int rootfs_open(struct rootfs *rootfs, const char *what, bool image,
                const struct image_program *program, struct error *error)
{
    int count = 1, result;

    *rootfs = (struct rootfs){ .layer_count = 0 };
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
