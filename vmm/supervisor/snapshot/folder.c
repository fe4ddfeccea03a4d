/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/snapshot/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/snapshot/machine_state.h"

#define STATE "state"
#define MEMORY "memory"
#define SEAL "seal"
#define NEW_FILE (O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC)
#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- names ----------------------------------------------------------------- */

/* PATH into the folder that holds it, which is opened, and the last name. */
static int split(struct snapshot_folder *folder, const char *path, struct error *error)
{
    size_t length = strlen(path);
    cleanup_free char *parent = NULL;
    const char *slash;

    while (length > 1 && path[length - 1] == '/')
        length--;
    slash = memrchr(path, '/', length);
    folder->name = slash ? strndup(slash + 1, length - (size_t)(slash + 1 - path))
                         : strndup(path, length);
    parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder->name || !parent || asprintf(&folder->partial, "%s.partial", folder->name) < 0)
        return error_system(error, ENOMEM, "snapshot %s", path);
    if (folder->name[0] == '\0' || strcmp(folder->name, ".") == 0 || strcmp(folder->name, "..") == 0)
        return error_set(error, EINVAL, "snapshot %s: names no new folder; give one", path);
    folder->parent = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->parent < 0)
        return error_system(error, errno, "snapshot %s: %s", path, parent);
    return 0;
}

/* PATH, that of a folder which need not be there, without links and from the root; the caller's. */
static char *resolved(const char *path, const char *name)
{
    cleanup_free char *copy = strdup(path);
    cleanup_free char *parent = NULL;
    size_t length = copy ? strlen(copy) : 0;
    char *slash, *joined;

    while (length > 1 && copy[length - 1] == '/')
        copy[--length] = '\0';
    slash = copy ? strrchr(copy, '/') : NULL;
    if (slash)
        slash[slash == copy] = '\0';
    parent = copy ? realpath(slash ? copy : ".", NULL) : NULL;
    return parent && asprintf(&joined, "%s/%s", parent[1] ? parent : "", name) >= 0 ? joined : NULL;
}

/* The way from the folder FROM to TO, both resolved. */
static char *way(const char *from, const char *to)
{
    size_t same = 0; /* what both begin with, up to a slash */
    cleanup_free char *ups = NULL;
    size_t count = 1;
    char *joined;

    for (size_t i = 0; from[i] && from[i] == to[i]; i++)
        if (from[i] == '/')
            same = i + 1;
    for (const char *at = from + same; *at; at++)
        count += *at == '/';
    ups = malloc(3 * count + 1);
    if (!ups)
        return NULL;
    for (size_t i = 0; i < count; i++)
        memcpy(ups + 3 * i, "../", 4);
    return asprintf(&joined, "%s%s", ups, to + same) >= 0 ? joined : NULL;
}

/* ---- making one ------------------------------------------------------------ */

/* All that a folder may have; "touched" is what a working set was called before. */
static const char *const files[] = {
    STATE, MEMORY, SEAL, "seal.new", "working-set", "working-set.new", "touched", "touched.new",
};

static void remove_files(const struct snapshot_folder *folder)
{
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
        unlinkat(folder->folder, files[i], 0);
}

static bool is_file_of_ours(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
        if (strcmp(name, files[i]) == 0)
            return true;
    return false;
}

