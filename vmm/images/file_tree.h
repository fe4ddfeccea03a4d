/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_FILE_TREE_H
#define MOTE_IMAGES_FILE_TREE_H

/*
 * The names and attributes of one file system image, in memory; file contents
 * are in a private folder (vmm/images/staging.h) or still in the user's.
 *
 * Archives never touch the host's file system: their entries become nodes here.
 * Climbing out of a tree that has no outside is impossible by construction; a
 * path is a walk over nodes, one component after the other, and a walk over
 * anything but a folder is refused.
 *
 * A node is a name; an inode is what it names, shared by hard links.  A node is
 * not taken out again: a later entry of the same name gets the node another
 * inode, and only an empty folder can become something else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "vmm/base/error.h"
#include "vmm/images/xattrs.h"

/* Bounds on hostile archives; the largest images in use have some 500,000 files. */
#define FILE_TREE_NODES_MAX (2u << 20)
#define FILE_TREE_NAME_MAX 255
#define FILE_TREE_PATH_MAX 4096
#define FILE_TREE_DEPTH_MAX 2048 /* as many folders as a path has room for */
#define FILE_TREE_TEXT_MAX (128u << 20) /* names, links' targets and extended attributes, in bytes */

struct file_inode {
    unsigned int users; /* nodes that refer to it */
    mode_t mode;        /* type and permissions */
    uid_t uid;
    gid_t gid;
    dev_t rdev;
    uint64_t size; /* in bytes: of the content, of a link's target */
    struct timespec mtime, ctime;
    struct xattrs xattrs;
    char *target; /* a symbolic link's */
    bool whiteout; /* a character device 0:0 that hides lower layers' file */
    bool implied;  /* a folder that no entry named, only paths through it */
    bool opaque;    /* a folder that hides what the layers below have in it */

    /* Set by staging.h. */
    uint32_t number; /* of the file that holds its content; 0 as long as there is none */
    bool told;       /* to fakeroot */
};

struct file_node {
    struct file_node *parent; /* the root's is itself */
    struct file_inode *inode;
    void *children; /* a folder's, by tsearch(3) */
    unsigned int child_count;
    unsigned int depth; /* folders above it; 0: the root */
    const char *name; /* text, but of a key for searching */
    char text[];
};

struct file_tree {
    struct file_node *root;
    unsigned int nodes;
    size_t text_bytes; /* ever taken; of FILE_TREE_TEXT_MAX */
};

/* A tree of one folder, the root, implied.  The caller ends it by file_tree_release(). */
int file_tree_init(struct file_tree *tree, struct error *error);
void file_tree_release(struct file_tree *tree);

/* A new inode without users; NULL when memory is short. */
struct file_inode *file_inode_new(mode_t mode);
/* Frees INODE if nobody uses it. */
void file_inode_unused(struct file_inode *inode);

struct file_node *file_node_child(const struct file_node *folder, const char *name);

/* Takes LENGTH bytes of FILE_TREE_TEXT_MAX for what an inode of the tree keeps. */
int file_tree_take_text(struct file_tree *tree, size_t length, struct error *error);

/* A child of FOLDER, which has none of that NAME yet.  Takes INODE when it succeeds. */
int file_tree_add(struct file_tree *tree, struct file_node *folder, const char *name,
                  struct file_inode *inode, struct file_node **node, struct error *error);

/* Makes NODE name INODE; -ENOTEMPTY when NODE is a folder with children and INODE is no folder. */
int file_node_replace(struct file_node *node, struct file_inode *inode);

/* Some node whose name has all of FILE_TREE_NAME_MAX bytes; NULL if there is none. */
const struct file_node *file_tree_longest(const struct file_tree *tree);

/* Forgets all that is below FOLDER. */
void file_node_clear(struct file_node *folder);

/* Calls VISIT for each child in the order of names as bytes; ends at the first result below 0. */
int file_node_each(const struct file_node *folder,
                   int (*visit)(struct file_node *child, void *context), void *context);

/*
 * NODE's path from the root, "" for the root itself, into PATH; what is too long
 * keeps its end.  Returns PATH.
 */
const char *file_node_path(const struct file_node *node, char *path, size_t size);

#endif
