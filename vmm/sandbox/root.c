/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root: an empty tmpfs, read-only, in which nothing can be made.  pivot_root
 * of "." onto "." puts the old root on top of the new one, from where it is
 * unmounted: no folder for it is needed, and nothing of it can be reached.
 */

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/layers.h"

/* A folder that every host has; what is mounted there is seen by us alone. */
#define PLACE "/proc"
#define FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static int failed(const char *what, struct error *error)
{
    return error_set(error, errno, "%s: %s; allow mounts in own namespaces here", what,
                     strerror(errno));
}

int layer_root(struct sandbox *sandbox, struct error *error)
{
    if (!sandbox->active[LAYER_NAMESPACES])
        return error_set(error, EPERM, "needs the namespaces; see there");
    /* Nothing of what follows may reach the host's own mounts. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return failed("private mounts", error);
    if (mount("none", PLACE, "tmpfs", FLAGS, "size=4k,nr_inodes=1,mode=0555") < 0)
        return failed("tmpfs", error);
    if (chdir(PLACE) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return failed("pivot_root", error);
    if (umount2(".", MNT_DETACH) < 0)
        return failed("the old root", error);
    if (chdir("/") < 0 || mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | FLAGS, NULL) < 0)
        return failed("read-only root", error);
    return 0;
}
