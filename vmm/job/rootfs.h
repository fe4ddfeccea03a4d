/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_ROOTFS_H
#define MOTE_RUN_ROOTFS_H

/*
 * The disks of a job: the layers of its root file system, then its volumes,
 * then perhaps a scratch disk.  Each is an open descriptor: what the path leads
 * to later does not matter, and the VM's process needs no file system.
 *
 * A raw disk image is used as it is.  Directories, container images and, as
 * volumes, files that have no file system become such images in mote-image, the helper program program that reads hostile archives.
 */

#include <stdbool.h>
#include <stddef.h>

#include "guest/init/protocol.h"
#include "vmm/base/error.h"
#include "vmm/job/image_program.h"
#include "vmm/job/job.h"

struct rootfs_disk {
    int fd;
    char *path;              /* for messages */
    const char *file_system; /* a literal: "ext4", "erofs", "squashfs" */
    bool one_file;           /* a volume that is RUN_VOLUME_FILE of it */
};

/* What an image wants of its container; empty where it does not say. */
struct image_config {
    struct text_list entrypoint, command, environment, volumes;
    char *user, *work_directory, *stop_signal;
    bool health_check; /* there is one, which nobody runs */
};

struct rootfs {
    size_t layer_count, volume_count;
    struct rootfs_disk layers[RUN_LAYERS_MAX]; /* bottom first */
    struct rootfs_disk volumes[RUN_VOLUMES_MAX];
    struct image_config config;
};

/* WHAT is a directory or a raw image, for --rootfs, or with IMAGE what --image takes. */
int rootfs_open(struct rootfs *rootfs, const char *what, bool image,
                const struct image_program *program, struct error *error);

/* The directory, raw image or other file PATH as a volume. */
int rootfs_add_volume(struct rootfs *rootfs, const char *path,
                      const struct image_program *program, struct error *error);

void rootfs_release(struct rootfs *rootfs);
void rootfs_release_disks(struct rootfs_disk *disks, size_t count);

#endif
