/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer_inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"

bool layer_implies_folders(const struct layer *layer)
{
    return layer->implies || layer->tree.root->inode->implied;
}

/* The folders of the lower layers that a folder of this layer is merged with, the topmost first. */
struct below {
    const struct file_node **folders;
    size_t count;
    struct error *error;
};

static int visit(struct file_node *node, void *context);

/* What BELOW has under NAME: folders, until one that is opaque or another file ends them. */
static void merge(const struct below *below, const char *name, struct below *merged)
{
    for (size_t i = 0; i < below->count; i++) {
        const struct file_node *found = file_node_child(below->folders[i], name);

        if (!found)
            continue;
        if (!S_ISDIR(found->inode->mode))
            return;
        merged->folders[merged->count++] = found;
        if (found->inode->opaque)
            return;
    }
}

static int take_attributes(struct file_inode *inode, const struct file_inode *from,
                           struct error *error)
{
    inode->mode = from->mode;
    inode->uid = from->uid;
    inode->gid = from->gid;
    inode->mtime = from->mtime;
    return xattrs_copy(&inode->xattrs, &from->xattrs, error);
}

static int take(struct file_node *node, const struct below *merged)
{
    if (node->inode->implied && merged->count > 0 &&
        take_attributes(node->inode, merged->folders[0]->inode, merged->error) < 0)
        return -merged->error->number;
    return file_node_each(node, visit, (void *)(uintptr_t)merged);
}

static int visit(struct file_node *node, void *context)
{
    const struct below *below = context;
    struct below merged = { .error = below->error };
    int result;

    if (!S_ISDIR(node->inode->mode) || node->inode->opaque || below->count == 0)
        return 0;
    merged.folders = calloc(below->count, sizeof(*merged.folders));
    if (!merged.folders)
        return error_system(below->error, ENOMEM, "the list of folders");
    merge(below, node->name, &merged);
    result = take(node, &merged);
    free(merged.folders);
    return result;
}

/* Their roots, down to one that hides all below it. */
static void begin(struct below *below, const struct layer *lower, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        below->folders[below->count++] = lower[i].tree.root;
        if (lower[i].tree.root->inode->opaque)
            break;
    }
}

int layer_inherit(struct layer *layer, const struct layer *lower, size_t count,
                  struct error *error)
{
    cleanup_free const struct file_node **folders = calloc(count + 1, sizeof(*folders));
    struct below roots = { .folders = folders, .error = error };

    if (!folders)
        return error_system(error, ENOMEM, "the list of folders");
    begin(&roots, lower, count);
    return take(layer->tree.root, &roots);
}

/* ---- one name of theirs ---- */

/* BELOW becomes what it has under NAME. */
static void descend(struct below *below, const char *name)
{
    struct below merged = { .folders = below->folders };

    merge(below, name, &merged); /* which writes no further than it has read */
    below->count = merged.count;
}

int layer_find_below(const struct layer *lower, size_t count, const struct file_node *folder,
                     const char *name, const struct file_inode **found, struct error *error)
{
    cleanup_free const struct file_node **folders = calloc(count + 1, sizeof(*folders));
    const struct file_node *path[FILE_TREE_DEPTH_MAX + 1], *child = NULL;
    struct below below = { .folders = folders, .error = error };
    size_t depth = 0;

    *found = NULL;
    if (!folders)
        return error_system(error, ENOMEM, "the list of folders");
    for (; folder->parent != folder; folder = folder->parent) {
        if (folder->inode->opaque)
            return 0;
        path[depth++] = folder;
    }
    if (!folder->inode->opaque)
        begin(&below, lower, count);
    while (depth-- > 0)
        descend(&below, path[depth]->name);
    for (size_t i = 0; i < below.count && !child; i++)
        child = file_node_child(below.folders[i], name);
    *found = child ? child->inode : NULL;
    return 0;
}
