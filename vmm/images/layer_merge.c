/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer_merge.h"

#include <sys/stat.h>

/* A folder of the lower layer, into which the upper one's goes. */
struct merging {
    struct file_tree *tree;
    struct file_node *folder;
    struct error *error;
};

static int merge_child(struct file_node *node, void *context);

static int merge_children(const struct merging *merging, const struct file_node *upper,
                          struct file_node *lower)
{
    struct merging inner = { merging->tree, lower, merging->error };

    return file_node_each(upper, merge_child, &inner);
}

/* Both are folders: the upper one's attributes count, unless its archive did not tell any. */
static void merge_attributes(struct file_node *lower, struct file_inode *inode)
{
    if (inode->opaque)
        file_node_clear(lower);
    else if (inode->implied)
        return;
    else
        inode->opaque = lower->inode->opaque;
    file_node_replace(lower, inode);
}

/* LOWER is there, as a folder or anything else. */
static void merge_inode(struct file_node *lower, struct file_inode *inode)
{
    bool folder = S_ISDIR(inode->mode);

    if (folder && S_ISDIR(lower->inode->mode)) {
        merge_attributes(lower, inode);
        return;
    }
    /* A folder in the place of a file, or of nothing, shows nothing of layers below that. */
    if (folder)
        inode->opaque = true;
    file_node_clear(lower);
    file_node_replace(lower, inode);
}

static int merge_child(struct file_node *node, void *context)
{
    const struct merging *merging = context;
    struct file_node *lower = file_node_child(merging->folder, node->name);

    if (lower)
        merge_inode(lower, node->inode);
    else if (file_tree_add(merging->tree, merging->folder, node->name, node->inode, &lower,
                           merging->error) < 0)
        return -merging->error->number;
    return merge_children(merging, node, lower);
}

int layer_merge(struct layer *lower, const struct layer *upper, struct error *error)
{
    struct merging merging = { &lower->tree, lower->tree.root, error };

    merge_inode(lower->tree.root, upper->tree.root->inode);
    lower->implies = lower->implies || upper->implies || upper->tree.root->inode->implied;
    return merge_children(&merging, upper->tree.root, lower->tree.root);
}
