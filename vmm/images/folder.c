/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/host_file.h"

/* An inode of the host with several names, and the one that they share here. */
struct link {
    dev_t device;
    ino_t number;
    struct file_inode *inode;
};

static int compare_links(const void *left, const void *right)
{
    const struct link *a = left, *b = right;

    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* "PATH/a/b: REASON", the reason being errno's; the file is below the folder. */
static int file_failed(const struct folder *folder, const struct file_node *parent,
                       const char *name, int number, struct error *error)
{
    struct error inner = ERROR_INIT;
    char path[256];

    host_file_failed(number, &inner);
    file_node_path(parent, path, sizeof(path));
    return error_set(error, number, "%s/%s%s%s: %s", folder->path, path, path[0] ? "/" : "", name,
                     inner.message);
}

/* ---- looking ---- */

/* The inode of a file seen before under another name, or a new one; NULL when memory is short. */
static struct file_inode *inode_of(struct folder *folder, const struct stat *status)
{
    struct link key = { status->st_dev, status->st_ino, NULL }, **found, *link;
    struct file_inode *inode;

    if (S_ISDIR(status->st_mode) || status->st_nlink < 2) {
        inode = file_inode_new(status->st_mode);
        if (inode)
            host_file_attributes(inode, status);
        return inode;
    }
    found = tfind(&key, &folder->links, compare_links);
    if (found)
        return (*found)->inode;
    link = malloc(sizeof(*link));
    inode = file_inode_new(status->st_mode);
    if (!link || !inode) {
        free(link);
        free(inode);
        return NULL;
    }
    host_file_attributes(inode, status);
    key.inode = inode;
    *link = key;
    if (!tsearch(link, &folder->links, compare_links)) {
        free(link);
        free(inode);
        return NULL;
    }
    return inode;
}

static bool is_cache(const struct folder *folder, const struct stat *status)
{
    struct stat cache;

    return fstat(folder->cache->fd, &cache) == 0 &&
           cache.st_dev == status->st_dev && cache.st_ino == status->st_ino;
}

/* NODE's path joins the others. */
static int add_other(struct folder *folder, const struct file_node *node, struct error *error)
{
    char path[FILE_TREE_PATH_MAX];
    char **others = reallocarray(folder->others, folder->other_count + 1, sizeof(*others));

    if (others)
        folder->others = others;
    if (others)
        others[folder->other_count] = strdup(file_node_path(node, path, sizeof(path)));
    if (!others || !others[folder->other_count])
        return error_system(error, ENOMEM, "the list of files");
    folder->other_count++;
    return 0;
}

static int scan(struct folder *folder, struct file_node *node, int fd, struct error *error);

static int scan_one(struct folder *folder, struct file_node *parent, int fd, const char *name,
                    struct error *error)
{
    struct file_inode *inode;
    struct file_node *node;
    struct stat status;
    cleanup_fd int inside = -1;
    bool other;

    if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return file_failed(folder, parent, name, errno, error);
    inode = inode_of(folder, &status);
    if (!inode)
        return error_system(error, ENOMEM, "the list of files");
    other = S_ISDIR(status.st_mode) &&
            (status.st_dev != folder->device || is_cache(folder, &status));
    if (other) /* what goes on inside changes its times */
        inode->mtime = inode->ctime = (struct timespec){ .tv_sec = 0 };
    if (file_tree_add(&folder->tree, parent, name, inode, &node, error) < 0) {
        file_inode_unused(inode);
        return -error->number;
    }
    if (other && add_other(folder, node, error) < 0)
        return -error->number;
    if (!S_ISDIR(status.st_mode) || other)
        return 0;
    inside = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inside < 0)
        return file_failed(folder, parent, name, errno, error);
    return scan(folder, node, steal_fd(&inside), error);
}

/* Takes FD.  One descriptor for each level: as deep as a path can be, bounded by ulimit -n. */
static int scan(struct folder *folder, struct file_node *node, int fd, struct error *error)
{
    DIR *stream = fdopendir(fd);
    const struct dirent *entry;
    int result = 0;

    if (!stream) {
        close(fd);
        return error_system(error, ENOMEM, "%s", folder->path);
    }
    for (errno = 0; result == 0 && (entry = readdir(stream)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = scan_one(folder, node, dirfd(stream), entry->d_name, error);
    if (result == 0 && errno != 0)
        result = file_failed(folder, node->parent, node->name, errno, error);
    closedir(stream);
    return result;
}

int folder_open(struct folder *folder, const char *path, const struct cache *cache,
                struct error *error)
{
    struct stat status;
    int copy;

    *folder = (struct folder){ .path = path, .cache = cache, .fd = -1 };
    if (file_tree_init(&folder->tree, error) < 0)
        return -error->number;
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0)
        return error_set(error, errno, "%s: %s; check the path", path, strerror(errno));
    if (!realpath(path, folder->whole))
        return error_system(error, errno, "%s", path);
    copy = fcntl(folder->fd, F_DUPFD_CLOEXEC, 0);
    if (fstat(folder->fd, &status) < 0 || copy < 0)
        return error_system(error, errno, "%s", path);
    folder->device = status.st_dev;
    host_file_attributes(folder->tree.root->inode, &status);
    return scan(folder, folder->tree.root, copy, error);
}

void folder_close(struct folder *folder)
{
    tdestroy(folder->links, free);
    folder->links = NULL;
    file_tree_release(&folder->tree);
    while (folder->other_count > 0)
        free(folder->others[--folder->other_count]);
    free(folder->others);
    folder->others = NULL;
    cleanup_close(&folder->fd);
    folder->fd = -1;
}

/* ---- the stamp ---- */

/* A name, then what is in it, then a mark: the nesting takes the place of the path. */
static int stamp_node(struct file_node *node, void *context)
{
    struct sha256_ctx *state = context;
    const struct file_inode *inode = node->inode;
    const uint64_t numbers[] = {
        inode->mode,
        inode->uid,
        inode->gid,
        S_ISCHR(inode->mode) || S_ISBLK(inode->mode) ? inode->rdev : 0,
        inode->size,
        (uint64_t)inode->mtime.tv_sec,
        (uint64_t)inode->mtime.tv_nsec,
        (uint64_t)inode->ctime.tv_sec,
        (uint64_t)inode->ctime.tv_nsec,
        inode->users,
    };

    sha256_update(state, strlen(node->name) + 1, (const uint8_t *)node->name);
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
        digest_number(state, numbers[i]);
    file_node_each(node, stamp_node, state);
    sha256_update(state, 1, (const uint8_t *)"/");
    return 0;
}

struct digest folder_stamp(const struct folder *folder)
{
    static const char version[] = "mote folder 1";
    struct sha256_ctx state;

    sha256_init(&state);
    sha256_update(&state, sizeof(version), (const uint8_t *)version);
    stamp_node(folder->tree.root, &state);
    return digest_end(&state);
}
