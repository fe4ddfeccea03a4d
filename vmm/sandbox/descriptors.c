/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that Mote was started with and nobody named.  All that Mote opens
 * is close-on-exec; what survived the exec that started it is not: that is how
 * the two are told apart.  Those that options name are duplicated by then.
 *
 * New descriptors are the lowest that are free, so Mote's own stand close
 * together: beyond a wide gap there are only strays.  (To read /proc/self/fd
 * would take three times as long.)
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/layers.h"

#define GAP 64

/* Whether FD is there and stays. */
static bool keep(int fd)
{
    int flags = fcntl(fd, F_GETFD);

    if (flags >= 0 && fd > STDERR_FILENO && !(flags & FD_CLOEXEC)) {
        close(fd);
        return false;
    }
    return flags >= 0;
}

int layer_descriptors(struct sandbox *sandbox, struct error *error)
{
    int fd = STDIN_FILENO;

    for (int gap = 0; gap < GAP; fd++) {
        bool kept = keep(fd);

        gap = kept ? 0 : gap + 1;
        if (kept)
            files_note(&sandbox->files, fd);
    }
    if (syscall(SYS_close_range, fd, UINT_MAX, 0) < 0)
        return error_set(error, errno, "close_range: not in this kernel; use one of 5.9 or newer");
    return 0;
}
