/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_HOST_FILE_H
#define MOTE_IMAGES_HOST_FILE_H

/* Files of the host's that become part of an image.  Messages lack the file's name, which the caller puts before them. */

#include <sys/stat.h>

#include "vmm/base/error.h"
#include "vmm/images/file_tree.h"

/* Somebody wrote to it. */
int host_file_changed(struct error *error);
/* It cannot be read for the errno NUMBER. */
int host_file_failed(int number, struct error *error);

/* What an image keeps of STATUS. */
void host_file_attributes(struct file_inode *inode, const struct stat *status);

/*
 * The extended attributes of PATH, with FOLLOW of what a link there leads to, but for
 * the host's security labels: these tell of the host, not of the image.
 */
int host_file_xattrs(const char *path, bool follow, struct xattrs *xattrs, struct error *error);

#endif
