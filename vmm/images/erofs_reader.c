/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/erofs_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cleanup.h"

#define XATTR_BYTES_MAX (XATTRS_MAX + sizeof(struct erofs_xattr_header))

static int damaged(struct error *error)
{
    return error_set(error, EBADMSG, "a lower layer's image in the cache is damaged; remove it");
}

/* Exactly LENGTH bytes; the image's end is the bound. */
static int read_at(int fd, uint64_t offset, void *bytes, size_t length, struct error *error)
{
    ssize_t got;

    do
        got = offset > INT64_MAX ? 0 : pread(fd, bytes, length, (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return error_system(error, errno, "a lower layer's image");
    return (size_t)got == length ? 0 : damaged(error);
}

static int view_at(int fd, uint64_t nid, struct erofs_view *view, struct error *error)
{
    uint16_t format;

    if (nid > UINT64_MAX >> EROFS_SLOT_BITS)
        return damaged(error);
    *view = (struct erofs_view){ .fd = fd, .position = nid << EROFS_SLOT_BITS };
    if (read_at(fd, view->position, &view->inode, sizeof(view->inode), error) < 0)
        return -error->number;
    format = le16toh(view->inode.format);
    if (format != (1 | EROFS_FLAT_PLAIN << 1) && format != (1 | EROFS_FLAT_INLINE << 1))
        return damaged(error);
    return 0;
}

int erofs_view_root(int fd, struct erofs_view *root, struct error *error)
{
    struct erofs_super_block super;

    if (read_at(fd, EROFS_SUPER_OFFSET, &super, sizeof(super), error) < 0)
        return -error->number;
    if (le32toh(super.magic) != EROFS_MAGIC || super.block_bits != EROFS_BLOCK_BITS)
        return damaged(error);
    return view_at(fd, le16toh(super.root_nid), root, error);
}

bool erofs_view_is_folder(const struct erofs_view *view)
{
    return S_ISDIR(le16toh(view->inode.mode));
}

/* ---- folders ---- */

struct block {
    uint8_t bytes[EROFS_BLOCK];
    size_t length;
    size_t count; /* of entries */
};

static size_t xattr_length(const struct erofs_view *view)
{
    size_t count = le16toh(view->inode.xattr_count);

    return count > 0 ? sizeof(struct erofs_xattr_header) + 4 * (count - 1) : 0;
}

static int read_block(const struct erofs_view *folder, uint64_t index, struct block *block,
                      struct error *error)
{
    uint64_t left = le64toh(folder->inode.size) - index * EROFS_BLOCK;
    uint64_t at = ((uint64_t)le32toh(folder->inode.start_block) + index) << EROFS_BLOCK_BITS;
    struct erofs_dirent first;

    block->length = left < EROFS_BLOCK ? (size_t)left : EROFS_BLOCK;
    if (left < EROFS_BLOCK && le16toh(folder->inode.format) >> 1 == EROFS_FLAT_INLINE)
        at = folder->position + sizeof(folder->inode) + xattr_length(folder);
    if (block->length < sizeof(first))
        return damaged(error);
    if (read_at(folder->fd, at, block->bytes, block->length, error) < 0)
        return -error->number;
    memcpy(&first, block->bytes, sizeof(first));
    block->count = le16toh(first.name_offset) / sizeof(first);
    if (block->count == 0 || block->count * sizeof(first) > block->length)
        return damaged(error);
    return 0;
}

static int read_entry(const struct block *block, size_t index, struct erofs_dirent *entry,
                      char name[FILE_TREE_NAME_MAX + 1], struct error *error)
{
    struct erofs_dirent next;
    size_t begin, end = block->length;

    memcpy(entry, block->bytes + index * sizeof(*entry), sizeof(*entry));
    begin = le16toh(entry->name_offset);
    if (index + 1 < block->count) {
        memcpy(&next, block->bytes + (index + 1) * sizeof(next), sizeof(next));
        end = le16toh(next.name_offset);
    }
    if (begin >= end || end > block->length)
        return damaged(error);
    end = begin + strnlen((const char *)block->bytes + begin, end - begin);
    if (end - begin > FILE_TREE_NAME_MAX)
        return damaged(error);
    memcpy(name, block->bytes + begin, end - begin);
    name[end - begin] = '\0';
    return 0;
}

/* The last block whose first name is not behind NAME. */
static int find_block(const struct erofs_view *folder, const char *name, struct block *block,
                      struct error *error)
{
    uint64_t low = 0, high = (le64toh(folder->inode.size) + EROFS_BLOCK - 1) / EROFS_BLOCK;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        char first[FILE_TREE_NAME_MAX + 1];
        struct erofs_dirent entry;

        if (read_block(folder, middle, block, error) < 0 ||
            read_entry(block, 0, &entry, first, error) < 0)
            return -error->number;
        if (strcmp(first, name) <= 0)
            low = middle;
        else
            high = middle;
    }
    return read_block(folder, low, block, error);
}

int erofs_view_child(const struct erofs_view *folder, const char *name, struct erofs_view *child,
                     struct error *error)
{
    uint64_t size = le64toh(folder->inode.size);
    struct block block;

    if (size == 0 || size > (uint64_t)FILE_TREE_NODES_MAX * EROFS_BLOCK)
        return damaged(error);
    if (find_block(folder, name, &block, error) < 0)
        return -error->number;
    for (size_t i = 0; i < block.count; i++) {
        char found[FILE_TREE_NAME_MAX + 1];
        struct erofs_dirent entry;

        if (read_entry(&block, i, &entry, found, error) < 0)
            return -error->number;
        if (strcmp(found, name) == 0)
            return view_at(folder->fd, le64toh(entry.nid), child, error) < 0 ? -error->number : 1;
    }
    return 0;
}

/* ---- attributes ---- */

/* The entries of VIEW's extended attributes; *LENGTH bytes, to be freed. */
static uint8_t *read_xattrs(const struct erofs_view *view, size_t *length, struct error *error)
{
    cleanup_free uint8_t *bytes = malloc(XATTR_BYTES_MAX);

    *length = xattr_length(view);
    if (!bytes) {
        error_system(error, ENOMEM, "extended attributes");
        return NULL;
    }
    if (*length > XATTR_BYTES_MAX) {
        damaged(error);
        return NULL;
    }
    if (*length == 0)
        return steal_pointer(&bytes);
    *length -= sizeof(struct erofs_xattr_header);
    if (read_at(view->fd,
                view->position + sizeof(view->inode) + sizeof(struct erofs_xattr_header), bytes,
                *length, error) < 0)
        return NULL;
    return steal_pointer(&bytes);
}

int erofs_view_is_opaque(const struct erofs_view *folder, bool *opaque, struct error *error)
{
    size_t length;
    cleanup_free uint8_t *bytes = read_xattrs(folder, &length, error);

    *opaque = false;
    if (!bytes)
        return -error->number;
    return xattrs_find_opaque(bytes, length, opaque) < 0 ? damaged(error) : 0;
}

int erofs_view_attributes(const struct erofs_view *view, struct file_inode *inode,
                          struct error *error)
{
    size_t length;
    cleanup_free uint8_t *bytes = read_xattrs(view, &length, error);

    if (!bytes)
        return -error->number;
    inode->mode = le16toh(view->inode.mode);
    inode->uid = le32toh(view->inode.uid);
    inode->gid = le32toh(view->inode.gid);
    inode->mtime.tv_sec = (time_t)le64toh(view->inode.mtime);
    inode->mtime.tv_nsec = le32toh(view->inode.mtime_nsec);
    return xattrs_copy(&inode->xattrs, bytes, length, error);
}
