/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/nameless_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

/* Not every file system has files without a name: there it loses its name at once. */
static int open_in(const char *folder)
{
    int fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    cleanup_free char *path = NULL;

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    if (asprintf(&path, "%s/mote.XXXXXX", folder) < 0)
        return -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

int nameless_file(const char *what, const char *remedy, struct error *error)
{
    const char *folder = getenv("TMPDIR");
    int fd;

    if (!folder || !*folder)
        folder = "/var/tmp";
    fd = open_in(folder);
    if (fd < 0)
        return error_set(error, errno, "%s: no file can be made in %s: %s; %s", what, folder,
                         strerror(errno), remedy);
    return fd;
}
