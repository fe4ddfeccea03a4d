/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_EROFS_H
#define MOTE_IMAGES_EROFS_H

/*
 * Writes an erofs image in one pass, without the host's file system in between:
 * ownership, devices, hard links and extended attributes are exact for every
 * user, and no device node or setuid file is ever made on the host.  The same
 * tree gives the same bytes.
 *
 * The image grows at its end.  A file's whole blocks lie together; its inode
 * and the rest that fills no block are packed into metadata blocks, which are
 * taken 64 KiB at a time.  Folders come last, when all names are known.  Blocks
 * that are never written are holes of the image file.
 *
 *     erofs_begin
 *     for each file:  erofs_place, erofs_data…, erofs_put
 *     erofs_finish(root)
 */

#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/images/erofs_format.h"
#include "vmm/images/file_tree.h"

struct erofs_limits {
    uint64_t image;   /* bytes of the image, holes included */
    uint64_t written; /* bytes really written */
};

struct erofs {
    int fd; /* the caller's: an empty file, open for writing */
    struct erofs_limits limits;
    uint64_t end;     /* of the image, in bytes; whole blocks */
    uint64_t written;
    uint64_t meta_at, meta_end; /* what is free of the metadata blocks taken last */
    uint8_t *meta;              /* their content; begins at meta_start */
    uint64_t meta_start;
    uint32_t inodes;
    uint8_t rest[EROFS_BLOCK]; /* of the file that is written now: what fills no block */
};

int erofs_begin(struct erofs *image, int fd, const struct erofs_limits *limits,
                struct error *error);

/* Gives INODE, whose attributes are complete, its place.  Files with content have its size told. */
int erofs_place(struct erofs *image, struct file_inode *inode, struct error *error);

/* Content of the inode placed last, within its size, in any order; what is left out is zeros. */
int erofs_data(struct erofs *image, const struct file_inode *inode, uint64_t offset,
               const void *bytes, size_t length, struct error *error);

/* Writes the inode placed last, with LINKS names. */
int erofs_put(struct erofs *image, const struct file_inode *inode, uint32_t links,
              struct error *error);

/* A file without content, or a link's target: the three steps above in one. */
int erofs_add_small(struct erofs *image, struct file_inode *inode, const char *content,
                    struct error *error);

/* Writes the folders below ROOT and the super block.  All else must have been put. */
int erofs_finish(struct erofs *image, struct file_node *root, const uint8_t uuid[16],
                 struct error *error);

/* Frees what the writer holds, at any stage. */
void erofs_end(struct erofs *image);

/* Writes [offset, offset + length) of the image. */
int erofs_write(struct erofs *image, uint64_t offset, const void *bytes, size_t length,
                struct error *error);

/* For erofs_folders.c: the root has a place of its own; content begins anew; names were added. */
int erofs_place_at_root(struct erofs *image, struct file_inode *inode, struct error *error);
void erofs_resume(struct erofs *image);
int erofs_put_links(struct erofs *image, const struct file_inode *inode, struct error *error);

/* Places and writes all folders of the tree; after that the image is but for its super block. */
int erofs_write_folders(struct erofs *image, struct file_node *root, struct error *error);

#endif
