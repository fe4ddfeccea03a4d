/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer.h"

#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/images/entry_path.h"

/* Entries, repeated ones among them. */
#define ENTRIES_MAX (4u << 20)

/* One entry while it is read. */
struct reading {
    struct layer *layer;
    struct staging *staging; /* or NULL */
    struct archive *tar;
    struct archive_entry *entry;
    const char *path;
    struct error *error;
};

int layer_init(struct layer *layer, struct error *error)
{
    *layer = (struct layer){ .entries = 0 };
    if (file_tree_init(&layer->tree, error) < 0)
        return -error->number;
    layer->whiteout = file_inode_new(S_IFCHR);
    if (!layer->whiteout)
        return error_system(error, ENOMEM, "the list of files");
    layer->whiteout->users = 1; /* our own, until the end */
    layer->whiteout->whiteout = true;
    return 0;
}

void layer_release(struct layer *layer)
{
    file_tree_release(&layer->tree);
    if (layer->whiteout)
        layer->whiteout->users--;
    file_inode_unused(layer->whiteout);
    layer->whiteout = NULL;
}

/* "entry PATH: WHAT" */
static int refused(const struct reading *reading, int number, const char *what)
{
    return error_set(reading->error, number, "entry %s: %s", reading->path, what);
}

/* Puts the entry before a message that does not know it. */
static int named(const struct reading *reading)
{
    struct error inner = *reading->error;

    return refused(reading, inner.number, inner.message);
}

/* ---- places in the tree ---- */

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
        return refused(reading, ENOTEMPTY, "would replace a folder that has files; build the "
                       "archive anew without");
    return 0;
}

static struct file_inode *implied_folder(void)
{
    struct file_inode *inode = file_inode_new(S_IFDIR | 0755);

    if (inode)
        inode->implied = true;
    return inode;
}

/* The child NAME of *NODE, which becomes it: a folder, made if there is none. */
static int enter(const struct reading *reading, struct file_node **node, const char *name)
{
    struct file_node *child = file_node_child(*node, name);
    struct file_inode *inode;
    int result;

    if (child && S_ISDIR(child->inode->mode)) {
        *node = child;
        return 0;
    }
    if (child && !child->inode->whiteout)
        return refused(reading, ENOTDIR,
                       S_ISLNK(child->inode->mode)
                           ? "climbs through a symbolic link of the archive; build it anew without"
                           : "is below what is no folder; build the archive anew without");
    inode = implied_folder();
    if (!inode)
        return error_system(reading->error, ENOMEM, "the list of files");
    result = child ? replace(reading, child, inode)
                   : file_tree_add(&reading->layer->tree, *node, name, inode, &child,
                                   reading->error);
    if (result < 0) {
        file_inode_unused(inode);
        return result;
    }
    *node = child;
    return 0;
}

/* The folder that PATH's last component is in; that goes to NAME, "" for the root itself. */
static int walk(const struct reading *reading, const char *path, struct file_node **folder,
                char name[FILE_TREE_NAME_MAX + 1])
{
    *folder = reading->layer->tree.root;
    name[0] = '\0';
    while (entry_path_next(&path, name))
        if (!entry_path_ends(path) && enter(reading, folder, name) < 0)
            return -reading->error->number;
    return 0;
}

/* Lets FOLDER have INODE under NAME, whatever it was before.  Takes INODE. */
static int name_inode(const struct reading *reading, struct file_node *folder, const char *name,
                      struct file_inode *inode)
{
    struct file_node *node = name[0] ? file_node_child(folder, name) : folder;
    int result;

    if (node && node->parent == node && !S_ISDIR(inode->mode))
        result = refused(reading, ENOTDIR, "would replace the root; build the archive anew "
                         "without");
    else if (node)
        result = replace(reading, node, inode);
    else
        result = file_tree_add(&reading->layer->tree, folder, name, inode, &node, reading->error);
    if (result < 0)
        file_inode_unused(inode);
    return result;
}

/* ---- whiteouts ---- */

static int hide(const struct reading *reading, struct file_node *folder, const char *name)
{
    struct file_node *node = file_node_child(folder, name);

    /* What this layer has itself stays; a folder of its own hides the ones below. */
    if (node && S_ISDIR(node->inode->mode))
        node->inode->opaque = true;
    return node ? 0 : name_inode(reading, folder, name, reading->layer->whiteout);
}

