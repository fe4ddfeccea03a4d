/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define TEMPORARY ".tmp"
#define PARTS ".parts"
#define LISTING ".list"
#define OLD_LISTING ".listing" /* an older form, without links: such an image is made anew */
#define LONGEST 128 /* of names here */

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

int cache_open_anew(struct cache *cache, struct error *error)
{
    cleanup_close(&cache->fd);
    cache->fd = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->fd < 0)
        return error_set(error, errno, "cache %s: %s; name another folder with XDG_CACHE_HOME",
                         cache->path, strerror(errno));
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
    if (cache_open_anew(cache, error) < 0)
        return -error->number;
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

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

/* Removes the parts of the image whose lock NAME is; the lock is held.  They are all our own. */
static void remove_parts(const struct cache *cache, const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s" PARTS, cache->path, name) < 0)
        return; /* the next to sweep does it */
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

/* What NAME is without SUFFIX, if it has that. */
static bool without(const char *name, const char *suffix, char rest[LONGEST])
{
    size_t length = strlen(name), tail = strlen(suffix);

    if (length <= tail || length >= LONGEST || strcmp(name + length - tail, suffix) != 0)
        return false;
    snprintf(rest, LONGEST, "%.*s", (int)(length - tail), name);
    return true;
}

/* NAME if it is a lock, or a listing whose image was never named: both are locked while in use. */
static void sweep_one(const struct cache *cache, const char *name)
{
    char image[LONGEST];
    bool is_lock = without(name, TEMPORARY, image), is_old = without(name, OLD_LISTING, image);
    cleanup_fd int fd = -1;

    if (!is_lock && !is_old && !without(name, LISTING, image))
        return;
    fd = openat(cache->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || lock(fd, LOCK_EX | LOCK_NB) < 0 || !is_same(cache, name, fd))
        return;
    if (is_lock)
        remove_parts(cache, image);
    else if (!is_old && is_there(cache, image))
        return;
    unlinkat(cache->fd, name, 0);
}

/* What nobody writes any more. */
static void sweep(const struct cache *cache)
{
    int copy = openat(cache->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (!folder) {
        cleanup_close(&copy);
        return; /* sweeping can wait */
    }
    while ((entry = readdir(folder)))
        sweep_one(cache, entry->d_name);
    closedir(folder);
}

static int cannot_write(const struct cache *cache, struct error *error)
{
    return error_system(error, errno, "cache %s", cache->path);
}

static bool is_listed(const struct cache_entry *entry, size_t name)
{
    char listing[LONGEST];

    snprintf(listing, sizeof(listing), "%s" LISTING, entry->names[name]);
    return !entry->listed || is_there(entry->cache, listing);
}

/* Whether the image is there under one of its names, which is then chosen. */
static bool find(struct cache_entry *entry)
{
    for (size_t i = 0; i < entry->count; i++)
        if (is_there(entry->cache, entry->names[i]) && is_listed(entry, i)) {
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

/* The folder for what the image is made of, and the listing in it. */
static int open_parts(struct cache_entry *entry)
{
    int cache = entry->cache->fd;
    char name[LONGEST];

    snprintf(name, sizeof(name), "%s" PARTS, entry->names[0]);
    remove_parts(entry->cache, entry->names[0]);
    if (mkdirat(cache, name, 0700) < 0)
        return -1;
    entry->parts = openat(cache, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (entry->parts < 0 || !entry->listed)
        return entry->parts < 0 ? -1 : 0;
    entry->listing = openat(entry->parts, LISTING,
                            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return entry->listing < 0 ? -1 : lock(entry->listing, LOCK_EX);
}

/* The file to write; the lock is held. */
static int open_image(struct cache_entry *entry, struct error *error)
{
    const struct cache *cache = entry->cache;

    entry->fd = openat(cache->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (entry->fd < 0 && ftruncate(entry->lock, 0) == 0)
        entry->fd = fcntl(entry->lock, F_DUPFD_CLOEXEC, 0);
    if (entry->fd >= 0 && open_parts(entry) == 0)
        return 0;
    cannot_write(cache, error);
    cache_drop(entry);
    return -error->number;
}

int cache_get(const struct cache *cache, const struct cache_name *names, size_t count,
              struct cache_entry *entry, struct error *error)
{
    *entry = (struct cache_entry){ .cache = cache, .listed = names[0].listed, .count = count,
                                   .lock = -1, .fd = -1, .parts = -1, .listing = -1 };
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

/* Gives the listing its name; a lock is on it until the image has one too. */
static int name_listing(const struct cache_entry *entry)
{
    char name[LONGEST];

    if (entry->listing < 0)
        return 0;
    snprintf(name, sizeof(name), "%s" LISTING, entry->names[entry->chosen]);
    if (fchmod(entry->listing, 0444) < 0 || fsync(entry->listing) < 0)
        return -1;
    return renameat(entry->parts, LISTING, entry->cache->fd, name);
}

int cache_keep(struct cache_entry *entry, struct error *error)
{
    const struct cache *cache = entry->cache;

    if (fchmod(entry->fd, 0444) < 0 || fsync(entry->fd) < 0 || name_listing(entry) < 0 ||
        name_image(entry) < 0 ||
        fsync(cache->fd) < 0)
        return cannot_write(cache, error);
    cache_drop(entry);
    return 0;
}

void cache_drop(struct cache_entry *entry)
{
    if (entry->lock < 0)
        return;
    remove_parts(entry->cache, entry->names[0]);
    /* After a rename there is none of that name, or another's, who has the lock on it. */
    if (is_same(entry->cache, entry->temporary, entry->lock))
        unlinkat(entry->cache->fd, entry->temporary, 0);
    cleanup_close(&entry->fd);
    cleanup_close(&entry->parts);
    cleanup_close(&entry->listing);
    close(entry->lock);
    entry->lock = entry->fd = entry->parts = entry->listing = -1;
}

char *cache_listing_path(const char *path)
{
    char *listing;

    return asprintf(&listing, "%s" LISTING, path) < 0 ? NULL : listing;
}

char *cache_path(const struct cache_entry *entry)
{
    const char *name = entry->names[entry->chosen];
    char *path;

    return asprintf(&path, "%s/%s", entry->cache->path, name) < 0 ? NULL : path;
}

/* Where the file system has no files without names, one loses its name at once. */
int cache_spool(const struct cache *cache, int *fd, struct error *error)
{
    cleanup_free char *path = NULL;

    *fd = openat(cache->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd < 0 && asprintf(&path, "%s/spool-XXXXXX" TEMPORARY, cache->path) >= 0) {
        *fd = mkostemps(path, sizeof(TEMPORARY) - 1, O_CLOEXEC);
        if (*fd >= 0)
            unlink(path);
    }
    return *fd < 0 ? cannot_write(cache, error) : 0;
}
