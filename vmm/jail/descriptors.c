/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that Mote was started with and nobody named.  All that Mote opens
 * is close-on-exec; what survived the exec that started it is not: that is how
 * the two are told apart.  Those that options name are duplicated by then.
 *
 * Of the standard ones a monitor keeps standard error, to write to: what is typed into the user's terminal is none of
 * its business.  The console has descriptors of its own by then (devices/backend/host_stream.h), of
 * the other two it has no use.
 *
 * New descriptors are the lowest that are free, so Mote's own stand close
 * together: beyond a wide gap there are only strays.  (To read /proc/self/fd
 * would take three times as long.)
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/reopen.h"
#include "vmm/jail/layers.h"

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

static int leave_streams(struct error *error)
{
    cleanup_fd int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cleanup_fd int out = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (in < 0 || out < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        return error_system(error, errno, "/dev/null");
    return 0;
}

/*
 * A file keeps its open file description, with the place in it that the supervisor and the user's shell share; a
 * socket cannot be opened anew.  The lists of system calls let nobody read from any of them (WRITE_ONLY_ERROR).
 */
static int narrow_error(struct error *error)
{
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    cleanup_fd int opened = -1;
    struct stat status;

    if (flags < 0 || (flags & O_ACCMODE) != O_RDWR || fstat(STDERR_FILENO, &status) < 0 ||
        (!S_ISCHR(status.st_mode) && !S_ISFIFO(status.st_mode)))
        return 0;
    opened = reopen(STDERR_FILENO, O_WRONLY | (flags & (O_NONBLOCK | O_APPEND)));
    if (opened < 0)
        return error_set(error, -opened, "standard error: %s, and it stays open for reading; "
                         "redirect it", strerror(-opened));
    return dup2(opened, STDERR_FILENO) < 0 ? error_system(error, errno, "standard error") : 0;
}

int layer_descriptors(struct sandbox *sandbox, struct error *error)
{
    int fd = STDIN_FILENO, result = 0;

    /* Who reads an archive has input and output of its own. */
    if (sandbox->config.kind == SANDBOX_MONITOR)
        result = leave_streams(error);
    if (narrow_error(result < 0 ? &(struct error)ERROR_INIT : error) < 0)
        result = -error->number;

    for (int gap = 0; gap < GAP; fd++) {
        bool kept = keep(fd);

        gap = kept ? 0 : gap + 1;
        if (kept)
            files_note(&sandbox->files, fd);
    }
    if (syscall(SYS_close_range, fd, UINT_MAX, 0) < 0)
        return error_set(error, errno, "close_range: not in this kernel; use one of 5.9 or newer");
    if (result == 0 && sandbox->files.too_many_outputs)
        return error_set(error, EMFILE, "more than %d output files; name fewer", FILTER_OUTPUTS_MAX);
    return result;
}
