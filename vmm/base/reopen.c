/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/reopen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "vmm/base/cleanup.h"

/* Our controlling terminal opens for us by this name, whoever owns it. */
static int open_terminal(int fd, int flags)
{
    cleanup_fd int opened = open("/dev/tty", flags);
    unsigned int wanted, found;

    if (opened < 0)
        return -errno;
    if (ioctl(fd, TIOCGDEV, &wanted) < 0 || ioctl(opened, TIOCGDEV, &found) < 0 || found != wanted)
        return -EACCES;
    return steal_fd(&opened);
}

int reopen(int fd, int flags)
{
    unsigned int number;
    char path[32];
    int opened;

    if (ioctl(fd, TIOCGPTN, &number) == 0)
        return -ENOTTY;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    flags |= O_NOCTTY | O_CLOEXEC;
    opened = open(path, flags);
    if (opened >= 0)
        return opened;
    opened = -errno;
    return ioctl(fd, TIOCGDEV, &number) == 0 ? open_terminal(fd, flags) : opened;
}
