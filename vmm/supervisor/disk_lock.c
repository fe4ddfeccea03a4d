/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/disk_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

/* How long a lock is waited for, all in all 200 ms. */
#define LOCK_TRIES 20
#define LOCK_PAUSE_NS 10000000

static int set_lock(int fd, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

int disk_lock(int fd, short type)
{
    const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
    int result;

    /* A monitor that was killed is not quite gone while the kernel takes down
     * its io_uring. */
    for (int i = 0;; i++) {
        result = set_lock(fd, type);
        if (result != -EAGAIN || i == LOCK_TRIES)
            return result;
        nanosleep(&pause, NULL);
    }
}

void disk_unlock(int fd)
{
    set_lock(fd, F_UNLCK);
}