/* What takes the place of a folder would leave what others put there under its partial name. */
static int check_replaced(const struct snapshot_folder *folder, const char *path, struct error *error)
{
    int fd = openat(folder->parent, folder->name, OPEN_FOLDER), result = 0;
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return error_set(error, errno, "snapshot %s: is a link, which cannot be replaced by a folder; name "
                         "where it leads to", path);
    if (!stream) {
        error_system(error, errno, "snapshot %s", path);
        cleanup_close(&fd);
        return -error->number;
    }
    while (result == 0 && (entry = readdir(stream)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !is_file_of_ours(entry->d_name))
            result = error_set(error, ENOTEMPTY, "snapshot %s: also has '%s', which is not the snapshot's; "
                               "move that away, or name a new folder", path, entry->d_name);
    closedir(stream);
    return result;
}

/* Whether the folder, now locked, still has the partial name: who held it may have finished, or who has it, too. */
bool snapshot_folder_is_partial(const struct snapshot_folder *folder)
{
    struct stat status, named;

    return fstat(folder->folder, &status) == 0 &&
           fstatat(folder->parent, folder->partial, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_dev == status.st_dev && named.st_ino == status.st_ino;
}

/* The partial folder, new or left by a process that died, and ours alone. */
static int claim(struct snapshot_folder *folder, const char *path, struct error *error)
{
    struct stat status;
    int result;

    if (!folder->replace &&
        faccessat(folder->parent, folder->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return error_set(error, EEXIST, "snapshot %s: is there already; remove it or choose another "
                         "name", path);
    if (folder->replace && (result = check_replaced(folder, path, error)) < 0)
        return result;
    if (mkdirat(folder->parent, folder->partial, 0700) < 0 && errno != EEXIST)
        return error_system(error, errno, "snapshot %s", path);
    folder->folder = openat(folder->parent, folder->partial, OPEN_FOLDER);
    if (folder->folder < 0 || fstat(folder->folder, &status) < 0)
        return error_system(error, errno, "snapshot %s.partial", path);
    if (status.st_uid != geteuid() || status.st_mode & 022)
        return error_set(error, EPERM, "snapshot %s.partial: belongs to or is open to others; remove "
                         "it", path);
    if (flock(folder->folder, LOCK_EX | LOCK_NB) < 0)
        return error_set(error, errno, "snapshot %s: is being saved by another mote; wait for that, "
                         "or choose another name", path);
    if (!snapshot_folder_is_partial(folder))
        return error_set(error, EEXIST, "snapshot %s: was saved by another mote just now; choose "
                         "another name", path);
    remove_files(folder);
    return 0;
}

static int make_files(struct snapshot_folder *folder, const char *path, struct error *error)
{
    folder->state_fd = openat(folder->folder, STATE, NEW_FILE, 0400);
    folder->memory_fd = openat(folder->folder, MEMORY, NEW_FILE, 0400);
    if (folder->state_fd < 0 || folder->memory_fd < 0)
        return error_system(error, errno, "snapshot %s", path);
    return 0;
}

static int begin(struct snapshot_folder *folder, const char *path, bool replace, uint64_t size,
                 const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error)
{
    int result;

    *folder = (struct snapshot_folder)SNAPSHOT_FOLDER_INIT;
    folder->replace = replace;
    folder->seal.size = size;
    memcpy(folder->seal.id, id, SNAPSHOT_ID_SIZE);
    result = split(folder, path, error);
    if (result == 0)
        result = claim(folder, path, error);
    if (result < 0) {
        /* What is there is not ours. */
        cleanup_close(&folder->folder);
        folder->folder = -1;
    } else if ((result = make_files(folder, path, error)) == 0) {
        result = memory_file_begin(folder->memory_fd, size, id, MEMORY_FULL, error);
    }
    if (result < 0)
        snapshot_folder_drop(folder);
    return result;
}

int snapshot_folder_begin(struct snapshot_folder *folder, const char *path, uint64_t size,
                          const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error)
{
    return begin(folder, path, false, size, id, error);
}

int snapshot_folder_begin_anew(struct snapshot_folder *folder, const char *path, uint64_t size,
                               const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error)
{
    return begin(folder, path, true, size, id, error);
}

int snapshot_folder_set_base(struct snapshot_folder *folder, const char *path, const char *base,
                             const uint8_t base_id[SNAPSHOT_ID_SIZE], struct error *error)
{
    cleanup_free char *own = resolved(path, folder->name), *other = realpath(base, NULL);

    folder->seal.base = own && other ? way(own, other) : NULL;
    if (!folder->seal.base)
        return error_system(error, errno, "snapshot %s: %s", path, base);
    if (strlen(folder->seal.base) > SEAL_PATH_MAX)
        return error_set(error, ENAMETOOLONG, "snapshot %s: the way to %s is too long; save it nearer "
                         "to its base", path, base);
    memcpy(folder->seal.base_id, base_id, SNAPSHOT_ID_SIZE);
    return memory_file_begin(folder->memory_fd, folder->seal.size, folder->seal.id,
                             MEMORY_DIFFERENCE, error);
}

static int replace_state(struct snapshot_folder *folder, const void *bytes, size_t length,
                         struct error *error)
{
    cleanup_close(&folder->state_fd);
    folder->state_fd = -1;
    if (unlinkat(folder->folder, STATE, 0) == 0)
        folder->state_fd = openat(folder->folder, STATE, NEW_FILE, 0400);
    if (folder->state_fd < 0)
        return error_system(error, errno, "snapshot %s", folder->name);
    return machine_state_write(folder->state_fd, bytes, length, error);
}

int snapshot_folder_seal_state(struct snapshot_folder *folder, const struct vm_config *config,
                               struct error *error)
{
    cleanup_free void *bytes = NULL;
    size_t length;
    int result = machine_state_read(folder->state_fd, &bytes, &length, error);

    if (result == 0)
        result = machine_state_verify(bytes, length, config, folder->seal.id, error);
    if (result == 0)
        result = replace_state(folder, bytes, length, error);
    return result;
}

/* The memory comes from a process that the guest may have broken into: its end, and no more, is checked. */
static int write_seal(struct snapshot_folder *folder, struct error *error)
{
    struct seal *seal = &folder->seal;
    cleanup_fd int fd = -1;
    int result = memory_file_check(folder->memory_fd, seal->size, seal->id, seal_kind(seal), error);

    if (result < 0)
        return result;
    if (fsync(folder->memory_fd) < 0)
        return error_system(error, errno, "snapshot %s", folder->name);
    fd = openat(folder->folder, SEAL, NEW_FILE, 0400);
    if (fd < 0)
        return error_system(error, errno, "snapshot %s", folder->name);
    if ((result = seal_memory(seal, folder->memory_fd, error)) < 0 ||
        (result = seal_write(seal, fd, error)) < 0)
        return result;
    return fsync(fd) < 0 ? error_system(error, errno, "snapshot %s", folder->name) : 0;
}

static int swap_names(const struct snapshot_folder *folder)
{
    return renameat2(folder->parent, folder->partial, folder->parent, folder->name, RENAME_EXCHANGE);
}

/* The one that was there gets the partial name, and is dropped like one. */
static int exchange(struct snapshot_folder *folder, struct error *error)
{
    if (swap_names(folder) < 0)
        return error_set(error, errno, "snapshot %s: cannot be replaced in place (%s); name a new folder",
                         folder->name, strerror(errno));
    if (fsync(folder->parent) < 0) {
        error_system(error, errno, "snapshot %s", folder->name);
        swap_names(folder);
        return -error->number;
    }
    cleanup_close(&folder->folder);
    folder->folder = openat(folder->parent, folder->partial, OPEN_FOLDER);
    return 0;
}

static int give_name(struct snapshot_folder *folder, struct error *error)
{
    int result = 0;

    if (folder->replace)
        return exchange(folder, error);
    if (renameat2(folder->parent, folder->partial, folder->parent, folder->name,
                  RENAME_NOREPLACE) < 0) {
        /* File systems that lack the flag replace nothing but an empty folder. */
        if (errno != EINVAL ||
            renameat(folder->parent, folder->partial, folder->parent, folder->name) < 0)
            result = error_system(error, errno, "snapshot %s", folder->name);
    }
    if (result == 0 && fsync(folder->parent) < 0) {
        result = error_system(error, errno, "snapshot %s", folder->name);
        /* What a power cut may take was not saved: the VM's owner is told so, and goes on without. */
        renameat(folder->parent, folder->name, folder->parent, folder->partial);
    } else if (result == 0) {
        /* It has its name: there is nothing to drop any more. */
        cleanup_close(&folder->folder);
        folder->folder = -1;
    }
    return result;
}

int snapshot_folder_finish(struct snapshot_folder *folder, struct error *error)
{
    int result = write_seal(folder, error);

    if (result == 0 && (fsync(folder->state_fd) < 0 || fsync(folder->folder) < 0))
        result = error_system(error, errno, "snapshot %s", folder->name);
    if (result == 0)
        result = give_name(folder, error);
    snapshot_folder_drop(folder);
    return result;
}

void snapshot_folder_drop(struct snapshot_folder *folder)
{
    if (folder->folder >= 0 && snapshot_folder_is_partial(folder)) {
        remove_files(folder);
        unlinkat(folder->parent, folder->partial, AT_REMOVEDIR);
    }
    snapshot_folder_leave(folder);
}

void snapshot_folder_leave(struct snapshot_folder *folder)
{
    cleanup_close(&folder->state_fd);
    cleanup_close(&folder->memory_fd);
    cleanup_close(&folder->folder);
    cleanup_close(&folder->parent);
    free(folder->name);
    free(folder->partial);
    seal_release(&folder->seal);
    *folder = (struct snapshot_folder)SNAPSHOT_FOLDER_INIT;
}
