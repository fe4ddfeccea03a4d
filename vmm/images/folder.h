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
 *
 * mkfs.erofs reads the files where they are, as the user.  fakeroot tells it of
 * owners and modes what is so anyway, and of extended attributes all but the
 * host's security labels and overlayfs' own.  The stamp is taken again when the
 * image is made: one that differs means that somebody wrote there meanwhile.
 */

#include <limits.h>

#include "vmm/base/error.h"
#include "vmm/images/cache.h"
#include "vmm/images/file_tree.h"
#include "vmm/images/staging.h"

struct folder {
    const char *path; /* the caller's */
    char whole[PATH_MAX];   /* realpath(3) of it */
    int fd;
    dev_t device;           /* of the file system */
    const struct cache *cache;
    struct file_tree tree;
    char **others;          /* paths of other file systems and the cache in it */
    size_t other_count;
    void *links;            /* files with several names, by device and number */
};

/* Looks at every file of PATH and reads none. */
int folder_open(struct folder *folder, const char *path, const struct cache *cache,
                struct error *error);
void folder_close(struct folder *folder);

struct digest folder_stamp(const struct folder *folder);

/* Makes state and xattrs of STAGING; a file that cannot be read is an error that names it. */
int folder_tell_files(struct folder *folder, struct staging *staging, struct error *error);

#endif
