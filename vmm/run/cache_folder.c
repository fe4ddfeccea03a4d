/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/run/cache_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/run/kernel_choice.h"

/* As mkdir -p; the caller's open(2) tells what went wrong. */
static void make_folders(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    mkdir(path, 0700);
}

int cache_folder_open(const char *name, char **path, struct error *error)
{
    cleanup_free char *cache = kernel_cache_base(), *folder = NULL;
    cleanup_fd int fd = -1;
    struct stat status;

    if (!cache || asprintf(&folder, "%s/%s", cache, name) < 0)
        return error_system(error, ENOMEM, "the cache of %s", name);
    make_folders(folder);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_system(error, errno, "cache %s", folder);
    if (status.st_uid != geteuid() || (status.st_mode & 0022))
        return error_set(error, EPERM, "cache %s: other users can write there; chmod go-w it, or "
                         "name another folder with XDG_CACHE_HOME", folder);
    *path = steal_pointer(&folder);
    return steal_fd(&fd);
}

void file_identity(const struct stat *status, char text[FILE_IDENTITY_SIZE])
{
    snprintf(text, FILE_IDENTITY_SIZE, "%llx-%llx-%llx-%llx.%lx-%llx.%lx",
             (unsigned long long)status->st_dev, (unsigned long long)status->st_ino,
             (unsigned long long)status->st_size, (unsigned long long)status->st_mtim.tv_sec,
             (unsigned long)status->st_mtim.tv_nsec, (unsigned long long)status->st_ctim.tv_sec,
             (unsigned long)status->st_ctim.tv_nsec);
}
