/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces.  The child is made in a PID namespace of its own, whose first
 * process it is: when it ends, whatever it started ends.  Those in which opening
 * files and network interfaces makes a difference come after that is done.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/sandbox/layers.h"

#define LATER (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

uint64_t namespaces_clone_flags(bool with_user)
{
    return CLONE_NEWPID | (with_user ? CLONE_NEWUSER : 0);
}

static int write_own(const char *path, const char *text, struct error *error)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t length = strlen(text);

    if (fd < 0 || write(fd, text, length) != (ssize_t)length)
        return error_system(error, errno, "%s", path);
    return 0;
}

/* Nobody but ourselves, under the numbers that we have. */
int namespaces_map_user(uid_t uid, gid_t gid, struct error *error)
{
    char text[48];
    int result;

    snprintf(text, sizeof(text), "%u %u 1\n", uid, uid);
    if ((result = write_own("/proc/self/uid_map", text, error)) < 0 ||
        (result = write_own("/proc/self/setgroups", "deny", error)) < 0)
        return result;
    snprintf(text, sizeof(text), "%u %u 1\n", gid, gid);
    return write_own("/proc/self/gid_map", text, error);
}

int layer_namespaces(struct sandbox *sandbox, struct error *error)
{
    if (sandbox->fork_refused.number) {
        *error = sandbox->fork_refused;
        return -error->number;
    }
    if (unshare(LATER) < 0)
        return error_set(error, errno, "unshare: %s; allow mount and network namespaces here",
                         strerror(errno));
    return 0;
}
