/* SPDX-License-Identifier: Apache-2.0 */
/* A complete snapshot and its bases, opened to be restored. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/supervisor/snapshot/folder.h"

/* One of the chain. */
struct link {
    int folder;
    int memory_fd;
    struct seal seal;
    char *path; /* for messages */
};

#define LINK_INIT { .folder = -1, .memory_fd = -1 }

static void link_close(struct link *link)
{
    cleanup_close(&link->folder);
    cleanup_close(&link->memory_fd);
    seal_release(&link->seal);
    free(link->path);
    *link = (struct link)LINK_INIT;
}

static int check_owner(int fd, const char *path, const char *file, struct error *error)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_system(error, errno, "snapshot %s", path);
    if ((status.st_uid != geteuid() && status.st_uid != 0) || status.st_mode & 022)
        return error_set(error, EPERM, "snapshot %s%s%s: belongs to or can be written by others, and it "
                         "says what of this host its VM gets; make it your own, by chmod go-w or a "
                         "copy", path, file[0] ? "/" : "", file);
    return 0;
}

/* A descriptor, or an error. */
static int open_file(const struct link *link, const char *file, struct error *error)
{
    cleanup_fd int fd = openat(link->folder, file,
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int result;

    if (fd < 0 && errno == ENOENT)
        return error_set(error, ENOENT, "snapshot %s: has no file '%s'; give a folder that mote "
                         "snapshot made", link->path, file);
    if (fd < 0)
        return error_system(error, errno, "snapshot %s/%s", link->path, file);
    result = check_owner(fd, link->path, file, error);
    return result < 0 ? result : steal_fd(&fd);
}

/*
 * What was read and found sound, such as a copy, is taken at its time from now on.
 * Where the folder cannot be written it is read again the next time.
 */
static void renew_seal(struct link *link)
{
    struct error ignored = ERROR_INIT;
    cleanup_fd int fd = -1;

    unlinkat(link->folder, "seal.new", 0);
    fd = openat(link->folder, "seal.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    if (fd < 0)
        return;
    if (seal_write(&link->seal, fd, &ignored) < 0 || fsync(fd) < 0 ||
        renameat(link->folder, "seal.new", link->folder, "seal") < 0)
        unlinkat(link->folder, "seal.new", 0);
}

/* Its memory is what the seal says, as far as that is to be seen. */
static int open_memory(struct link *link, enum seal_effort effort, struct error *error)
{
    cleanup_fd int seal = open_file(link, "seal", error);
    struct error why = ERROR_INIT;
    int result = seal;

    if (result < 0 || (result = link->memory_fd = open_file(link, "memory", error)) < 0)
        return result;
    if ((result = seal_read(&link->seal, seal, &why)) < 0 ||
        (result = memory_file_check(link->memory_fd, link->seal.size, link->seal.id,
                                    seal_kind(&link->seal), &why)) < 0 ||
        (result = seal_check(&link->seal, link->memory_fd, effort, &why)) < 0)
        return error_set(error, why.number, "%s: %s", link->path, why.message);
    if (effort == SEAL_THOROUGH)
        renew_seal(link);
    return 0;
}

static int open_first(struct link *link, const char *path, struct error *error)
{
    link->path = strdup(path);
    link->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!link->path || link->folder < 0)
        return error_set(error, errno, "snapshot %s: %s; give a folder that mote snapshot made", path,
                         strerror(errno));
    return check_owner(link->folder, path, "", error);
}

/* The base of LINK, which takes its place. */
static int open_base(struct link *link, enum seal_effort effort, struct error *error)
{
    struct link base = LINK_INIT;
    int result;

    if (asprintf(&base.path, "%s/%s", link->path, link->seal.base) < 0)
        return error_system(error, ENOMEM, "snapshot");
    base.folder = openat(link->folder, link->seal.base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base.folder < 0)
        result = error_set(error, errno, "snapshot %s: its base %s is not there (%s); put it back to "
                           "where it was when this one was saved", link->path, link->seal.base,
                           strerror(errno));
    else
        result = check_owner(base.folder, base.path, "", error);
    if (result == 0)
        result = open_memory(&base, effort, error);
    if (result == 0 && (memcmp(base.seal.id, link->seal.base_id, SNAPSHOT_ID_SIZE) != 0 ||
                        base.seal.size != link->seal.size))
        result = error_set(error, EINVAL, "snapshot %s: its base %s is another snapshot than it was "
                           "saved from; put that one back", link->path, link->seal.base);
    if (result < 0) {
        link_close(&base);
        return result;
    }
    link_close(link);
    *link = base;
    return 0;
}

static int open_bases(struct vm_snapshot_source *source, struct link *link, enum seal_effort effort,
                      struct error *error)
{
    while (link->seal.base) {
        int result;

        if (source->base_count == SNAPSHOT_CHAIN_MAX - 1)
            return error_set(error, ELOOP, "snapshot %s: is the difference from a difference, and so "
                             "on, over %d times, or from itself; fold it by 'mote snapshot merge' "
                             "after each few", link->path, SNAPSHOT_CHAIN_MAX - 1);
        result = open_base(link, effort, error);
        if (result < 0)
            return result;
        source->base_fds[source->base_count++] = steal_fd(&link->memory_fd);
    }
    return 0;
}

static int open_all(struct vm_snapshot_source *source, const char *path, enum seal_effort effort,
                    struct error *error)
{
    struct link link = LINK_INIT;
    struct error ignored = ERROR_INIT;
    int result;

    *source = (struct vm_snapshot_source)SNAPSHOT_SOURCE_INIT;
    if ((result = open_first(&link, path, error)) == 0 &&
        (result = source->state_fd = open_file(&link, "state", error)) >= 0 &&
        (result = open_memory(&link, effort, error)) == 0) {
        memcpy(source->id, link.seal.id, sizeof(source->id));
        source->size = link.seal.size;
        source->memory_fd = steal_fd(&link.memory_fd);
        source->working_set_fd = open_file(&link, "working-set", &ignored);
        result = open_bases(source, &link, effort, error);
    }
    link_close(&link);
    if (result < 0)
        snapshot_source_close(source);
    return result;
}

int snapshot_folder_open(struct vm_snapshot_source *source, const char *path, struct error *error)
{
    return open_all(source, path, SEAL_IN_DOUBT, error);
}

int snapshot_folder_open_sealed(struct vm_snapshot_source *source, const char *path,
                                struct error *error)
{
    return open_all(source, path, SEAL_BY_TIME, error);
}

int snapshot_folder_verify(struct vm_snapshot_source *source, const char *path, struct error *error)
{
    return open_all(source, path, SEAL_THOROUGH, error);
}

void snapshot_source_close(struct vm_snapshot_source *source)
{
    cleanup_close(&source->state_fd);
    cleanup_close(&source->memory_fd);
    cleanup_close(&source->working_set_fd);
    cleanup_close(&source->record_fd);
    for (size_t i = 0; i < source->base_count; i++)
        cleanup_close(&source->base_fds[i]);
    *source = (struct vm_snapshot_source)SNAPSHOT_SOURCE_INIT;
}