/* The last component of PATH; "" for the root. */
static void last_name(const char *path, char name[FILE_TREE_NAME_MAX + 1])
{
    name[0] = '\0';
    while (entry_path_next(&path, name))
        ;
}

/* What stands for KIND in FOLDER. */
static int put_whiteout(const struct reading *reading, enum whiteout kind,
                        struct file_node *folder, const char *name)
{
    switch (kind) {
    case WHITEOUT_NAME:
        return hide(reading, folder, name + WHITEOUT_PREFIX_LENGTH);
    case WHITEOUT_OPAQUE:
        folder->inode->opaque = true;
        return 0;
    case WHITEOUT_WRONG:
        return refused(reading, EINVAL, "hides nothing that can be; build the archive anew without");
    case WHITEOUT_NONE:
    case WHITEOUT_IGNORED:
        break;
    }
    return 0;
}

/* An entry that says something about lower layers' files. */
static int take_whiteout(const struct reading *reading, enum whiteout kind)
{
    struct file_node *folder;
    char name[FILE_TREE_NAME_MAX + 1];

    if (walk(reading, reading->path, &folder, name) < 0)
        /* Below a file of this layer nothing of the lower ones shows. */
        return reading->error->number == ENOTDIR ? 0 : -reading->error->number;
    return put_whiteout(reading, kind, folder, name);
}

/* ---- attributes ---- */

static int take_owner(const struct reading *reading, struct file_inode *inode)
{
    int64_t uid = archive_entry_uid(reading->entry), gid = archive_entry_gid(reading->entry);

    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
        return refused(reading, ERANGE, "has an owner that Linux cannot have; build the archive "
                       "anew without");
    inode->uid = (uid_t)uid;
    inode->gid = (gid_t)gid;
    return 0;
}

static int take_xattrs(const struct reading *reading, struct file_inode *inode)
{
    const char *name;
    const void *value;
    size_t length;

    archive_entry_xattr_reset(reading->entry);
    while (archive_entry_xattr_next(reading->entry, &name, &value, &length) == ARCHIVE_OK)
        if (name && xattrs_add(&inode->xattrs, name, value, length, reading->error) < 0)
            return named(reading);
    return 0;
}

static int take_attributes(const struct reading *reading, struct file_inode *inode)
{
    struct archive_entry *entry = reading->entry;
    long nanoseconds = archive_entry_mtime_nsec(entry);

    inode->mtime.tv_sec = archive_entry_mtime(entry);
    inode->mtime.tv_nsec = nanoseconds >= 0 && nanoseconds < 1000000000 ? nanoseconds : 0;
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
        inode->rdev = archive_entry_rdev(entry);
    if (take_owner(reading, inode) < 0)
        return -reading->error->number;
    return take_xattrs(reading, inode);
}

/* ---- content ---- */

static int unreadable(const struct reading *reading)
{
    const char *why = archive_error_string(reading->tar);

    return error_set(reading->error, EIO, "entry %s: cannot be read (%s); build or fetch the image "
                     "anew", reading->path, why ? why : "it is damaged");
}

static int copy_content(const struct reading *reading, const struct file_inode *inode)
{
    for (;;) {
        const void *bytes;
        size_t length;
        la_int64_t offset;
        int state = archive_read_data_block(reading->tar, &bytes, &length, &offset);

        if (state == ARCHIVE_EOF)
            return 0;
        if (state == ARCHIVE_RETRY)
            continue;
        if (state < ARCHIVE_WARN)
            return unreadable(reading);
        if (length > 0 && (offset < 0 || staging_data(reading->staging, inode, (uint64_t)offset,
                                                      bytes, length, reading->error) < 0))
            return named(reading);
    }
}

static int put_regular(const struct reading *reading, struct file_inode *inode)
{
    int64_t size = archive_entry_size_is_set(reading->entry) ? archive_entry_size(reading->entry)
                                                             : 0;

    if (size < 0)
        return refused(reading, EINVAL, "has a negative size; build the archive anew without");
    inode->size = (uint64_t)size;
    if (staging_place(reading->staging, inode, reading->error) < 0)
        return named(reading);
    if (copy_content(reading, inode) < 0)
        return -reading->error->number;
    return staging_put(reading->staging, inode, reading->error);
}

