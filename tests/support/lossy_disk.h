/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_LOSSY_DISK_H
#define MOTE_LOSSY_DISK_H

/*
 * A block device that takes more than it can keep: a loop device on a sparse
 * file of a tmpfs that has room for a part of it.  Writes go into the page
 * cache and succeed; the kernel loses them when it writes them back, and says so
 * to one sync.  Needs root and loop devices.
 */

#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

struct lossy_disk {
    char folder[40];
    char device[40]; /* /dev/loopN */
    int backing;     /* the file: what is really there */
};

/* The mounts are this process's alone, and gone with it. */
static inline bool lossy_disk_possible(void)
{
    return access("/dev/loop-control", R_OK | W_OK) == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static inline bool lossy_attach(struct lossy_disk *disk)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop = -1;
    bool attached = false;

    /* Another process may take the free one first. */
    for (int tries = 0; control >= 0 && !attached && tries < 20; tries++) {
        snprintf(disk->device, sizeof(disk->device), "/dev/loop%d",
                 ioctl(control, LOOP_CTL_GET_FREE));
        loop = open(disk->device, O_RDWR | O_CLOEXEC);
        attached = loop >= 0 && ioctl(loop, LOOP_SET_FD, disk->backing) == 0;
        if (loop >= 0)
            close(loop);
    }
    if (control >= 0)
        close(control);
    return attached;
}

/* A device of SIZE bytes, of which it keeps about ROOM. */
static inline bool lossy_disk_make(struct lossy_disk *disk, uint64_t size, uint64_t room)
{
    char text[80];

    strcpy(disk->folder, "/tmp/mote-lossy-XXXXXX");
    if (!mkdtemp(disk->folder))
        return false;
    snprintf(text, sizeof(text), "size=%llu", (unsigned long long)room);
    if (mount("tmpfs", disk->folder, "tmpfs", 0, text) < 0)
        return false;
    snprintf(text, sizeof(text), "%s/file", disk->folder);
    disk->backing = open(text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return disk->backing >= 0 && ftruncate(disk->backing, (off_t)size) == 0 && lossy_attach(disk);
}

static inline void lossy_disk_remove(struct lossy_disk *disk)
{
    int loop = open(disk->device, O_RDWR | O_CLOEXEC);

    if (loop >= 0) {
        ioctl(loop, LOOP_CLR_FD);
        close(loop);
    }
    close(disk->backing);
    umount2(disk->folder, MNT_DETACH);
    rmdir(disk->folder);
}

#endif
