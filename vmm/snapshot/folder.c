/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/snapshot/machine_state.h"

#define STATE "state"
#define MEMORY "memory"
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

/* ---- making one ------------------------------------------------------------ */

/* Whether the partial folder, now locked, still has that name: whoever held it may have finished. */
static bool is_still_partial(const struct snapshot_folder *folder, const struct stat *status)
{
    struct stat named;

    return fstatat(folder->parent, folder->partial, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_dev == status->st_dev && named.st_ino == status->st_ino;
}

/* The partial folder, new or left by a process that died, and ours alone. */
static int claim(struct snapshot_folder *folder, const char *path, struct error *error)
{
    struct stat status;

    if (faccessat(folder->parent, folder->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return error_set(error, EEXIST, "snapshot %s: is there already; remove it or choose another "
                         "name", path);
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
    if (!is_still_partial(folder, &status))
        return error_set(error, EEXIST, "snapshot %s: was saved by another mote just now; choose "
                         "another name", path);
    unlinkat(folder->folder, STATE, 0);
    unlinkat(folder->folder, MEMORY, 0);
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

int snapshot_folder_begin(struct snapshot_folder *folder, const char *path, uint64_t size,
                          const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error)
{
    int result;

    *folder = (struct snapshot_folder)SNAPSHOT_FOLDER_INIT;
    result = split(folder, path, error);
    if (result == 0)
        result = claim(folder, path, error);
    if (result < 0) {
        /* What is there is not ours. */
        cleanup_close(&folder->folder);
        folder->folder = -1;
    } else if ((result = make_files(folder, path, error)) == 0) {
        result = memory_file_begin(folder->memory_fd, size, id, error);
    }
    if (result < 0)
        snapshot_folder_drop(folder);
    return result;
}

int snapshot_folder_seal_state(struct snapshot_folder *folder, const void *bytes, size_t length,
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

int snapshot_folder_finish(struct snapshot_folder *folder, struct error *error)
{
    int result = 0;

    if (fsync(folder->state_fd) < 0 || fsync(folder->memory_fd) < 0 || fsync(folder->folder) < 0)
        result = error_system(error, errno, "snapshot %s", folder->name);
    if (result == 0 && renameat2(folder->parent, folder->partial, folder->parent, folder->name,
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
    snapshot_folder_drop(folder);
    return result;
}

void snapshot_folder_drop(struct snapshot_folder *folder)
{
    if (folder->folder >= 0) {
        unlinkat(folder->folder, STATE, 0);
        unlinkat(folder->folder, MEMORY, 0);
        unlinkat(folder->parent, folder->partial, AT_REMOVEDIR);
    }
    cleanup_close(&folder->state_fd);
    cleanup_close(&folder->memory_fd);
    cleanup_close(&folder->folder);
    cleanup_close(&folder->parent);
    free(folder->name);
    free(folder->partial);
    *folder = (struct snapshot_folder)SNAPSHOT_FOLDER_INIT;
}

/* ---- opening one ----------------------------------------------------------- */

static int check_owner(int fd, const char *path, const char *file, struct error *error)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_system(error, errno, "snapshot %s", path);
    if ((status.st_uid != geteuid() && status.st_uid != 0) || status.st_mode & 022)
        return error_set(error, EPERM, "snapshot %s%s: belongs to or can be written by others, and it "
                         "says what of this host its VM gets; make it your own, by chmod go-w or a "
                         "copy", path, file);
    return 0;
}

static int open_file(int folder, const char *path, const char *file, struct error *error)
{
    int fd = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return error_set(error, ENOENT, "snapshot %s: has no file '%s'; give a folder that mote "
                         "snapshot made", path, file);
    if (fd < 0)
        return error_system(error, errno, "snapshot %s/%s", path, file);
    return fd;
}

int snapshot_folder_open(struct vm_snapshot_source *source, const char *path, struct error *error)
{
    cleanup_fd int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_fd int state = -1, memory = -1;
    int result;

    if (folder < 0)
        return error_set(error, errno, "snapshot %s: %s; give a folder that mote snapshot made", path,
                         strerror(errno));
    if ((result = check_owner(folder, path, "", error)) < 0 ||
        (result = state = open_file(folder, path, STATE, error)) < 0 ||
        (result = check_owner(state, path, "/" STATE, error)) < 0 ||
        (result = memory = open_file(folder, path, MEMORY, error)) < 0 ||
        (result = check_owner(memory, path, "/" MEMORY, error)) < 0)
        return result;
    *source = (struct vm_snapshot_source){
        .state_fd = steal_fd(&state), .memory_fd = steal_fd(&memory),
    };
    return 0;
}
