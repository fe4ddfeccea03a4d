/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_CACHE_FOLDER_H
#define MOTE_RUN_CACHE_FOLDER_H

/*
 * Folders of what `mote run` keeps for its next time, in $MOTE_CACHE,
 * $XDG_CACHE_HOME/mote or ~/.cache/mote: this user's, and nobody else may write
 * there, as what is kept is trusted.
 */

#include <sys/stat.h>

#include "vmm/base/error.h"

/* Opens the folder NAME, made if need be; *PATH is to be freed. */
int cache_folder_open(const char *name, char **path, struct error *error);

#define FILE_IDENTITY_SIZE 128

/*
 * Which file STATUS is of, and whether it is still as it was: device, inode, size,
 * and the times of its last write and its last change, of which nobody can set
 * the latter.
 */
void file_identity(const struct stat *status, char text[FILE_IDENTITY_SIZE]);

#endif
