/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/cache_folder.h"

#include <errno.h>
#include <stdio.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/private_folder.h"
#include "vmm/job/kernel_choice.h"

int cache_folder_open(const char *name, char **path, struct error *error)
{
    cleanup_free char *cache = kernel_cache_base(), *folder = NULL;
    int fd;

    if (!cache || asprintf(&folder, "%s/%s", cache, name) < 0)
        return error_system(error, ENOMEM, "the cache of %s", name);
    fd = private_folder_open(folder, "XDG_CACHE_HOME", error);
    if (fd >= 0)
        *path = steal_pointer(&folder);
    return fd;
}

void file_identity(const struct stat *status, char text[FILE_IDENTITY_SIZE])
{
    snprintf(text, FILE_IDENTITY_SIZE, "%llx-%llx-%llx-%llx.%lx-%llx.%lx",
             (unsigned long long)status->st_dev, (unsigned long long)status->st_ino,
             (unsigned long long)status->st_size, (unsigned long long)status->st_mtim.tv_sec,
             (unsigned long)status->st_mtim.tv_nsec, (unsigned long long)status->st_ctim.tv_sec,
             (unsigned long)status->st_ctim.tv_nsec);
}
