/* SPDX-License-Identifier: Apache-2.0 */
/* What fakeroot has to say of a folder's files, which mkfs.erofs reads where they are. */
#include "vmm/images/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/fake_files.h"
#include "vmm/images/host_file.h"

struct reading {
    struct folder *folder;
    struct staging *staging;
    const struct fake_files *fake;
    struct error *error;
    int fd; /* of the folder whose children are visited */
};

/* Sets "FOLDER/path: what". */
static int wrong(const struct reading *reading, const struct file_node *node, int number,
                 const char *what)
{
    char path[256];

    return error_set(reading->error, number, "%s/%s: %s", reading->folder->path,
                     file_node_path(node, path, sizeof(path)), what);
}

/* Puts "FOLDER/path: " before the message of whoever does not know the file. */
static int named(const struct reading *reading, const struct file_node *node)
{
    struct error inner = *reading->error;

    return wrong(reading, node, inner.number, inner.message);
}

static int changed(const struct reading *reading, const struct file_node *node)
{
    host_file_changed(reading->error);
    return named(reading, node);
}

static int failed(const struct reading *reading, const struct file_node *node, int number)
{
    host_file_failed(number, reading->error);
    return named(reading, node);
}

static int read_xattrs(const struct reading *reading, const struct file_node *node)
{
    char file[64 + FILE_TREE_NAME_MAX];

    /* There is no flistxattrat(2) yet; the root's own name is empty. */
    snprintf(file, sizeof(file), "/proc/self/fd/%d/%s", reading->fd, node->name);
    if (host_file_xattrs(file, false, &node->inode->xattrs, reading->error) < 0 ||
        file_tree_take_text(&reading->folder->tree, node->inode->xattrs.length, reading->error) < 0)
        return named(reading, node);
    return 0;
}

/* ---- files ---- */

/* mkfs.erofs will read it; it cannot tell which file it was. */
static int check_regular(const struct reading *reading, const struct file_node *node,
                         const struct stat *status)
{
    if (faccessat(reading->fd, node->name, R_OK, AT_EACCESS) < 0)
        return failed(reading, node, errno);
    if ((uint64_t)status->st_blocks * 512 + STAGING_UNIT <= node->inode->size)
        reading->staging->holes = true;
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

/* What fakeroot has to say of NODE, once for each inode. */
static int tell(const struct reading *reading, const struct file_node *node,
                const struct stat *status)
{
    char path[PATH_MAX + FILE_TREE_PATH_MAX], *at;

    if (node->inode->told)
        return 0;
    node->inode->told = true;
    if (read_xattrs(reading, node) < 0)
        return -reading->error->number;
    at = stpcpy(stpcpy(path, reading->folder->whole), "/");
    file_node_path(node, at, FILE_TREE_PATH_MAX);
    if (staging_take_image(reading->staging, node->inode->size, reading->error) < 0 ||
        staging_take(reading->staging, fake_files_size(path, node->inode), reading->error) < 0)
        return named(reading, node);
    return fake_files_tell(reading->fake, path, status, node->inode, reading->error);
}

static int put_node(struct file_node *node, void *context)
{
    const struct reading *reading = context;
    struct stat status;

    if (fstatat(reading->fd, node->name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        (status.st_mode & S_IFMT) != (node->inode->mode & S_IFMT))
        return changed(reading, node);
    if (tell(reading, node, &status) < 0)
        return -reading->error->number;
    if (S_ISDIR(node->inode->mode))
        return put_folder(reading, node);
    return S_ISREG(node->inode->mode) ? check_regular(reading, node, &status) : 0;
}

static int put_root(const struct reading *reading)
{
    struct file_node *root = reading->folder->tree.root;
    struct stat status;

    if (fstat(reading->fd, &status) < 0)
        return failed(reading, root, errno);
    if (tell(reading, root, &status) < 0)
        return -reading->error->number;
    return file_node_each(root, put_node, (void *)(uintptr_t)reading);
}

int folder_tell_files(struct folder *folder, struct staging *staging, struct error *error)
{
    struct fake_files fake;
    struct reading reading = { folder, staging, &fake, error, folder->fd };
    int result = fake_files_open(&fake, staging->fd, error);

    if (result == 0)
        result = put_root(&reading);
    return fake_files_close(&fake, result, error);
}
