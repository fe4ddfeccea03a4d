/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/private_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

/* As mkdir -p; open(2) tells what went wrong. */
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

int private_folder_open(const char *path, const char *variable, struct error *error)
{
    cleanup_free char *copy = strdup(path);
    cleanup_fd int fd = -1;
    struct stat status;

    if (!copy)
        return error_system(error, ENOMEM, "%s", path);
    make_folders(copy);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_system(error, errno, "%s", path);
    if (status.st_uid != geteuid() || (status.st_mode & 0022))
        return error_set(error, EPERM, "%s: other users can write there; chmod go-w it, or "
                         "name another folder with %s", path, variable);
    return steal_fd(&fd);
}
