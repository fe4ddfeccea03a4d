/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_DISK_FORMAT_H
#define MOTE_RUN_DISK_FORMAT_H

/*
 * Which file system a raw image has, for the guest to mount it by.  The answer
 * decides nothing on the host, which reads such an image as plain sectors.
 */

/* A literal as mount(2) takes it, or NULL for none that a guest of ours knows. */
const char *disk_format_detect(int fd);

/* The literal for NAME, or NULL. */
const char *disk_format_named(const char *name);

#endif
