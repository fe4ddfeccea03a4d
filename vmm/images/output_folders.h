/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_OUTPUT_FOLDERS_H
#define MOTE_IMAGES_OUTPUT_FOLDERS_H

/*
 * The folders of a guest's output, whose modes and times are set when all is
 * there.  The guest can name as many as it likes, and each as often: one that
 * comes again takes no more memory, and all have a bound.
 */

#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "vmm/base/error.h"

#define OUTPUT_FOLDERS_MAX (512u << 10)
#define OUTPUT_FOLDERS_TEXT_MAX (64u << 20) /* bytes of all paths */

struct output_folders {
    void *tree; /* by path, tsearch(3) */
    size_t count, text;
};

/* The last that is said of a folder counts.  -E2BIG beyond the bounds. */
int output_folders_add(struct output_folders *folders, const char *path, mode_t mode,
                       const struct timespec *mtime, struct error *error);

/* Innermost first: a folder's own mode can forbid to enter it. */
void output_folders_each(const struct output_folders *folders,
                         void (*visit)(void *context, const char *path, mode_t mode,
                                       const struct timespec *mtime),
                         void *context);

void output_folders_release(struct output_folders *folders);

#endif