static int put_symlink(const struct reading *reading, struct file_inode *inode)
{
    const char *target = archive_entry_symlink(reading->entry);

    if (!target || target[0] == '\0' || strlen(target) >= FILE_TREE_PATH_MAX)
        return refused(reading, EINVAL, "is a link whose target is empty or too long; build the "
                       "archive anew without");
    inode->size = strlen(target);
    inode->mode = S_IFLNK | 0777; /* as every file system of Linux has it */
    if (staging_symlink(reading->staging, inode, target, reading->error) < 0)
        return named(reading);
    return 0;
}

/* The entry's inode, with its content; all but folders are in the private folder then. */
static int put_inode(const struct reading *reading, struct file_inode *inode)
{
    if (take_attributes(reading, inode) < 0)
        return -reading->error->number;
    if (!reading->staging)
        return 0;
    switch (inode->mode & S_IFMT) {
    case S_IFDIR:
        return 0;
    case S_IFREG:
        return put_regular(reading, inode);
    case S_IFLNK:
        return put_symlink(reading, inode);
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
        if (staging_special(reading->staging, inode, reading->error) < 0)
            return named(reading);
        return 0;
    default:
        return refused(reading, EINVAL, "is of an unknown type; build the archive anew without");
    }
}

/* ---- entries ---- */

static struct file_node *find(const struct reading *reading, const char *path)
{
    struct file_node *node = reading->layer->tree.root;
    char name[FILE_TREE_NAME_MAX + 1];

    while (node && entry_path_next(&path, name))
        node = S_ISDIR(node->inode->mode) ? file_node_child(node, name) : NULL;
    return node;
}

static int take_hard_link(const struct reading *reading, struct file_node *folder,
                          const char *name, const char *target)
{
    struct file_node *node;

    if (entry_path_check(target, reading->error) < 0)
        return refused(reading, EINVAL, "is a hard link that climbs out of the root; build the "
                       "archive anew without");
    node = find(reading, target);
    if (!node || S_ISDIR(node->inode->mode) || node->inode->whiteout)
        return refused(reading, ENOENT, "is a hard link to what its layer does not have; build "
                       "the archive anew without");
    if (node == file_node_child(folder, name))
        return 0;
    return name_inode(reading, folder, name, node->inode);
}

static int take_entry(const struct reading *reading)
{
    const char *link = archive_entry_hardlink(reading->entry);
    char name[FILE_TREE_NAME_MAX + 1];
    struct file_node *folder;
    struct file_inode *inode;
    enum whiteout kind;

    if (entry_path_check(reading->path, reading->error) < 0)
        return -reading->error->number;
    last_name(reading->path, name);
    kind = whiteout_kind(name);
    if (kind != WHITEOUT_NONE)
        return take_whiteout(reading, kind);
    if (walk(reading, reading->path, &folder, name) < 0)
        return -reading->error->number;
    if (link)
        return take_hard_link(reading, folder, name, link);
    inode = file_inode_new(archive_entry_mode(reading->entry) & (S_IFMT | 07777));
    if (!inode)
        return error_system(reading->error, ENOMEM, "the list of files");
    if (put_inode(reading, inode) < 0) {
        file_inode_unused(inode);
        return -reading->error->number;
    }
    return name_inode(reading, folder, name, inode);
}

/* A header that is no good ends all; of one with a warning all that matters could be read. */
static int next_entry(struct reading *reading)
{
    int state;

    do
        state = archive_read_next_header(reading->tar, &reading->entry);
    while (state == ARCHIVE_RETRY);
    if (state == ARCHIVE_EOF)
        return 0;
    if (state < ARCHIVE_WARN)
        return error_set(reading->error, EIO, "cannot be read as a tar archive (%s); build or "
                         "fetch it anew", archive_error_string(reading->tar)
                             ? archive_error_string(reading->tar)
                             : "it is none");
    if (++reading->layer->entries > ENTRIES_MAX)
        return error_set(reading->error, E2BIG, "has more than %u entries; take some out",
                         ENTRIES_MAX);
    reading->path = archive_entry_pathname(reading->entry);
    if (!reading->path)
        return error_set(reading->error, EINVAL, "has an entry without a name; build the archive "
                         "anew");
    return 1;
}

int layer_unpack(struct layer *layer, struct archive *tar, struct staging *staging,
                 struct error *error)
{
    struct reading reading = { .layer = layer, .staging = staging, .tar = tar, .error = error };
    int state;

    while ((state = next_entry(&reading)) > 0)
        if (take_entry(&reading) < 0)
            return -error->number;
    return state;
}
