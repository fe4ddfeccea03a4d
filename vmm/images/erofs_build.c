/* SPDX-License-Identifier: Apache-2.0 */
/* What runs under fakeroot: see erofs_image.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/erofs_image.h"
#include "vmm/images/fake_files.h"

/* ---- extended attributes ---- */

/* Up to the next NUL; false at the end. */
static bool read_text(FILE *file, char **text, size_t *size)
{
    return getdelim(text, size, '\0', file) > 0;
}

static int set_xattr(FILE *file, const char *path, const char *name, struct error *error)
{
    char value[XATTR_MAX];
    uint16_t length;

    if (fread(&length, sizeof(length), 1, file) != 1 || length > sizeof(value) ||
        fread(value, 1, length, file) != length)
        return error_set(error, EBADMSG, FAKE_XATTRS ": is damaged; try again");
    if (lsetxattr(path, name, value, length, 0) < 0)
        return error_set(error, errno, "fakeroot: cannot set %s (%s); update it", name,
                         strerror(errno));
    return 0;
}

static int set_xattrs(struct error *error)
{
    FILE *file = fopen(FAKE_XATTRS, "re");
    char *path = NULL, *name = NULL;
    size_t path_size = 0, name_size = 0;
    int result = 0;

    if (!file)
        return error_system(error, errno, FAKE_XATTRS);
    while (result == 0 && read_text(file, &path, &path_size))
        result = read_text(file, &name, &name_size) ? set_xattr(file, path, name, error)
                 : error_set(error, EBADMSG, FAKE_XATTRS ": is damaged; try again");
    free(path);
    free(name);
    fclose(file);
    return result;
}

/* ---- programs ---- */

/* Waits for PROCESS, but ends when standard input does: nobody wants the image any more. */
static int wait_for(pid_t process, int *status)
{
    cleanup_fd int handle = pidfd_open(process, 0);
    struct pollfd wait[] = { { .fd = handle, .events = POLLIN },
                             { .fd = STDIN_FILENO, .events = POLLIN } };

    while (handle >= 0 && wait[0].revents == 0)
        if (poll(wait, ARRAY_LENGTH(wait), -1) > 0 && wait[0].revents == 0) {
            kill(process, SIGKILL);
            break;
        }
    while (waitpid(process, status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return 0;
}

/* A program that fails says why itself: then ERROR stays empty. */
static int run(const char *const *arguments, struct error *error)
{
    pid_t parent = getpid(), process = fork();
    int status;

    if (process < 0)
        return error_system(error, errno, "%s", arguments[0]);
    if (process == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
            execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        dprintf(2, "%s: %s\n", arguments[0], strerror(errno));
        _exit(127);
    }
    if (wait_for(process, &status) < 0)
        return error_system(error, errno, "%s", arguments[0]);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return -EIO;
    return 0;
}

int erofs_image_build(const char *const *command, struct error *error)
{
    int result = set_xattrs(error);

    return result < 0 ? result : run(command, error);
}
