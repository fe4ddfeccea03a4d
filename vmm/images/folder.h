/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_FOLDER_H
#define MOTE_IMAGES_FOLDER_H

/*
 * A folder of the host as an image.  Its stamp is a digest over every file's
 * path, type, mode, owner, size, device number, time of modification and time
 * of change; when none of these differs the image of the cache is used and no
 * file is read.  The time of change stands for the content, for links' targets
 * and extended attributes: nothing of them changes without it, whereas package
 * tools set the time of modification to the same date for every build.
 *
 * Only the folder's own file system is taken: what is mounted inside, a /proc
 * or /dev, becomes an empty folder, and so does Mote's cache.
 */

#include "vmm/error.h"
#include "vmm/images/cache.h"
#include "vmm/images/erofs.h"
#include "vmm/images/file_tree.h"
#include "vmm/images/progress.h"

struct folder {
    const char *path; /* the caller's */
    int fd;
    dev_t device;           /* of the file system */
    const struct cache *cache;
    struct file_tree tree;
    uint64_t bytes;         /* of all files */
    void *links;            /* files with several names, by device and number */
};

/* Looks at every file of PATH and reads none. */
int folder_open(struct folder *folder, const char *path, const struct cache *cache,
                struct error *error);
void folder_close(struct folder *folder);

struct digest folder_stamp(const struct folder *folder);

/* Puts all files into IMAGE; one that changed since folder_open() is an error that names it. */
int folder_put_files(struct folder *folder, struct erofs *image, struct progress *progress,
                     struct error *error);

#endif
