/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_CACHE_H
#define MOTE_IMAGES_CACHE_H

/*
 * The folder of images that were made: $XDG_CACHE_HOME/mote/images, else
 * ~/.cache/mote/images.  An image's name is the digest of what it was made of,
 * so it never changes and serves everybody who wants the same.
 *
 * An image is written to a file without a name, which gets one when it is whole
 * and on the disk: a writer that is killed leaves nothing that takes room.
 * NAME.tmp is the lock: the writer holds flock(2) on it, others wait there and
 * then find the image.  One whose lock is free has lost its writer, and the next
 * who makes an image sweeps it away.  Where the file system has no files without
 * names (O_TMPFILE), the image is written to NAME.tmp itself.
 *
 * What an image is made from stands meanwhile in NAME.parts, a folder that only
 * the holder of the lock touches, and that goes before the lock does.  A layer's
 * image is not there without its NAME.list (listing.h).
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/images/digest.h"

struct cache {
    char *path; /* of the images */
    int fd;
};

/* PREFIX says what kind of digest it is: "sha256-", "chain-", "folder-". */
struct cache_name {
    const char *prefix;
    struct digest digest;
    bool listed; /* a layer's, which has a listing */
};

#define CACHE_NAMES 2

/* An image that is being made, or is there already. */
struct cache_entry {
    const struct cache *cache;
    char names[CACHE_NAMES][8 + DIGEST_HEX + 8]; /* sha256-….erofs */
    bool listed;
    size_t count, chosen;                        /* the name that it has, or will have */
    char temporary[8 + DIGEST_HEX + 16];
    int lock; /* NAME.tmp, locked */
    int fd;   /* to be written; can be the same file; -1 when the image is there */
    int parts;   /* NAME.parts, an empty folder */
    int listing; /* an empty file there, when the image has one */
};

/* PATH is the cache's folder, made when it is missing; NULL for the user's own. */
int cache_open(struct cache *cache, const char *path, struct error *error);
/* The same folder after a change of mounts. */
int cache_open_anew(struct cache *cache, struct error *error);
void cache_close(struct cache *cache);

/*
 * Looks for an image under any of COUNT names.  When it is there, ENTRY->fd is
 * -1; else it is an empty file to fill, and locked, to be kept under the name
 * that ENTRY->chosen tells, the first unless it is changed.  Waits while another
 * process makes what has the same first name.
 */
int cache_get(const struct cache *cache, const struct cache_name *names, size_t count,
              struct cache_entry *entry, struct error *error);

/* Keeps the image that was written; it is on the disk when this returns 0. */
int cache_keep(struct cache_entry *entry, struct error *error);

/* Throws away what is not kept. */
void cache_drop(struct cache_entry *entry);

/* The path of the listing of an image at PATH, to be freed; NULL when memory is short. */
char *cache_listing_path(const char *path);

/* The image's path, to be freed by the caller; NULL when memory is short. */
char *cache_path(const struct cache_entry *entry);

/* An empty file without a name, which is gone when it is closed. */
int cache_spool(const struct cache *cache, int *fd, struct error *error);

/* Bytes that an image may take: nine tenths of what is free. */
uint64_t cache_room(const struct cache *cache);

#endif
