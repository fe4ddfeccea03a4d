/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_FORMAT_H
#define MOTE_DISK_FORMAT_H

/*
 * Which file system a disk image holds, by its super block, for the guest to
 * mount it by.  Only what the guest can mount as its root is accepted, and of
 * that only a whole disk: an image with partitions, or in a format of another
 * monitor, is refused with what turns it into one.
 *
 * The answer decides nothing on the host, which reads such an image as plain
 * sectors.
 */

#include "vmm/base/error.h"

/* Of the regular file or block device FD; NAME is for messages.  *FORMAT becomes a literal as
 * mount(2) takes it: "ext4", "erofs" or "squashfs". */
int disk_format_detect(int fd, const char *name, const char **format, struct error *error);

/* The literal for NAME, or NULL. */
const char *disk_format_named(const char *name);

#endif
