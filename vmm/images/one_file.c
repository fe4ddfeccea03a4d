/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of the host as an image, for a volume: its content, mode, owner, time and
 * extended attributes under a name that is always the same, as the guest has its own for it.
 *
 * Its stamp is as a folder's, with the file's device and number besides: files that were
 * written in one moment, of the same size, differ in nothing else.  The content is copied, so
 * that a look before and one after tell whether somebody wrote there: mkfs.erofs reads the copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/init/protocol.h"
#include "vmm/base/cleanup.h"
#include "vmm/images/erofs_image.h"
#include "vmm/images/host_file.h"
#include "vmm/images/resolve.h"

#define PIECE (256u << 10)

struct one_file {
    const char *path;
    int fd;
    struct stat status;
    struct digest stamp;
};

/* Puts the file's name before the message. */
static int named(const struct one_file *file, struct error *error)
{
    struct error inner = *error;

    return error_set(error, inner.number, "%s: %s", file->path, inner.message);
}

static int failed(const struct one_file *file, int number, struct error *error)
{
    host_file_failed(number, error);
    return named(file, error);
}

static struct digest stamp_of(const struct stat *status)
{
    static const char version[] = "mote file 1";
    const uint64_t numbers[] = {
        status->st_dev,
        status->st_ino,
        status->st_mode,
        status->st_uid,
        status->st_gid,
        (uint64_t)status->st_size,
        (uint64_t)status->st_mtim.tv_sec,
        (uint64_t)status->st_mtim.tv_nsec,
        (uint64_t)status->st_ctim.tv_sec,
        (uint64_t)status->st_ctim.tv_nsec,
    };
    struct sha256_ctx state;

    sha256_init(&state);
    sha256_update(&state, sizeof(version), (const uint8_t *)version);
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
        digest_number(&state, numbers[i]);
    return digest_end(&state);
}

/* Looks before it opens: a device may act on that, and a FIFO's writer wait for it. */
static int open_file(struct one_file *file, struct error *error)
{
    if (stat(file->path, &file->status) < 0)
        return error_set(error, errno, "%s: %s; check the path", file->path, strerror(errno));
    if (S_ISREG(file->status.st_mode)) {
        file->fd = open(file->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (file->fd < 0 || fstat(file->fd, &file->status) < 0)
            return failed(file, errno, error);
    }
    if (!S_ISREG(file->status.st_mode))
        return error_set(error, EINVAL, "%s: is no regular file; give one, or dir:PATH for a folder",
                         file->path);
    file->stamp = stamp_of(&file->status);
    return 0;
}

/* ---- its content ---- */

/* From AT to END, which is within the size. */
static int copy_part(const struct one_file *file, struct staging *staging,
                     const struct file_inode *inode, uint64_t at, uint64_t end, struct error *error)
{
    cleanup_free uint8_t *bytes = malloc(PIECE);

    if (!bytes)
        return error_system(error, ENOMEM, "the file");
    while (at < end) {
        ssize_t got = pread(file->fd, bytes, end - at < PIECE ? end - at : PIECE, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return host_file_failed(errno, error);
        if (got == 0)
            return host_file_changed(error);
        if (staging_data(staging, inode, at, bytes, (size_t)got, error) < 0)
            return -error->number;
        at += (uint64_t)got;
    }
    return 0;
}

/* What is no hole. */
static int copy_content(const struct one_file *file, struct staging *staging,
                        const struct file_inode *inode, struct error *error)
{
    off_t size = (off_t)inode->size, hole = 0;

    while (hole < size) {
        off_t data = lseek(file->fd, hole, SEEK_DATA);

        if (data < 0 && errno == ENXIO) /* a hole up to the end */
            return 0;
        hole = data < 0 ? -1 : lseek(file->fd, data, SEEK_HOLE);
        if (hole < 0)
            return errno == ENXIO ? host_file_changed(error) : host_file_failed(errno, error);
        if (data < size && copy_part(file, staging, inode, (uint64_t)data,
                                     (uint64_t)(hole < size ? hole : size), error) < 0)
            return -error->number;
    }
    return 0;
}

static int check_stamp(const struct one_file *file, struct error *error)
{
    struct digest again;
    struct stat status;

    if (fstat(file->fd, &status) < 0)
        return host_file_failed(errno, error);
    again = stamp_of(&status);
    return digest_equal(&file->stamp, &again) ? 0 : host_file_changed(error);
}

/* ---- the image ---- */

/* Takes INODE into TREE. */
static int stage(const struct one_file *file, struct staging *staging, struct file_tree *tree,
                 struct file_inode *inode, struct error *error)
{
    struct file_node *node;
    char path[32];

    host_file_attributes(inode, &file->status);
    if (file_tree_add(tree, tree->root, RUN_VOLUME_FILE, inode, &node, error) < 0) {
        file_inode_unused(inode);
        return -error->number;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
    if (host_file_xattrs(path, true, &inode->xattrs, error) < 0 ||
        staging_place(staging, inode, error) < 0 ||
        copy_content(file, staging, inode, error) < 0 ||
        staging_put(staging, inode, error) < 0 ||
        check_stamp(file, error) < 0)
        return -error->number;
    return staging_tree(staging, tree->root, error);
}

static int stage_file(const struct one_file *file, struct staging *staging, struct error *error)
{
    struct file_inode *inode = file_inode_new(S_IFREG);
    struct file_tree tree;
    int result;

    if (!inode)
        return error_system(error, ENOMEM, "the file");
    if (file_tree_init(&tree, error) < 0) {
        file_inode_unused(inode);
        return -error->number;
    }
    result = stage(file, staging, &tree, inode, error);
    file_tree_release(&tree);
    return result < 0 ? named(file, error) : 0;
}

static int write_image(struct resolution *resolution, const struct one_file *file,
                       const struct cache_entry *entry, struct error *error)
{
    struct staging_limits limits = resolution_limits(resolution);
    struct erofs_source source = { .path = STAGING_ROOT };
    struct staging staging;
    int result = erofs_image_check(error);

    if (result < 0)
        return result;
    result = staging_begin(&staging, entry->parts, &limits, error);
    progress_begin(resolution->progress, (uint64_t)file->status.st_size, "reading %.60s", file->path);
    if (result == 0)
        result = stage_file(file, &staging, error);
    if (result == 0 && erofs_image_make(&staging, &source, entry->fd, resolution->sandbox,
                                        file->stamp.bytes, resolution->progress, error) < 0)
        result = named(file, error);
    staging_end(&staging);
    return result;
}

static int file_image(struct resolution *resolution, const struct one_file *file,
                      struct error *error)
{
    struct cache_name name = { "file-", file->stamp, false };
    struct cache_entry entry;
    int result = cache_get(resolution->cache, &name, 1, &entry, error);

    if (result == 0 && entry.fd >= 0)
        result = write_image(resolution, file, &entry, error);
    if (result == 0 && entry.fd >= 0)
        result = cache_keep(&entry, error);
    cache_drop(&entry);
    if (result < 0)
        return result;
    return resolution_add_image(resolution, &entry, &file->stamp, error);
}

int resolve_file(struct resolution *resolution, const char *what, struct error *error)
{
    struct one_file file = { .path = what, .fd = -1 };
    int result = open_file(&file, error);

    if (result == 0)
        result = file_image(resolution, &file, error);
    cleanup_close(&file.fd);
    return result;
}
