/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_FAKE_FILES_H
#define MOTE_IMAGES_FAKE_FILES_H

/*
 * What fakeroot has to say of files, whatever they are on the host, in two files
 * of the image's private folder:
 *
 *   state    which inode has which mode, owner and device number (faked(1), --load)
 *   xattrs   its extended attributes, which that cannot hold:
 *            {path, NUL, name, NUL, length in 2 bytes, value}…
 */

#include <stdio.h>
#include <sys/stat.h>

#include "vmm/base/error.h"
#include "vmm/images/file_tree.h"

#define FAKE_STATE "state"
#define FAKE_XATTRS "xattrs"

struct fake_files {
    FILE *state, *xattrs;
};

/* Creates both in FOLDER.  End with fake_files_close(), also after an error. */
int fake_files_open(struct fake_files *files, int folder, struct error *error);
/* Returns RESULT, or an error of writing. */
int fake_files_close(struct fake_files *files, int result, struct error *error);

/* Bytes that fake_files_tell() writes for a file at PATH: each attribute comes with the whole path. */
uint64_t fake_files_size(const char *path, const struct file_inode *inode);

/* The file at PATH, of which STATUS tells device and number, has INODE's attributes. */
int fake_files_tell(const struct fake_files *files, const char *path, const struct stat *status,
                    const struct file_inode *inode, struct error *error);

#endif
