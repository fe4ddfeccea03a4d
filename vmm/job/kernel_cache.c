/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/kernel_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/job/cache_folder.h"
#include "vmm/base/helper_program.h"
#include "vmm/machine/arch_facts.h"

#define NAME_SIZE FILE_IDENTITY_SIZE
#define FOLDER "unpacked-kernels"
#define TEMPORARY ".tmp"

/* A packed kernel and its place here. */
struct slot {
    int source, folder;
    struct stat status; /* of the source */
    char name[NAME_SIZE];
    char temporary[NAME_SIZE + sizeof(TEMPORARY)];
    kernel_unpacker unpack;
    const struct image_program *program;
};

/* ---- a kernel in it ------------------------------------------------------- */

static void set_name(struct slot *slot)
{
    file_identity(&slot->status, slot->name);
    snprintf(slot->temporary, sizeof(slot->temporary), "%s" TEMPORARY, slot->name);
}

static bool is_whole(const struct slot *slot)
{
    struct stat status;

    return fstatat(slot->folder, slot->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode) && status.st_uid == geteuid() && !(status.st_mode & 0222) &&
           status.st_size > 0 && status.st_mtim.tv_sec == slot->status.st_mtim.tv_sec &&
           status.st_mtim.tv_nsec == slot->status.st_mtim.tv_nsec;
}

static bool is_packed(int fd)
{
    uint8_t start[ARCH_KERNEL_START];
    ssize_t length = pread(fd, start, sizeof(start), 0);

    return length > 0 && arch_kernel_is_packed(start, (size_t)length);
}

/* Whether FD, which is locked, still has the name: a writer before us may have renamed it. */
static bool is_ours(const struct slot *slot, int fd)
{
    struct stat named, open;

    return fstatat(slot->folder, slot->temporary, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(fd, &open) == 0 && named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

static int failed(struct error *error)
{
    return error_system(error, errno, "the cache of kernels");
}

/* Fills FD and gives it its name. */
static int fill(const struct slot *slot, int fd, struct error *error)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, slot->status.st_mtim };
    int result;

    if (ftruncate(fd, 0) < 0)
        return failed(error);
    result = slot->unpack(slot->program, slot->source, fd, error);
    if (result < 0)
        return result;
    /* Read-only last, so that VMs may share it (image.h): half made it must open for the next writer. */
    if (fsync(fd) < 0 || futimens(fd, times) < 0 ||
        renameat(slot->folder, slot->temporary, slot->folder, slot->name) < 0 ||
        fchmod(fd, 0400) < 0)
        return failed(error);
    return 1;
}

/* 0: another process is about it. */
static int make(const struct slot *slot, struct error *error)
{
    cleanup_fd int fd = openat(slot->folder, slot->temporary,
                               O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    int result;

    if (fd < 0)
        return failed(error);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_ours(slot, fd))
        return 0;
    result = fill(slot, fd, error);
    if (result < 0)
        unlinkat(slot->folder, slot->temporary, 0);
    return result;
}

/* ---- what nobody needs any more ------------------------------------------- */

struct found {
    char name[NAME_SIZE + sizeof(TEMPORARY)];
    struct timespec made;
};

static int newest_first(const void *a, const void *b)
{
    const struct found *one = a, *other = b;

    if (one->made.tv_sec != other->made.tv_sec)
        return one->made.tv_sec < other->made.tv_sec ? 1 : -1;
    return (one->made.tv_nsec < other->made.tv_nsec) - (one->made.tv_nsec > other->made.tv_nsec);
}

/* A folder has a handful; more wait for the next time. */
static void sweep(int folder)
{
    struct found found[4 * KERNEL_CACHE_KEPT];
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;
    size_t count = 0;

    if (!stream) {
        cleanup_close(&copy);
        return; /* sweeping can wait */
    }
    while (count < ARRAY_LENGTH(found) && (entry = readdir(stream))) {
        struct stat status;

        if (strlen(entry->d_name) >= sizeof(found[0].name) ||
            fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(status.st_mode))
            continue;
        strcpy(found[count].name, entry->d_name);
        found[count++].made = status.st_ctim;
    }
    closedir(stream);
    qsort(found, count, sizeof(found[0]), newest_first);
    for (size_t i = KERNEL_CACHE_KEPT; i < count; i++)
        unlinkat(folder, found[i].name, 0);
}

/* ---- all together --------------------------------------------------------- */

int kernel_cache_get(const char *kernel, kernel_unpacker unpack,
                     const struct image_program *program, char **path, struct error *error)
{
    cleanup_fd int source = open(kernel, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    cleanup_fd int folder = -1;
    cleanup_free char *folder_path = NULL;
    struct slot slot = { .source = source, .unpack = unpack, .program = program };
    int result = 1;

    /* What is no kernel, the VM's own messages tell. */
    if (source < 0 || fstat(source, &slot.status) < 0 || !S_ISREG(slot.status.st_mode) ||
        !is_packed(source))
        return 0;
    slot.folder = folder = cache_folder_open(FOLDER, &folder_path, error);
    if (folder < 0)
        return folder;
    set_name(&slot);
    if (!is_whole(&slot)) {
        result = make(&slot, error);
        if (result > 0)
            sweep(folder);
    }
    if (result > 0 && asprintf(path, "%s/%s", folder_path, slot.name) < 0)
        return error_system(error, ENOMEM, "the cache of kernels");
    return result;
}

int kernel_cache_unpack(const struct image_program *program, int from, int to,
                        struct error *error)
{
    static const char *const words[] = { "unpack-kernel", "--quiet", NULL };
    pid_t process;
    int result = image_program_start(&process, program, words, from, to, error);

    if (result < 0)
        return result;
    if (helper_program_wait(process) != 0)
        return error_set(error, EIO, "mote-image cannot unpack it, or has no room for it");
    return 0;
}
