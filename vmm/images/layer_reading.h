/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_READING_H
#define MOTE_IMAGES_LAYER_READING_H

/* A layer's archive while it is read (layer.c), and where its paths lead (layer_walk.c). */

#include <archive.h>

#include "vmm/images/entry_path.h"
#include "vmm/images/layer.h"

/* One entry. */
struct reading {
    struct layer *layer;
    struct staging *staging; /* or NULL */
    struct archive *tar;
    struct archive_entry *entry;
    const char *path;
    struct error *error;
};

/* "entry PATH: WHAT" */
int reading_refused(const struct reading *reading, int number, const char *what);

/* Puts the entry before a message that does not know it. */
int reading_named(const struct reading *reading);

/*
 * The folder that PATH's last component is in, made as far as it is not there; that component goes
 * to NAME, "" for the root itself.
 */
int reading_walk(const struct reading *reading, const char *path, struct file_node **folder,
                 char name[ENTRY_NAME_SIZE]);

/* What the layer itself has at PATH: *NODE, NULL for nothing. */
int reading_find(const struct reading *reading, const char *path, struct file_node **node);

/* Lets FOLDER have INODE under NAME, whatever it was before.  Takes INODE. */
int reading_name_inode(const struct reading *reading, struct file_node *folder, const char *name,
                       struct file_inode *inode);

#endif
