/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the paths of a layer's archive lead: from node to node of its tree.  A
 * symbolic link on the way is followed as chroot(2) would have it, its absolute
 * target from the tree's root and ".." not above that.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/images/layer_reading.h"

#define LINKS_MAX 40 /* as the kernel follows on one path */

int reading_refused(const struct reading *reading, int number, const char *what)
{
    return error_set(reading->error, number, "entry %s: %s", reading->path, what);
}

int reading_named(const struct reading *reading)
{
    struct error inner = *reading->error;

    return reading_refused(reading, inner.number, inner.message);
}

/* ---- names ---- */

/* Below 0 for the first file of the layer's own. */
static int only_hides(struct file_node *node, void *context)
{
    if (node->inode->whiteout)
        return 0;
    return node->inode->implied ? file_node_each(node, only_hides, context) : -1;
}

/* Gives NODE the INODE.  A folder keeps its children, and hides what it hid before. */
static int replace(const struct reading *reading, struct file_node *node, struct file_inode *inode)
{
    const struct file_inode *old = node->inode;

    if (S_ISDIR(inode->mode) && (old->whiteout || old->opaque))
        inode->opaque = true;
    /* A file where lower layers have a folder hides all of that, be it told (by umoci) or not. */
    if (!S_ISDIR(inode->mode) && node->inode->implied &&
        file_node_each(node, only_hides, NULL) == 0)
        file_node_clear(node);
    if (file_node_replace(node, inode) < 0)
        return reading_refused(reading, ENOTEMPTY, "would replace a folder that has files; build the "
                               "archive anew without");
    return 0;
}

/* A child of FOLDER, or what CHILD becomes, which is there already. */
static int put(const struct reading *reading, struct file_node *folder, const char *name,
               struct file_inode *inode, struct file_node **child)
{
    int result = *child ? replace(reading, *child, inode)
                        : file_tree_add(&reading->layer->tree, folder, name, inode, child,
                                        reading->error);

    if (result < 0)
        file_inode_unused(inode);
    return result;
}

int reading_name_inode(const struct reading *reading, struct file_node *folder, const char *name,
                       struct file_inode *inode)
{
    struct file_node *node = name[0] ? file_node_child(folder, name) : folder;

    if (node && node->parent == node && !S_ISDIR(inode->mode)) {
        file_inode_unused(inode);
        return reading_refused(reading, ENOTDIR, "would replace the root; build the archive anew "
                               "without");
    }
    return put(reading, folder, name, inode, &node);
}

/* ---- walks ---- */

/* How far one has come. */
struct walk {
    const struct reading *reading;
    struct file_node *at; /* a folder; NULL: nothing is there */
    bool make;            /* what is not there */
    unsigned int links;   /* followed so far */
};

static int make_folder(struct walk *walk, struct file_node *child, const char *name)
{
    struct file_inode *inode = file_inode_new(S_IFDIR | 0755);

    if (!inode)
        return error_system(walk->reading->error, ENOMEM, "the list of files");
    inode->implied = true;
    walk->reading->layer->implies = true;
    if (put(walk->reading, walk->at, name, inode, &child) < 0)
        return -walk->reading->error->number;
    walk->at = child;
    return 0;
}

/* The target of a link of the layers below that is NAME in the folder; NULL if there is none. */
static int link_below(const struct walk *walk, const char *name, const char **target)
{
    const struct layer *layer = walk->reading->layer;
    const struct file_inode *found = NULL;

    if (layer->below && layer->below->find(layer->below->context, walk->at, name, &found,
                                           walk->reading->error) < 0)
        return -walk->reading->error->number;
    *target = found && S_ISLNK(found->mode) ? found->target : NULL;
    return 0;
}

static int go(struct walk *walk, const char *path);

static int follow(struct walk *walk, const char *target)
{
    if (++walk->links > LINKS_MAX)
        return reading_refused(walk->reading, ELOOP, "leads through more than 40 symbolic links, "
                               "which may be a circle; build the archive anew without");
    return go(walk, target);
}

/* From the folder to its child NAME. */
static int enter(struct walk *walk, const char *name)
{
    struct file_node *child = file_node_child(walk->at, name);
    const char *target = NULL;

    if (child && S_ISDIR(child->inode->mode)) {
        walk->at = child;
        return 0;
    }
    if (!child && link_below(walk, name, &target) < 0)
        return -walk->reading->error->number;
    if (child && S_ISLNK(child->inode->mode))
        target = child->inode->target;
    if (target)
        return follow(walk, target);
    if (!walk->make) {
        walk->at = NULL;
        return 0;
    }
    if (child && !child->inode->whiteout)
        return reading_refused(walk->reading, ENOTDIR, "is below what is no folder; build the "
                               "archive anew without");
    return make_folder(walk, child, name);
}

/* One component of LENGTH bytes at PATH. */
static int step(struct walk *walk, const char *path, size_t length)
{
    char name[FILE_TREE_NAME_MAX + 1];

    if (length == 0 || (length == 1 && path[0] == '.'))
        return 0;
    if (length == 2 && path[0] == '.' && path[1] == '.') {
        walk->at = walk->at->parent; /* the root's is itself */
        return 0;
    }
    if (length > FILE_TREE_NAME_MAX)
        return reading_refused(walk->reading, ENAMETOOLONG, "leads through a symbolic link to a name "
                               "of more than 255 bytes; build the archive anew without");
    memcpy(name, path, length);
    name[length] = '\0';
    return enter(walk, name);
}

/* Through all of PATH, be it an entry's folder or a link's target: the depth is LINKS_MAX at most. */
static int go(struct walk *walk, const char *path)
{
    if (path[0] == '/')
        walk->at = walk->reading->layer->tree.root;
    while (walk->at && *path) {
        size_t length = strcspn(path, "/");

        if (step(walk, path, length) < 0)
            return -walk->reading->error->number;
        path += length + (path[length] == '/');
    }
    return 0;
}

/* WALK to the folder of PATH's last component, which goes to NAME. */
static int go_above(struct walk *walk, const char *path, char name[ENTRY_NAME_SIZE])
{
    name[0] = '\0';
    while (walk->at && entry_path_next(&path, name))
        if (!entry_path_ends(path) && enter(walk, name) < 0)
            return -walk->reading->error->number;
    return 0;
}

int reading_walk(const struct reading *reading, const char *path, struct file_node **folder,
                 char name[ENTRY_NAME_SIZE])
{
    struct walk walk = { .reading = reading, .at = reading->layer->tree.root, .make = true };
    int result = go_above(&walk, path, name);

    *folder = walk.at;
    return result;
}

int reading_find(const struct reading *reading, const char *path, struct file_node **node)
{
    struct walk walk = { .reading = reading, .at = reading->layer->tree.root };
    char name[ENTRY_NAME_SIZE];

    *node = NULL;
    if (go_above(&walk, path, name) < 0)
        return -reading->error->number;
    if (walk.at)
        *node = name[0] ? file_node_child(walk.at, name) : walk.at;
    return 0;
}
