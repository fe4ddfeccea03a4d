/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/host_path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

bool host_path_is_same(const char *path, const char *other)
{
    struct stat a, b;

    if (stat(path, &a) < 0 || stat(other, &b) < 0)
        return strcmp(path, other) == 0;
    if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode))
        return a.st_rdev == b.st_rdev;
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int host_path_check_socket(const char *option, const char *path, size_t suffix, struct error *error)
{
    struct sockaddr_un address;
    size_t most = sizeof(address.sun_path) - 1 - suffix;

    if (strlen(path) > most)
        return error_set(error, ENAMETOOLONG, "--%s: socket path %s is longer than %zu bytes; "
                         "use a shorter one", option, path, most);
    return 0;
}
