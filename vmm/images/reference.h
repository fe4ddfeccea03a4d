/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_REFERENCE_H
#define MOTE_IMAGES_REFERENCE_H

/*
 * PATH[:TAG], the way to name an image inside a layout or archive.  A path may
 * have colons itself, and a tag of docker's too ("python:3.12"): the longest
 * beginning, up to a colon, that is a file is the path.
 */

#include <stddef.h>

#include "vmm/base/error.h"

struct reference {
    char *path;
    const char *tag; /* part of the text it was read from; NULL when none was given */
};

/* The caller frees the path.  A file that is not there is an error. */
int reference_read(struct reference *reference, const char *text, struct error *error);

/* The names that an image has, for the message when it lacks the one that was asked for. */
struct tags {
    const char *list[64]; /* some of them; owned by whoever added them */
    size_t count;         /* of all */
};

void tags_add(struct tags *tags, const char *tag);

/* "PATH: has no image TAG; did you mean …?" or what there is, or that a tag must be given. */
int reference_unknown(const struct reference *reference, const struct tags *tags,
                      struct error *error);

#endif
