/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces.  The child is made in a PID namespace of its own, whose first
 * process it is: when it ends, whatever it started ends.  Those in which opening
 * files and network interfaces makes a difference come after that is done.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/layers.h"

#define LATER (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
#define OWN_NETWORK "/proc/thread-self/ns/net"
#define STACK_SIZE (64u << 10)

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

/*
 * A network namespace takes the kernel longer than all the rest together.  A
 * thread makes it while the first one sets up KVM, which waits a good deal, and
 * goes through the layers that do not need it: that one then goes there.  The
 * thread keeps the mounts that it began with, /proc among them, and has ended
 * before anybody's rights change.
 */
static void *make_network(void *context)
{
    struct sandbox *sandbox = context;

    if (unshare(CLONE_NEWNET) < 0 ||
        (sandbox->network_fd = open(OWN_NETWORK, O_RDONLY | O_CLOEXEC)) < 0)
        sandbox->network_fd = -errno;
    return NULL;
}

void namespaces_begin(struct sandbox *sandbox)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sandbox->network_begun = pthread_create(&sandbox->network_maker, &attributes, make_network,
                                            sandbox) == 0;
    pthread_attr_destroy(&attributes);
}

int layer_namespaces(struct sandbox *sandbox, struct error *error)
{
    if (sandbox->fork_refused.number) {
        *error = sandbox->fork_refused;
        return -error->number;
    }
    if (unshare(LATER) < 0)
        return error_set(error, errno, "mount namespace and others: %s; allow them here",
                         strerror(errno));
    return 0;
}

static int enter_network(struct sandbox *sandbox)
{
    cleanup_fd int fd = -1;

    if (!sandbox->network_begun)
        return unshare(CLONE_NEWNET) < 0 ? -errno : 0;
    pthread_join(sandbox->network_maker, NULL);
    sandbox->network_begun = false;
    if (sandbox->network_fd < 0)
        return sandbox->network_fd;
    fd = sandbox->network_fd;
    return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

int layer_network(struct sandbox *sandbox, struct error *error)
{
    int result;

    if (sandbox->fork_refused.number)
        return error_set(error, EPERM, "needs the namespaces; see there");
    result = enter_network(sandbox);
    if (result < 0)
        return error_set(error, -result, "network namespace: %s; allow it here", strerror(-result));
    return 0;
}
