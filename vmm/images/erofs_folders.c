/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folders of an erofs image.  An entry names its inode by position, also
 * "..", so all folders get their places first and are written after that; the
 * blocks that their entries fill are the same both times.
 */
#include "vmm/images/erofs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/cleanup.h"

struct entry {
    const char *name;
    const struct file_inode *inode;
};

struct entries {
    struct entry *list;
    size_t count;
    uint32_t folders; /* among the children */
};

static int collect(struct file_node *child, void *context)
{
    struct entries *entries = context;

    entries->list[entries->count++] = (struct entry){ child->name, child->inode };
    entries->folders += S_ISDIR(child->inode->mode);
    return 0;
}

static int compare(const void *left, const void *right)
{
    return strcmp(((const struct entry *)left)->name, ((const struct entry *)right)->name);
}

/* All entries in their order; "." and ".." stand among them: '!' comes before '.'. */
static int list_entries(struct file_node *folder, struct entries *entries, struct error *error)
{
    *entries = (struct entries){ .list = calloc(folder->child_count + 2ul, sizeof(struct entry)) };
    if (!entries->list)
        return error_system(error, ENOMEM, "the list of files");
    entries->list[entries->count++] = (struct entry){ ".", folder->inode };
    entries->list[entries->count++] = (struct entry){ "..", folder->parent->inode };
    file_node_each(folder, collect, entries);
    qsort(entries->list, entries->count, sizeof(struct entry), compare);
    return 0;
}

/* How many entries from FIRST on one block holds; *LENGTH is what they take of it. */
static size_t entries_of_block(const struct entries *entries, size_t first, size_t *length)
{
    size_t count = 0;

    for (*length = 0; first + count < entries->count; count++) {
        size_t more = sizeof(struct erofs_dirent) + strlen(entries->list[first + count].name);

        if (*length + more > EROFS_BLOCK)
            break;
        *length += more;
    }
    return count;
}

/* All blocks but the last count whole. */
static uint64_t folder_size(const struct entries *entries)
{
    uint64_t size = 0;
    size_t length;

    for (size_t at = 0; at < entries->count; size = size + length) {
        size = (size + EROFS_BLOCK - 1) & ~(uint64_t)(EROFS_BLOCK - 1);
        at += entries_of_block(entries, at, &length);
    }
    return size;
}

static uint8_t file_type(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return EROFS_TYPE_FOLDER;
    case S_IFCHR:
        return EROFS_TYPE_CHARACTER;
    case S_IFBLK:
        return EROFS_TYPE_BLOCK;
    case S_IFIFO:
        return EROFS_TYPE_FIFO;
    case S_IFSOCK:
        return EROFS_TYPE_SOCKET;
    case S_IFLNK:
        return EROFS_TYPE_SYMLINK;
    default:
        return EROFS_TYPE_REGULAR;
    }
}

/* COUNT entries from FIRST on, which fill LENGTH bytes of BLOCK. */
static void fill_block(const struct entries *entries, size_t first, size_t count, uint8_t *block)
{
    size_t name = count * sizeof(struct erofs_dirent);

    memset(block, 0, EROFS_BLOCK);
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &entries->list[first + i];
        struct erofs_dirent dirent = {
            .nid = htole64(entry->inode->position >> EROFS_SLOT_BITS),
            .name_offset = htole16((uint16_t)name),
            .file_type = file_type(entry->inode->mode),
        };
        size_t length = strlen(entry->name);

        memcpy(block + i * sizeof(dirent), &dirent, sizeof(dirent));
        memcpy(block + name, entry->name, length);
        name += length;
    }
}

static int write_entries(struct erofs *image, const struct file_inode *inode,
                         const struct entries *entries, struct error *error)
{
    uint8_t block[EROFS_BLOCK];
    uint64_t offset = 0;

    erofs_resume(image);
    for (size_t at = 0; at < entries->count; offset += EROFS_BLOCK) {
        size_t length, count = entries_of_block(entries, at, &length);

        fill_block(entries, at, count, block);
        at += count;
        if (erofs_data(image, inode, offset, block,
                       at < entries->count ? EROFS_BLOCK : length, error) < 0)
            return -error->number;
    }
    return erofs_put(image, inode, 2 + entries->folders, error);
}

struct walk {
    struct erofs *image;
    struct error *error;
};

static int place_folder(struct file_node *folder, void *context)
{
    struct walk *walk = context;
    struct entries entries;

    if (!S_ISDIR(folder->inode->mode))
        return 0;
    if (list_entries(folder, &entries, walk->error) < 0)
        return -walk->error->number;
    folder->inode->size = folder_size(&entries);
    free(entries.list);
    if ((folder->parent == folder
             ? erofs_place_at_root(walk->image, folder->inode, walk->error)
             : erofs_place(walk->image, folder->inode, walk->error)) < 0)
        return -walk->error->number;
    return file_node_each(folder, place_folder, walk);
}

static int write_node(struct file_node *node, void *context)
{
    struct walk *walk = context;
    struct file_inode *inode = node->inode;
    struct entries entries;
    int result;

    if (!S_ISDIR(inode->mode)) {
        /* Was put when its other names were not known. */
        return inode->users > 1 ? erofs_put_links(walk->image, inode, walk->error) : 0;
    }
    if (list_entries(node, &entries, walk->error) < 0)
        return -walk->error->number;
    result = write_entries(walk->image, inode, &entries, walk->error);
    free(entries.list);
    return result < 0 ? result : file_node_each(node, write_node, walk);
}

int erofs_write_folders(struct erofs *image, struct file_node *root, struct error *error)
{
    struct walk walk = { image, error };

    if (place_folder(root, &walk) < 0 || write_node(root, &walk) < 0)
        return -error->number;
    return 0;
}
