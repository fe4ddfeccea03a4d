/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a folder's files into an image. */
#include "vmm/images/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "vmm/cleanup.h"

#define PIECE (1u << 20)
#define NAMES_MAX (64u << 10) /* the kernel's own bound on a list of names */
#define VALUE_MAX (64u << 10)

struct reading {
    struct folder *folder;
    struct erofs *image;
    struct progress *progress;
    struct error *error;
    int fd; /* of the folder whose children are visited */
    uint8_t *piece;
};

/* Sets "FOLDER/path: what". */
static int wrong(const struct reading *reading, const struct file_node *node, int number,
                 const char *what)
{
    char path[256];

    return error_set(reading->error, number, "%s/%s: %s", reading->folder->path,
                     file_node_path(node, path, sizeof(path)), what);
}

static int changed(const struct reading *reading, const struct file_node *node)
{
    return wrong(reading, node, EAGAIN,
                 "changed while it was read; try again when nobody writes there");
}

static int failed(const struct reading *reading, const struct file_node *node, int number)
{
    char what[160];

    snprintf(what, sizeof(what), "cannot be read (%s); %s", strerror(number),
             number == EACCES || number == EPERM ? "make it readable, or run this as its owner"
                                                 : "check it");
    return wrong(reading, node, number, what);
}

/* Puts "FOLDER/path: " before the message of whoever does not know the file. */
static int named(const struct reading *reading, const struct file_node *node)
{
    struct error inner = *reading->error;

    return wrong(reading, node, inner.number, inner.message);
}

/* ---- extended attributes ---- */

/* The host's security labels tell of the host, not of the image. */
static bool is_host_label(const char *name)
{
    return strcmp(name, "security.selinux") == 0 || strcmp(name, "security.ima") == 0 ||
           strcmp(name, "security.evm") == 0;
}

/* LIST is of the file that FILE names, a path that does not follow its last part. */
static int add_xattrs(const struct reading *reading, const struct file_node *node,
                      const char *file, const char *list, size_t length)
{
    cleanup_free uint8_t *value = malloc(VALUE_MAX);

    if (!value)
        return error_system(reading->error, ENOMEM, "extended attributes");
    for (size_t at = 0; at < length; at += strlen(list + at) + 1) {
        ssize_t got;

        if (is_host_label(list + at))
            continue;
        got = lgetxattr(file, list + at, value, VALUE_MAX);
        if (got < 0 && errno == ENODATA)
            return changed(reading, node);
        if (got < 0)
            return failed(reading, node, errno);
        if (xattrs_add(&node->inode->xattrs, list + at, value, (size_t)got, reading->error) < 0)
            return named(reading, node);
    }
    return 0;
}

static int read_xattrs(const struct reading *reading, const struct file_node *node)
{
    char file[64 + FILE_TREE_NAME_MAX];
    cleanup_free char *list = NULL;
    ssize_t length;

    /* There is no flistxattrat(2) yet; the root's own name is empty. */
    snprintf(file, sizeof(file), "/proc/self/fd/%d/%s", reading->fd, node->name);
    length = llistxattr(file, NULL, 0);
    if (length == 0 || (length < 0 && errno == EOPNOTSUPP))
        return 0;
    list = malloc(NAMES_MAX);
    if (!list)
        return error_system(reading->error, ENOMEM, "extended attributes");
    length = llistxattr(file, list, NAMES_MAX);
    if (length < 0)
        return failed(reading, node, errno);
    return add_xattrs(reading, node, file, list, (size_t)length);
}

/* ---- content ---- */

static bool same(const struct file_inode *inode, const struct stat *status)
{
    return inode->mode == status->st_mode && inode->size == (uint64_t)status->st_size &&
           inode->mtime.tv_sec == status->st_mtim.tv_sec &&
           inode->mtime.tv_nsec == status->st_mtim.tv_nsec &&
           inode->ctime.tv_sec == status->st_ctim.tv_sec &&
           inode->ctime.tv_nsec == status->st_ctim.tv_nsec;
}

