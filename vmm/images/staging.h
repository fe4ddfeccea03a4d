/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_STAGING_H
#define MOTE_IMAGES_STAGING_H

/*
 * What mkfs.erofs makes a layer's image of: a private folder of the cache, of ordinary
 * files, folders and symbolic links that are all the caller's own.
 *
 *   files/N   the content of inode N, while the tree still grows
 *   root/     the tree, once it is whole
 *   state, xattrs   what fakeroot has to say of it (fake_files.h)
 *
 * Devices, sockets, FIFOs and whiteouts are empty files that only fakeroot calls
 * so; no device node and no setuid file is ever made on the host, not by root
 * either.  Names of an archive come to the disk when the whole tree was
 * validated, and then by descriptors of folders that we made.
 *
 *     staging_begin
 *     for each file:  staging_place, staging_data…, staging_put, or one of the others
 *     staging_tree(root)
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/images/file_tree.h"

#define STAGING_ROOT "root"

#define STAGING_UNIT 4096u /* what an inode and the rest of its content take, at most */

struct staging_limits {
    uint64_t image; /* bytes of the image, holes included */
    uint64_t room;  /* bytes that the files and the image may take together */
};

struct staging {
    int fd;    /* of the private folder, the caller's */
    int files; /* of files/ */
    int file;  /* of the content that is written now */
    struct staging_limits limits;
    uint64_t image, taken; /* of these limits */
    uint64_t left;         /* of the file that is written now: what is no content yet */
    uint32_t inodes;
    bool holes; /* some file has any */
};

/* FD is an empty folder that nobody else may enter. */
int staging_begin(struct staging *staging, int fd, const struct staging_limits *limits,
                  struct error *error);
void staging_end(struct staging *staging);

/* Begins the content of INODE, a regular file whose size is told. */
int staging_place(struct staging *staging, struct file_inode *inode, struct error *error);

/* Content of the inode placed last, within its size, in any order; what is left out is zeros. */
int staging_data(struct staging *staging, const struct file_inode *inode, uint64_t offset,
                 const void *bytes, size_t length, struct error *error);

/* Ends the inode placed last. */
int staging_put(struct staging *staging, const struct file_inode *inode, struct error *error);

/* A symbolic link, and what has no content. */
int staging_symlink(struct staging *staging, struct file_inode *inode, const char *target,
                    struct error *error);
int staging_special(struct staging *staging, struct file_inode *inode, struct error *error);

/* Takes SIZE bytes of content of an inode in the image, of both limits. */
int staging_take_image(struct staging *staging, uint64_t size, struct error *error);

/* Takes LENGTH bytes of the room that is free. */
int staging_take(struct staging *staging, uint64_t length, struct error *error);

/* Makes root/, state and xattrs of the tree.  All but folders and whiteouts must have been put. */
int staging_tree(struct staging *staging, struct file_node *root, struct error *error);

#endif
