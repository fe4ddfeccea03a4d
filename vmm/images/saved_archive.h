/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_SAVED_ARCHIVE_H
#define MOTE_IMAGES_SAVED_ARCHIVE_H

/*
 * The files of an archive that `docker save` wrote, by name: the archive is read
 * once for its index, then again from where each file that is needed lies.  One
 * that is compressed as a whole, as by `docker save | gzip`, is unpacked into a
 * file of its own first.
 */

#include <archive.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/images/reference.h"
#include "vmm/base/progress.h"

struct saved_member {
    char *name;
    char *link;    /* where a link leads, NULL for a file */
    la_int64_t at; /* where its header begins, in bytes */
    uint64_t size;
};

struct saved_archive {
    struct reference reference; /* which file, and which image in it */
    int fd;
    int spool;      /* an empty file, for what a compressed archive unpacks to */
    uint64_t limit; /* of that file, in bytes */
    struct progress *progress;
    struct saved_member *members;
    size_t count;
};

/* Opens the file that WHAT names, FILE[:TAG]; reads nothing. */
int saved_open(struct saved_archive *saved, const char *what, struct error *error);
/* Reads its index, for which *SPOOLED tells whether it had to be unpacked; its files are in the spool then. */
int saved_read_index(struct saved_archive *saved, bool *spooled, struct error *error);
/* As another process has unpacked it. */
void saved_use_spool(struct saved_archive *saved);
/* Also after a failure. */
void saved_close(struct saved_archive *saved);

/* The file of that NAME, through links; the last of that name counts, as for tar. */
const struct saved_member *saved_find(const struct saved_archive *saved, const char *name,
                                      struct error *error);

/* A reader whose data is MEMBER's; the caller frees it. */
struct archive *saved_member_open(const struct saved_archive *saved,
                                  const struct saved_member *member, struct error *error);

/* All of the file of that NAME, which is a document; the caller frees it. */
void *saved_read(const struct saved_archive *saved, const char *name, size_t *length,
                 struct error *error);

/* "FILE: cannot be read as a tar archive", with what TAR says. */
int saved_damaged(const struct saved_archive *saved, struct archive *tar, struct error *error);

#endif
