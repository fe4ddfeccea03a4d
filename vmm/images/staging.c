/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/staging.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/whole_io.h"

#define FILES "files"
#define NAME_SIZE 16

int staging_begin(struct staging *staging, int fd, const struct staging_limits *limits,
                  struct error *error)
{
    *staging = (struct staging){ .fd = fd, .files = -1, .file = -1, .limits = *limits };
    if (mkdirat(fd, FILES, 0700) == 0)
        staging->files = openat(fd, FILES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (staging->files < 0)
        return error_system(error, errno, "the cache");
    return 0;
}

void staging_end(struct staging *staging)
{
    cleanup_close(&staging->file);
    cleanup_close(&staging->files);
    staging->file = staging->files = -1;
}

static int failed(struct error *error)
{
    return error_system(error, errno, "the cache");
}

int staging_take(struct staging *staging, uint64_t length, struct error *error)
{
    if (length > staging->limits.room - staging->taken)
        return error_set(error, ENOSPC, "with its files needs more than %llu MiB, nine tenths of "
                         "what the cache's disk has free; free some space there, or name another "
                         "folder with XDG_CACHE_HOME",
                         (unsigned long long)staging->limits.room >> 20);
    staging->taken += length;
    return 0;
}

int staging_take_image(struct staging *staging, uint64_t size, struct error *error)
{
    uint64_t left = staging->limits.image - staging->image;

    if (left < STAGING_UNIT || size > left - STAGING_UNIT)
        return error_set(error, EFBIG, "larger than the limit of %llu MiB; raise --limit",
                         (unsigned long long)staging->limits.image >> 20);
    staging->image += size + STAGING_UNIT;
    return staging_take(staging, size + STAGING_UNIT, error);
}

/* Gives INODE its number, and that as NAME. */
static void number_inode(struct staging *staging, struct file_inode *inode, char name[NAME_SIZE])
{
    inode->number = ++staging->inodes;
    snprintf(name, NAME_SIZE, "%u", inode->number);
}

int staging_place(struct staging *staging, struct file_inode *inode, struct error *error)
{
    char name[NAME_SIZE];

    if (staging_take_image(staging, inode->size, error) < 0)
        return -error->number;
    number_inode(staging, inode, name);
    cleanup_close(&staging->file);
    staging->left = inode->size;
    staging->file = openat(staging->files, name,
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return staging->file < 0 ? failed(error) : 0;
}

int staging_data(struct staging *staging, const struct file_inode *inode, uint64_t offset,
                 const void *bytes, size_t length, struct error *error)
{
    int result;

    if (offset > inode->size || length > inode->size - offset)
        return error_set(error, EINVAL, "has more content than its size of %llu bytes tells; "
                         "make the archive anew", (unsigned long long)inode->size);
    if (staging_take(staging, length, error) < 0)
        return -error->number;
    staging->left -= length < staging->left ? length : staging->left;
    result = whole_pwrite(staging->file, bytes, length, offset);
    return result < 0 ? error_system(error, -result, "the cache") : 0;
}

int staging_put(struct staging *staging, const struct file_inode *inode, struct error *error)
{
    int fd = staging->file;
    const struct timespec times[] = { inode->mtime, inode->mtime };

    staging->file = -1;
    staging->holes = staging->holes || staging->left >= STAGING_UNIT;
    if (ftruncate(fd, (off_t)inode->size) < 0 || futimens(fd, times) < 0) {
        failed(error);
        close(fd);
        return -error->number;
    }
    return close(fd) < 0 ? failed(error) : 0;
}

int staging_symlink(struct staging *staging, struct file_inode *inode, const char *target,
                    struct error *error)
{
    const struct timespec times[] = { inode->mtime, inode->mtime };
    char name[NAME_SIZE];

    if (staging_take_image(staging, STAGING_UNIT, error) < 0)
        return -error->number;
    number_inode(staging, inode, name);
    if (symlinkat(target, staging->files, name) < 0 ||
        utimensat(staging->files, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return failed(error);
    return 0;
}

int staging_special(struct staging *staging, struct file_inode *inode, struct error *error)
{
    inode->size = 0;
    if (staging_place(staging, inode, error) < 0)
        return -error->number;
    return staging_put(staging, inode, error);
}
