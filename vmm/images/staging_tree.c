/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of names in a private folder. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/fake_files.h"
#include "vmm/images/staging.h"

/* mkfs.erofs goes by whole paths, those of the cache before them. */
#define PREFIX_MAX 512

struct walk {
    struct staging *staging;
    struct error *error;
    struct fake_files fake;
    int fd; /* of the folder whose children are visited; one descriptor, however deep */
};

static int failed(const struct walk *walk, const struct file_node *node)
{
    int number = errno;
    char path[256];

    if (number == EMLINK)
        return error_set(walk->error, number, "%s: has more hard links than the cache's file "
                         "system can; take some out", file_node_path(node, path, sizeof(path)));
    return error_system(walk->error, number, "the cache");
}

/* Once for each inode.  Whiteouts share one in the tree, not on the disk, where links are counted. */
static int tell(const struct walk *walk, const struct file_node *node, const char *name)
{
    char path[FILE_TREE_PATH_MAX + sizeof(STAGING_ROOT "/")] = STAGING_ROOT "/";
    struct stat status;

    if (node->inode->told && !node->inode->whiteout)
        return 0;
    node->inode->told = true;
    if (fstatat(walk->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return failed(walk, node);
    file_node_path(node, path + strlen(path), FILE_TREE_PATH_MAX);
    if (staging_take(walk->staging, fake_files_size(path, node->inode), walk->error) < 0)
        return -walk->error->number;
    return fake_files_tell(&walk->fake, path, &status, node->inode, walk->error);
}

/* ---- names ---- */

static int put_whiteout(const struct walk *walk, const struct file_node *node)
{
    static const struct timespec times[2];
    cleanup_fd int fd = -1;

    if (staging_take(walk->staging, STAGING_UNIT, walk->error) < 0)
        return -walk->error->number;
    fd = openat(walk->fd, node->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 || futimens(fd, times) < 0 ? failed(walk, node) : 0;
}

static int put_file(const struct walk *walk, const struct file_node *node)
{
    char number[16];
    int result;

    snprintf(number, sizeof(number), "%u", node->inode->number);
    if (node->inode->users > 1)
        result = linkat(walk->staging->files, number, walk->fd, node->name, 0);
    else
        result = renameat(walk->staging->files, number, walk->fd, node->name);
    return result < 0 ? failed(walk, node) : 0;
}

/* Puts NAME in the place of the folder that is visited. */
static int move(struct walk *walk, const struct file_node *node, const char *name)
{
    int fd = openat(walk->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return failed(walk, node);
    close(walk->fd);
    walk->fd = fd;
    return 0;
}

static int put_node(struct file_node *node, void *context);

/* The folder, what is in it, then its time. */
static int put_folder(struct walk *walk, struct file_node *node, const char *name)
{
    const struct timespec times[] = { node->inode->mtime, node->inode->mtime };

    if (staging_take(walk->staging, STAGING_UNIT, walk->error) < 0)
        return -walk->error->number;
    if (mkdirat(walk->fd, name, 0700) < 0)
        return failed(walk, node);
    if (tell(walk, node, name) < 0)
        return -walk->error->number;
    if (node->child_count > 0 &&
        (move(walk, node, name) < 0 || file_node_each(node, put_node, walk) < 0 ||
         move(walk, node, "..") < 0))
        return -walk->error->number;
    if (utimensat(walk->fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return failed(walk, node);
    return 0;
}

/* Below 0 when the path is too long for those who go by paths. */
static int check_path(const struct walk *walk, const struct file_node *node)
{
    size_t length = 0;
    char path[64];

    for (const struct file_node *at = node; at->parent != at; at = at->parent)
        length += strlen(at->name) + 1;
    if (length < PATH_MAX - PREFIX_MAX)
        return 0;
    return error_set(walk->error, ENAMETOOLONG, "...%s: has a path of %zu bytes, the longest has "
                     "%u; shorten it", file_node_path(node, path, sizeof(path)), length,
                     PATH_MAX - PREFIX_MAX);
}

static int put_node(struct file_node *node, void *context)
{
    struct walk *walk = context;
    int result;

    if (check_path(walk, node) < 0)
        return -walk->error->number;
    if (S_ISDIR(node->inode->mode))
        return put_folder(walk, node, node->name);
    result = node->inode->whiteout ? put_whiteout(walk, node) : put_file(walk, node);
    return result < 0 ? result : tell(walk, node, node->name);
}

/* ---- all of it ---- */

int staging_tree(struct staging *staging, struct file_node *root, struct error *error)
{
    struct walk walk = { .staging = staging, .error = error };
    int result;

    walk.fd = fcntl(staging->fd, F_DUPFD_CLOEXEC, 0);
    if (walk.fd < 0)
        return error_system(error, errno, "the cache");
    result = fake_files_open(&walk.fake, staging->fd, error);
    if (result == 0)
        result = put_folder(&walk, root, STAGING_ROOT);
    result = fake_files_close(&walk.fake, result, error);
    close(walk.fd);
    return result;
}
