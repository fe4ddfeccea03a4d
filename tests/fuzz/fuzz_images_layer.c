/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's archive: any bytes give a private folder or one line of why not.
 * Every name of the tree is found in the folder, as a plain file, a folder or a
 * link, and nothing beside the folder is touched; the listing tells of the same
 * tree, and a second layer inherits from it.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/images/layer_inherit.h"
#include "vmm/images/listing.h"

#define LIMIT (8u << 20)

static int look(struct file_node *node, void *context)
{
    const struct file_inode *inode = node->inode;
    int folder = *(int *)context, fd, result;
    struct stat status;

    fuzz_require(strcmp(node->name, ".") != 0 && strcmp(node->name, "..") != 0);
    fuzz_require(node->name[0] != '\0' && !strchr(node->name, '/'));
    fuzz_require(strncmp(node->name, ".wh..wh.", 8) != 0);
    fuzz_require(fstatat(folder, node->name, &status, AT_SYMLINK_NOFOLLOW) == 0);
    if (S_ISLNK(inode->mode)) {
        fuzz_require(S_ISLNK(status.st_mode));
        return 0;
    }
    if (!S_ISDIR(inode->mode)) {
        fuzz_require(status.st_mode == (S_IFREG | 0600));
        fuzz_require((uint64_t)status.st_size == inode->size);
        /* One link more in files/, where there are several. */
        fuzz_require(inode->whiteout || status.st_nlink == inode->users + (inode->users > 1));
        return 0;
    }
    fuzz_require(status.st_mode == (S_IFDIR | 0700));
    fd = openat(folder, node->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    fuzz_require(fd >= 0);
    result = file_node_each(node, look, &fd);
    close(fd);
    return result;
}

static int unpack(struct layer *layer, struct staging *staging, const uint8_t *data, size_t size,
                  struct error *error)
{
    struct archive *tar = archive_read_new();
    int result = 0;

    fuzz_require(tar && archive_read_support_format_tar(tar) == ARCHIVE_OK);
    if (archive_read_open_memory(tar, data, size) == ARCHIVE_OK)
        result = layer_unpack(layer, tar, staging, error);
    archive_read_free(tar);
    return result;
}

static int count(struct file_node *node, void *context)
{
    ++*(unsigned int *)context;
    return file_node_each(node, count, context);
}

/* Names in the tree; its own count has those too that are no longer there. */
static unsigned int names(const struct layer *layer)
{
    unsigned int result = 0;

    file_node_each(layer->tree.root, count, &result);
    return result;
}

static void check_listing(const struct layer *layer)
{
    struct error error = ERROR_INIT;
    struct layer lower, upper;
    int fd = memfd_create("listing", MFD_CLOEXEC);

    fuzz_require(listing_write(layer, fd, &error) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    fuzz_require(layer_init(&lower, &error) == 0 && layer_init(&upper, &error) == 0);
    fuzz_require(listing_read(&lower, fd, &error) == 0);
    fuzz_require(names(&lower) == names(layer));
    fuzz_require(lower.tree.root->inode->opaque == layer->tree.root->inode->opaque);
    fuzz_require(layer_inherit(&upper, &lower, 1, &error) == 0);
    fuzz_require(upper.tree.root->inode->mode == layer->tree.root->inode->mode);
    layer_release(&upper);
    layer_release(&lower);
    close(fd);
}

static void check(const struct layer *layer, const struct staging *staging)
{
    int root = openat(staging->fd, STAGING_ROOT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

    fuzz_require(root >= 0);
    fuzz_require(file_node_each(layer->tree.root, look, &root) == 0);
    close(root);
    fuzz_require(staging->image <= LIMIT && staging->taken <= staging->limits.room);
    check_listing(layer);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

/* Files in memory. */
static char world[] = "/dev/shm/mote-fuzz-XXXXXX", parts[sizeof(world) + 8];

static void leave(void)
{
    rmdir(world);
}

static void enter(void)
{
    fuzz_require(mkdtemp(world) && atexit(leave) == 0);
    snprintf(parts, sizeof(parts), "%s/parts", world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct staging_limits limits = { LIMIT, 3 * LIMIT };
    struct error error = ERROR_INIT;
    struct staging staging;
    struct layer layer;
    struct stat status;
    int fd;

    if (!parts[0])
        enter();
    fuzz_require(mkdir(parts, 0700) == 0);
    fd = open(parts, O_RDONLY | O_DIRECTORY);
    fuzz_require(layer_init(&layer, &error) == 0);
    fuzz_require(staging_begin(&staging, fd, &limits, &error) == 0);
    if (unpack(&layer, &staging, data, size, &error) < 0 ||
        staging_tree(&staging, layer.tree.root, &error) < 0)
        fuzz_require(error.message[0] && !strchr(error.message, '\n'));
    else
        check(&layer, &staging);
    staging_end(&staging);
    layer_release(&layer);
    close(fd);
    fuzz_require(nftw(parts, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
    /* Nothing but the folder was made. */
    fuzz_require(stat(world, &status) == 0 && status.st_nlink == 2);
    return 0;
}
