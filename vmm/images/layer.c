/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer.h"

#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/images/entry_path.h"
#include "vmm/images/layer_reading.h"

/* Entries, repeated ones among them. */
#define ENTRIES_MAX (4u << 20)

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

/* ---- whiteouts ---- */

static int hide(const struct reading *reading, struct file_node *folder, const char *name)
{
    struct file_node *node = file_node_child(folder, name);

    /* What this layer has itself stays; a folder of its own hides the ones below. */
    if (node && S_ISDIR(node->inode->mode))
        node->inode->opaque = true;
    return node ? 0 : reading_name_inode(reading, folder, name, reading->layer->whiteout);
}

/* The last component of PATH; "" for the root. */
static void last_name(const char *path, char name[ENTRY_NAME_SIZE])
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
        return reading_refused(reading, EINVAL, "hides nothing that can be; build the archive anew without");
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
    char name[ENTRY_NAME_SIZE];

    if (reading_walk(reading, reading->path, &folder, name) < 0)
        /* Below a file of this layer nothing of the lower ones shows. */
        return reading->error->number == ENOTDIR ? 0 : -reading->error->number;
    return put_whiteout(reading, kind, folder, name);
}

/* ---- attributes ---- */

static int take_owner(const struct reading *reading, struct file_inode *inode)
{
    int64_t uid = archive_entry_uid(reading->entry), gid = archive_entry_gid(reading->entry);

    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
        return reading_refused(reading, ERANGE, "has an owner that Linux cannot have; build the archive "
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
            return reading_named(reading);
    if (file_tree_take_text(&reading->layer->tree, inode->xattrs.length, reading->error) < 0)
        return reading_named(reading);
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
            return reading_named(reading);
    }
}

static int put_regular(const struct reading *reading, struct file_inode *inode)
{
    int64_t size = archive_entry_size_is_set(reading->entry) ? archive_entry_size(reading->entry)
                                                             : 0;

    if (size < 0)
        return reading_refused(reading, EINVAL, "has a negative size; build the archive anew without");
    inode->size = (uint64_t)size;
    if (staging_place(reading->staging, inode, reading->error) < 0)
        return reading_named(reading);
    if (copy_content(reading, inode) < 0)
        return -reading->error->number;
    return staging_put(reading->staging, inode, reading->error);
}

static int put_symlink(const struct reading *reading, struct file_inode *inode)
{
    const char *target = archive_entry_symlink(reading->entry);

    if (!target || target[0] == '\0' || strlen(target) >= FILE_TREE_PATH_MAX)
        return reading_refused(reading, EINVAL, "is a link whose target is empty or too long; build the "
                       "archive anew without");
    inode->size = strlen(target);
    inode->mode = S_IFLNK | 0777; /* as every file system of Linux has it */
    if (file_tree_take_text(&reading->layer->tree, inode->size, reading->error) < 0)
        return reading_named(reading);
    inode->target = strdup(target);
    if (!inode->target)
        return error_system(reading->error, ENOMEM, "the list of files");
    if (reading->staging && staging_symlink(reading->staging, inode, target, reading->error) < 0)
        return reading_named(reading);
    return 0;
}

/* The entry's inode, with its content; all but folders are in the private folder then. */
static int put_inode(const struct reading *reading, struct file_inode *inode)
{
    if (take_attributes(reading, inode) < 0)
        return -reading->error->number;
    if (!reading->staging && !S_ISLNK(inode->mode))
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
            return reading_named(reading);
        return 0;
    default:
        return reading_refused(reading, EINVAL, "is of an unknown type; build the archive anew without");
    }
}

/* ---- entries ---- */

static int take_hard_link(const struct reading *reading, struct file_node *folder,
                          const char *name, const char *target)
{
    struct file_node *node;

    target = entry_path_below(target);
    if (entry_path_check(target, reading->error) < 0)
        return reading_refused(reading, EINVAL, "is a hard link that climbs out of the root; build the "
                       "archive anew without");
    if (reading_find(reading, target, &node) < 0)
        return -reading->error->number;
    if (!node || S_ISDIR(node->inode->mode) || node->inode->whiteout)
        return reading_refused(reading, ENOENT, "is a hard link to what its layer does not have; build "
                       "the archive anew without");
    if (node == file_node_child(folder, name))
        return 0;
    return reading_name_inode(reading, folder, name, node->inode);
}

static int take_entry(const struct reading *reading)
{
    const char *link = archive_entry_hardlink(reading->entry);
    char name[ENTRY_NAME_SIZE];
    struct file_node *folder;
    struct file_inode *inode;
    enum whiteout kind;

    if (entry_path_check(reading->path, reading->error) < 0)
        return -reading->error->number;
    last_name(reading->path, name);
    kind = whiteout_kind(name);
    if (kind != WHITEOUT_NONE)
        return take_whiteout(reading, kind);
    if (reading_walk(reading, reading->path, &folder, name) < 0)
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
    return reading_name_inode(reading, folder, name, inode);
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
    reading->path = entry_path_below(reading->path);
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
