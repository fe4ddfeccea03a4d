/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TESTS_TAR_H
#define MOTE_TESTS_TAR_H

/*
 * Tar archives made byte by byte, so that entries can be what no archiver would
 * write: names that climb, links to nowhere, sizes that lie.
 */

#include <stddef.h>
#include <stdint.h>

struct tar {
    uint8_t *bytes; /* the caller's to free */
    size_t length;
};

struct tar_entry {
    const char *name;
    char type; /* '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' folder, '6' FIFO */
    unsigned int mode, uid, gid; /* mode 0 for 0644, or 0755 of folders */
    unsigned int major, minor;
    const char *link;    /* what a link leads to */
    const void *content; /* of files */
    size_t size;
    uint64_t told_size; /* in the header, when it is to be another */
    unsigned int mtime; /* in seconds; no negative ones */
};

/* Adds an entry; names of over 100 bytes get a GNU long-name header. */
void tar_add(struct tar *tar, const struct tar_entry *entry);

/* Adds a pax header with one record for the entry that follows. */
void tar_add_pax(struct tar *tar, const char *key, const void *value, size_t length);

/* The two zero blocks at the end. */
void tar_end(struct tar *tar);

#endif