/* [START, END) of the file, which has no holes there. */
static int copy_range(const struct reading *reading, const struct file_node *node, int fd,
                      uint64_t start, uint64_t end)
{
    while (start < end) {
        size_t length = end - start < PIECE ? (size_t)(end - start) : PIECE;
        ssize_t got = pread(fd, reading->piece, length, (off_t)start);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(reading, node, errno);
        if (got == 0)
            return changed(reading, node);
        if (erofs_data(reading->image, node->inode, start, reading->piece, (size_t)got,
                       reading->error) < 0)
            return named(reading, node);
        start += (uint64_t)got;
        progress_add(reading->progress, (uint64_t)got);
    }
    return 0;
}

/* Holes stay holes. */
static int copy_content(const struct reading *reading, const struct file_node *node, int fd)
{
    uint64_t size = node->inode->size, at = 0;

    while (at < size) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

        if (data < 0 && errno == ENXIO)
            return 0;
        if (data < 0 || hole < 0) /* a file system without: all is data */
            return copy_range(reading, node, fd, at, size);
        if ((uint64_t)data >= size)
            return 0;
        at = (uint64_t)hole < size ? (uint64_t)hole : size;
        if (copy_range(reading, node, fd, (uint64_t)data, at) < 0)
            return -reading->error->number;
    }
    return 0;
}

static int put_regular(const struct reading *reading, const struct file_node *node)
{
    cleanup_fd int fd = openat(reading->fd, node->name,
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;

    if (fd < 0)
        return failed(reading, node, errno);
    if (fstat(fd, &status) < 0)
        return failed(reading, node, errno);
    if (!same(node->inode, &status))
        return changed(reading, node);
    if (erofs_place(reading->image, node->inode, reading->error) < 0)
        return named(reading, node);
    if (copy_content(reading, node, fd) < 0)
        return -reading->error->number;
    if (fstat(fd, &status) < 0 || !same(node->inode, &status))
        return changed(reading, node);
    if (erofs_put(reading->image, node->inode, 1, reading->error) < 0)
        return named(reading, node);
    return 0;
}

static int put_symlink(const struct reading *reading, const struct file_node *node)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(reading->fd, node->name, target, sizeof(target));

    if (length < 0)
        return failed(reading, node, errno);
    if ((uint64_t)length != node->inode->size && node->inode->size != 0)
        return changed(reading, node);
    node->inode->size = (uint64_t)length; /* some file systems tell none */
    if (erofs_add_small(reading->image, node->inode, target, reading->error) < 0)
        return named(reading, node);
    return 0;
}

static int put_node(struct file_node *node, void *context);

static int put_folder(const struct reading *reading, struct file_node *node)
{
    struct reading inside = *reading;
    cleanup_fd int fd = -1;

    if (node->child_count == 0) /* or another file system is mounted there */
        return 0;
    fd = openat(reading->fd, node->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(reading, node, errno);
    inside.fd = fd;
    return file_node_each(node, put_node, &inside);
}

static int put_node(struct file_node *node, void *context)
{
    const struct reading *reading = context;

    if (node->inode->placed)
        return 0; /* another name of a file that is in the image */
    if (read_xattrs(reading, node) < 0)
        return -reading->error->number;
    if (S_ISDIR(node->inode->mode))
        return put_folder(reading, node);
    if (S_ISREG(node->inode->mode))
        return put_regular(reading, node);
    if (S_ISLNK(node->inode->mode))
        return put_symlink(reading, node);
    if (erofs_add_small(reading->image, node->inode, NULL, reading->error) < 0)
        return named(reading, node);
    return 0;
}

int folder_put_files(struct folder *folder, struct erofs *image, struct progress *progress,
                     struct error *error)
{
    struct reading reading = { folder, image, progress, error, folder->fd, NULL };
    cleanup_free uint8_t *piece = malloc(PIECE);

    if (!piece)
        return error_system(error, ENOMEM, "%s", folder->path);
    reading.piece = piece;
    if (read_xattrs(&reading, folder->tree.root) < 0)
        return -error->number;
    return file_node_each(folder->tree.root, put_node, &reading);
}
