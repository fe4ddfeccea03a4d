/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "vmm/cleanup.h"

#define TEMPORARY ".tmp"

/* ---- the folder ---- */

static char *default_path(struct error *error)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int length;

    /* The XDG specification: a relative path does not count. */
    if (base && base[0] == '/')
        length = asprintf(&path, "%s/mote/images", base);
    else if (home && home[0] == '/')
        length = asprintf(&path, "%s/.cache/mote/images", home);
    else {
        error_set(error, ENOENT, "the cache: neither XDG_CACHE_HOME nor HOME names a folder; "
                                 "set one");
        return NULL;
    }
    if (length < 0) {
        error_system(error, ENOMEM, "the cache");
        return NULL;
    }
    return path;
}

/* As mkdir -p; only this user can look into what is made. */
static int make_folders(char *path, struct error *error)
{
    for (char *at = path + 1;; at++) {
        char end = *at;

        if (end != '/' && end != '\0')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return error_set(error, errno, "cache %s: cannot be made (%s); name another folder "
                             "with XDG_CACHE_HOME", path, strerror(errno));
        *at = end;
        if (end == '\0')
            return 0;
    }
}

/* Images are trusted as they were written: nobody else may put any there. */
static int check_owner(const struct cache *cache, struct error *error)
{
    struct stat status;

    if (fstat(cache->fd, &status) < 0)
        return error_system(error, errno, "cache %s", cache->path);
    if ((status.st_uid != geteuid() && status.st_uid != 0) || (status.st_mode & 0022))
        return error_set(error, EPERM, "cache %s: other users can write there; chmod go-w it, or "
                         "name another folder with XDG_CACHE_HOME", cache->path);
    return 0;
}

int cache_open(struct cache *cache, const char *path, struct error *error)
{
    *cache = (struct cache){ .fd = -1 };
    if (path && asprintf(&cache->path, "%s/images", path) < 0)
        return error_system(error, ENOMEM, "the cache");
    if (!path)
        cache->path = default_path(error);
    if (!cache->path)
        return -error->number;
    if (make_folders(cache->path, error) < 0)
        return -error->number;
    cache->fd = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->fd < 0)
        return error_set(error, errno, "cache %s: %s; name another folder with XDG_CACHE_HOME",
                         cache->path, strerror(errno));
    return check_owner(cache, error);
}

void cache_close(struct cache *cache)
{
    if (cache->fd >= 0)
        close(cache->fd);
    free(cache->path);
    *cache = (struct cache){ .fd = -1 };
}

uint64_t cache_room(const struct cache *cache)
{
    struct statvfs status;

    if (fstatvfs(cache->fd, &status) < 0)
        return UINT64_MAX; /* then the writing tells */
    return (uint64_t)status.f_bavail * status.f_frsize / 10 * 9;
}

/* ---- one image ---- */

static bool is_there(const struct cache *cache, const char *name)
{
    struct stat status;

    return fstatat(cache->fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode) && status.st_size > 0;
}

