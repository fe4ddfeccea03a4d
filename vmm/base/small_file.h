/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SMALL_FILE_H
#define MOTE_SMALL_FILE_H

/* What the kernel tells in small files, under /proc and /sys. */

#include <stdbool.h>
#include <stddef.h>

/* The first SIZE - 1 bytes of PATH as TEXT; false, and TEXT as it was, where it cannot be read. */
bool small_file_read(const char *path, char *text, size_t size);

#endif
