/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_DISK_FORMAT_H
#define MOTE_IMAGES_DISK_FORMAT_H

/*
 * Which file system a disk image holds, by its super block.  Only what the
 * guest can mount as its root is accepted, and of that only a whole disk: an
 * image with partitions, or in a format of another monitor, is refused with
 * what turns it into one.
 */

#include "vmm/error.h"

/* *FORMAT becomes "ext4", "erofs" or "squashfs". */
int disk_format(const char *path, const char **format, struct error *error);

#endif
