/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that Mote was started with and nobody named.  All that Mote opens
 * is close-on-exec; what survived the exec that started it is not: that is how
 * the two are told apart.  Those that options name are duplicated by then.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/sandbox/layers.h"

#define OWN_DESCRIPTORS "/proc/self/fd"

static void close_stray(int fd)
{
    int flags = fcntl(fd, F_GETFD);

    if (fd > STDERR_FILENO && flags >= 0 && !(flags & FD_CLOEXEC))
        close(fd);
}

int layer_descriptors(struct sandbox *sandbox, struct error *error)
{
    cleanup_fd int folder = open(OWN_DESCRIPTORS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _Alignas(struct dirent64) char entries[4096];
    long length;

    (void)sandbox;
    if (folder < 0)
        return error_set(error, errno, OWN_DESCRIPTORS " cannot be read; mount /proc");
    /* Closing one while the folder is read neither repeats nor skips another. */
    while ((length = syscall(SYS_getdents64, folder, entries, sizeof(entries))) > 0) {
        const struct dirent64 *entry;

        for (long at = 0; at < length; at += entry->d_reclen) {
            entry = (const struct dirent64 *)(const void *)(entries + at);
            if (entry->d_name[0] != '.')
                close_stray(atoi(entry->d_name));
        }
    }
    return length < 0 ? error_system(error, errno, OWN_DESCRIPTORS) : 0;
}
