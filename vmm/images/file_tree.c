/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/file_tree.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int compare(const void *left, const void *right)
{
    return strcmp(((const struct file_node *)left)->name, ((const struct file_node *)right)->name);
}

struct file_inode *file_inode_new(mode_t mode)
{
    struct file_inode *inode = calloc(1, sizeof(*inode));

    if (inode)
        inode->mode = mode;
    return inode;
}

void file_inode_unused(struct file_inode *inode)
{
    if (!inode || inode->users > 0)
        return;
    xattrs_release(&inode->xattrs);
    free(inode->target);
    free(inode);
}

static struct file_node *new_node(const char *name, struct file_inode *inode)
{
    size_t length = strlen(name);
    struct file_node *node = calloc(1, sizeof(*node) + length + 1);

    if (!node)
        return NULL;
    memcpy(node->text, name, length + 1);
    node->name = node->text;
    node->parent = node;
    node->inode = inode;
    inode->users++;
    return node;
}

static void free_node(void *pointer)
{
    struct file_node *node = pointer;

    /* FILE_TREE_DEPTH_MAX deep at most. */
    tdestroy(node->children, free_node);
    node->inode->users--;
    file_inode_unused(node->inode);
    free(node);
}

int file_tree_init(struct file_tree *tree, struct error *error)
{
    struct file_inode *inode = file_inode_new(S_IFDIR | 0755);

    *tree = (struct file_tree){ .nodes = 1 };
    if (inode)
        tree->root = new_node("", inode);
    if (!tree->root) {
        file_inode_unused(inode);
        return error_system(error, ENOMEM, "the list of files");
    }
    inode->implied = true;
    return 0;
}

void file_tree_release(struct file_tree *tree)
{
    if (tree->root)
        free_node(tree->root);
    tree->root = NULL;
}

struct file_node *file_node_child(const struct file_node *folder, const char *name)
{
    struct file_node key = { .name = name };
    void *found = tfind(&key, &folder->children, compare);

    return found ? *(struct file_node **)found : NULL;
}

/* So a tree stays below some 700 MiB of memory whatever the archive. */
int file_tree_take_text(struct file_tree *tree, size_t length, struct error *error)
{
    if (length > FILE_TREE_TEXT_MAX - tree->text_bytes)
        return error_set(error, E2BIG, "more than %u MiB of names, links' targets and extended "
                         "attributes; take some out", FILE_TREE_TEXT_MAX >> 20);
    tree->text_bytes += length;
    return 0;
}

int file_tree_add(struct file_tree *tree, struct file_node *folder, const char *name,
                  struct file_inode *inode, struct file_node **node, struct error *error)
{
    size_t length = strlen(name);
    struct file_node *child;

    if (length > FILE_TREE_NAME_MAX)
        return error_set(error, ENAMETOOLONG, "%.40s...: a name of %zu bytes, the longest has %u; "
                         "shorten it", name, length, FILE_TREE_NAME_MAX);
    if (folder->depth >= FILE_TREE_DEPTH_MAX)
        return error_set(error, ENAMETOOLONG, "%s: is below more than %u folders; build the archive "
                         "anew without", name, FILE_TREE_DEPTH_MAX);
    if (tree->nodes >= FILE_TREE_NODES_MAX)
        return error_set(error, E2BIG, "%s: more than %u files; take some out", name,
                         FILE_TREE_NODES_MAX);
    if (file_tree_take_text(tree, length, error) < 0)
        return -error->number;
    child = new_node(name, inode);
    if (!child || !tsearch(child, &folder->children, compare)) {
        if (child)
            inode->users--;
        free(child);
        return error_system(error, ENOMEM, "the list of files");
    }
    child->parent = folder;
    child->depth = folder->depth + 1;
    folder->child_count++;
    tree->nodes++;
    *node = child;
    return 0;
}

void file_node_clear(struct file_node *folder)
{
    tdestroy(folder->children, free_node);
    folder->children = NULL;
    folder->child_count = 0;
}

int file_node_replace(struct file_node *node, struct file_inode *inode)
{
    struct file_inode *old = node->inode;

    if (node->child_count > 0 && !S_ISDIR(inode->mode))
        return -ENOTEMPTY;
    inode->users++;
    node->inode = inode;
    old->users--;
    file_inode_unused(old);
    return 0;
}

struct visit {
    int (*visit)(struct file_node *child, void *context);
    void *context;
    int result;
};

static void visit_one(const void *item, VISIT order, void *closure)
{
    struct visit *visit = closure;

    if ((order == postorder || order == leaf) && visit->result >= 0)
        visit->result = visit->visit(*(struct file_node *const *)item, visit->context);
}

int file_node_each(const struct file_node *folder,
                   int (*visit)(struct file_node *child, void *context), void *context)
{
    struct visit state = { visit, context, 0 };

    twalk_r(folder->children, visit_one, &state);
    return state.result;
}

static int visit_longest(struct file_node *node, void *context)
{
    const struct file_node **longest = context;

    if (strlen(node->name) == FILE_TREE_NAME_MAX)
        *longest = node;
    return *longest ? -1 : file_node_each(node, visit_longest, context);
}

const struct file_node *file_tree_longest(const struct file_tree *tree)
{
    const struct file_node *longest = NULL;

    file_node_each(tree->root, visit_longest, &longest);
    return longest;
}

const char *file_node_path(const struct file_node *node, char *path, size_t size)
{
    size_t at = size - 1;

    path[at] = '\0';
    for (; node->parent != node; node = node->parent) {
        size_t length = strlen(node->name);

        if (path[at] != '\0' && at > 0)
            path[--at] = '/';
        if (length > at)
            break;
        at -= length;
        memcpy(path + at, node->name, length);
    }
    return memmove(path, path + at, size - at);
}