/* Whether FD is still the file of that NAME: its writer renames it, a sweeper unlinks it. */
static bool is_same(const struct cache *cache, const char *name, int fd)
{
    struct stat named, open;

    return fstatat(cache->fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &open) == 0 &&
           named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

static int lock(int fd, int how)
{
    int result;

    do
        result = flock(fd, how);
    while (result < 0 && errno == EINTR);
    return result;
}

/* Temporary files that nobody writes any more. */
static void sweep(const struct cache *cache)
{
    int copy = openat(cache->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (!folder) {
        cleanup_close(&copy);
        return; /* sweeping can wait */
    }
    while ((entry = readdir(folder))) {
        size_t length = strlen(entry->d_name), tail = strlen(TEMPORARY);
        cleanup_fd int fd = -1;

        if (length < tail || strcmp(entry->d_name + length - tail, TEMPORARY) != 0)
            continue;
        fd = openat(cache->fd, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0 && lock(fd, LOCK_EX | LOCK_NB) == 0 && is_same(cache, entry->d_name, fd))
            unlinkat(cache->fd, entry->d_name, 0);
    }
    closedir(folder);
}

static int cannot_write(const struct cache *cache, struct error *error)
{
    return error_system(error, errno, "cache %s", cache->path);
}

/* Whether the image is there under one of its names, which is then chosen. */
static bool find(struct cache_entry *entry)
{
    for (size_t i = 0; i < entry->count; i++)
        if (is_there(entry->cache, entry->names[i])) {
            entry->chosen = i;
            return true;
        }
    return false;
}

static void set_names(struct cache_entry *entry, const struct cache_name *names)
{
    char hex[DIGEST_HEX + 1];

    for (size_t i = 0; i < entry->count; i++)
        snprintf(entry->names[i], sizeof(entry->names[i]), "%s%s.erofs", names[i].prefix,
                 digest_hex(&names[i].digest, hex));
    snprintf(entry->temporary, sizeof(entry->temporary), "%s" TEMPORARY, entry->names[0]);
}

/* The file to write; the lock is held. */
static int open_image(struct cache_entry *entry, struct error *error)
{
    const struct cache *cache = entry->cache;

    entry->fd = openat(cache->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (entry->fd >= 0)
        return 0;
    if (ftruncate(entry->lock, 0) == 0)
        entry->fd = fcntl(entry->lock, F_DUPFD_CLOEXEC, 0);
    if (entry->fd >= 0)
        return 0;
    cannot_write(cache, error);
    cache_drop(entry);
    return -error->number;
}

int cache_get(const struct cache *cache, const struct cache_name *names, size_t count,
              struct cache_entry *entry, struct error *error)
{
    *entry = (struct cache_entry){ .cache = cache, .count = count, .lock = -1, .fd = -1 };
    set_names(entry, names);
    while (!find(entry)) {
        cleanup_fd int fd = openat(cache->fd, entry->temporary,
                                   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

        if (fd < 0 || lock(fd, LOCK_EX) < 0)
            return cannot_write(cache, error);
        if (!is_same(cache, entry->temporary, fd))
            continue;
        if (find(entry)) {
            unlinkat(cache->fd, entry->temporary, 0);
            return 0;
        }
        entry->lock = steal_fd(&fd);
        sweep(cache);
        return open_image(entry, error);
    }
    return 0;
}

/* Gives the image its name.  Nobody else has made it, as we hold the lock. */
static int name_image(const struct cache_entry *entry)
{
    const char *name = entry->names[entry->chosen];
    int folder = entry->cache->fd;
    char path[64];
    struct stat status;

    if (is_same(entry->cache, entry->temporary, entry->fd))
        return renameat(folder, entry->temporary, folder, name);
    /* What has the name is no image: see is_there(). */
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && unlinkat(folder, name, 0) < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", entry->fd);
    return linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW);
}

int cache_keep(struct cache_entry *entry, struct error *error)
{
    const struct cache *cache = entry->cache;

    if (fchmod(entry->fd, 0444) < 0 || fsync(entry->fd) < 0 || name_image(entry) < 0 ||
        fsync(cache->fd) < 0)
        return cannot_write(cache, error);
    cache_drop(entry);
    return 0;
}

void cache_drop(struct cache_entry *entry)
{
    if (entry->lock < 0)
        return;
    /* After a rename there is none of that name, or another's, who has the lock on it. */
    if (is_same(entry->cache, entry->temporary, entry->lock))
        unlinkat(entry->cache->fd, entry->temporary, 0);
    cleanup_close(&entry->fd);
    close(entry->lock);
    entry->lock = entry->fd = -1;
}

char *cache_path(const struct cache_entry *entry)
{
    const char *name = entry->names[entry->chosen];
    char *path;

    return asprintf(&path, "%s/%s", entry->cache->path, name) < 0 ? NULL : path;
}
