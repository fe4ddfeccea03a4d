/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/listing.h"

#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/images/entry_path.h"

#define PIECE 65536

/* Without and with an opaque root. */
static const char heads[2][LISTING_HEAD + 1] = { "mote-listing 2-\n", "mote-listing 2o\n" };

/* ---- writing ---- */

struct writing {
    struct archive *tar;
    struct archive_entry *entry;
    struct error *error;
};

static int failed(const struct writing *writing)
{
    const char *text = archive_error_string(writing->tar);

    return error_set(writing->error, EIO, "the cache: a layer's listing cannot be written (%s); "
                     "check the disk", text ? text : "out of memory");
}

/* An entry PATH + LAST of TYPE: a folder with the attributes of INODE, a link with its target. */
static int write_entry(const struct writing *writing, const char *path, const char *last,
                       mode_t type, const struct file_inode *inode)
{
    struct archive_entry *entry = archive_entry_clear(writing->entry);
    char whole[FILE_TREE_PATH_MAX + 32];
    const char *name;
    const void *value;
    size_t at = 0, length;

    snprintf(whole, sizeof(whole), "%s%s", path, last);
    archive_entry_copy_pathname(entry, whole);
    archive_entry_set_mode(entry, type == S_IFDIR ? inode->mode : type | 0600);
    archive_entry_set_size(entry, 0);
    if (type == S_IFLNK)
        archive_entry_set_symlink(entry, inode->target);
    if (type == S_IFDIR) {
        archive_entry_set_uid(entry, inode->uid);
        archive_entry_set_gid(entry, inode->gid);
        archive_entry_set_mtime(entry, inode->mtime.tv_sec, inode->mtime.tv_nsec);
        while (xattrs_next(&inode->xattrs, &at, &name, &value, &length))
            archive_entry_xattr_add_entry(entry, name, value, length);
    }
    return archive_write_header(writing->tar, entry) < ARCHIVE_WARN ? failed(writing) : 0;
}

static int write_node(struct file_node *node, void *context)
{
    const struct writing *writing = context;
    bool root = node->parent == node;
    char path[FILE_TREE_PATH_MAX];

    file_node_path(node, path, sizeof(path));
    if (!S_ISDIR(node->inode->mode))
        return write_entry(writing, path, "", S_ISLNK(node->inode->mode) ? S_IFLNK : S_IFREG,
                           node->inode);
    if (node->inode->opaque && write_entry(writing, path, root ? WHITEOUT_OPAQUE_NAME
                                                               : "/" WHITEOUT_OPAQUE_NAME,
                                           S_IFREG, NULL) < 0)
        return -writing->error->number;
    if (write_entry(writing, path, root ? "./" : "/", S_IFDIR, node->inode) < 0)
        return -writing->error->number;
    return file_node_each(node, write_node, context);
}

int listing_write(const struct layer *layer, int fd, struct error *error)
{
    struct writing writing = { archive_write_new(), archive_entry_new(), error };
    const char *head = heads[layer->tree.root->inode->opaque];
    int result;

    if (!writing.tar || !writing.entry)
        result = error_system(error, ENOMEM, "the layer");
    else if (archive_write_add_filter_zstd(writing.tar) != ARCHIVE_OK ||
             archive_write_set_format_pax(writing.tar) != ARCHIVE_OK ||
             write(fd, head, LISTING_HEAD) != LISTING_HEAD ||
             archive_write_open_fd(writing.tar, fd) != ARCHIVE_OK)
        result = failed(&writing);
    else
        result = write_node(layer->tree.root, &writing);
    if (result == 0 && archive_write_close(writing.tar) != ARCHIVE_OK)
        result = failed(&writing);
    archive_entry_free(writing.entry);
    archive_write_free(writing.tar);
    return result;
}

/* ---- reading ---- */

static int damaged(struct error *error)
{
    return error_set(error, EBADMSG, "a lower layer's listing in the cache is damaged; remove it");
}

static int read_head(int fd, bool *opaque, struct error *error)
{
    char head[LISTING_HEAD];

    if (read(fd, head, sizeof(head)) != sizeof(head))
        return damaged(error);
    *opaque = memcmp(head, heads[true], LISTING_HEAD) == 0;
    return *opaque || memcmp(head, heads[false], LISTING_HEAD) == 0 ? 0 : damaged(error);
}

static struct archive *open_listing(int fd, struct error *error)
{
    struct archive *tar;
    bool opaque;

    if (read_head(fd, &opaque, error) < 0)
        return NULL;
    tar = archive_read_new();
    if (!tar) {
        error_system(error, ENOMEM, "the layer");
        return NULL;
    }
    archive_read_support_filter_zstd(tar);
    archive_read_support_format_tar(tar);
    if (archive_read_open_fd(tar, fd, PIECE) == ARCHIVE_OK)
        return tar;
    damaged(error);
    archive_read_free(tar);
    return NULL;
}

int listing_read(struct layer *layer, int fd, struct error *error)
{
    struct error inner = ERROR_INIT;
    struct archive *tar = open_listing(fd, error);
    int result;

    if (!tar)
        return -error->number;
    result = layer_unpack(layer, tar, NULL, &inner);
    archive_read_free(tar);
    if (result < 0 && inner.number == ENOMEM)
        *error = inner;
    else if (result < 0)
        damaged(error);
    return result < 0 ? -error->number : 0;
}

int listing_root_is_opaque(int fd, bool *opaque, struct error *error)
{
    return read_head(fd, opaque, error);
}
