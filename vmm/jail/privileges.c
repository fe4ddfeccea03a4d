/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the monitor is.  Root becomes an unprivileged user that has nothing else
 * on this host: 0x70000000 and the supervisor's PID, which no other VM has as
 * long as this one runs, from a range that distributions leave unused (after the
 * containers' of systemd).  An ordinary user stays who they are, and so does the
 * root of a user namespace, who is one outside of it and has nobody else to
 * become; and who unpacks archives: the files are to be theirs.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/layers.h"

#define FIRST_ID 0x70000000u

int privileges_check(const struct sandbox_config *config, struct error *error)
{
    bool chosen = config->uid != SANDBOX_ID_CHOOSE || config->gid != SANDBOX_ID_CHOOSE;

    if (chosen && geteuid() != 0)
        return error_set(error, EPERM, "--uid and --gid: are for root alone; leave them out, the "
                         "VM runs as this user");
    if (chosen && config->mode == SANDBOX_OFF)
        return error_set(error, EINVAL, "--uid and --gid: exclude --sandbox off; leave one out");
    return 0;
}

static int become(const struct sandbox *sandbox, struct error *error)
{
    const struct sandbox_config *config = &sandbox->config;
    uint32_t fresh = FIRST_ID + (uint32_t)sandbox->supervisor;
    uid_t uid = config->uid == SANDBOX_ID_CHOOSE ? fresh : (uid_t)config->uid;
    gid_t gid = config->gid == SANDBOX_ID_CHOOSE ? fresh : (gid_t)config->gid;

    if (setresgid(gid, gid, gid) < 0) {
        /* The kernel's word for an ID that this user namespace has not. */
        if (errno == EINVAL && gid == fresh && uid == fresh)
            return 0;
    } else if (setgroups(0, NULL) == 0 && setresuid(uid, uid, uid) == 0) {
        return 0;
    }
    return error_set(error, errno, "user %u, group %u: %s; let root set user IDs here", uid, gid,
                     strerror(errno));
}

/* The bounding set stays: it matters only to exec, from which no_new_privs lets nothing come. */
static int drop_capabilities(uint32_t kept, struct error *error)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct left[_LINUX_CAPABILITY_U32S_3] = { { .effective = 0 } };

    if (kept && syscall(SYS_capget, &header, left) < 0)
        return error_system(error, errno, "capget");
    /* Root in a container may have less than that. */
    left[0].effective = left[0].permitted &= kept;
    left[0].inheritable = left[1].effective = left[1].permitted = left[1].inheritable = 0;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return error_system(error, errno, "ambient capabilities");
    if (syscall(SYS_capset, &header, left) < 0)
        return error_system(error, errno, "capset");
    return 0;
}

int sandbox_open_unprivileged(const char *path, int flags)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct had[_LINUX_CAPABILITY_U32S_3], none[_LINUX_CAPABILITY_U32S_3];
    int fd = -1;

    if (syscall(SYS_capget, &header, had) < 0)
        return -1;
    memcpy(none, had, sizeof(none));
    none[0].effective = none[1].effective = 0;
    if (syscall(SYS_capset, &header, none) < 0)
        return -1;
    fd = open(path, flags | O_CLOEXEC);
    /* They were permitted all the time. */
    if (syscall(SYS_capset, &header, had) < 0) {
        cleanup_close(&fd);
        return -1;
    }
    return fd;
}

/* All that can be done is, whatever of it cannot. */
int layer_privileges(struct sandbox *sandbox, struct error *error)
{
    bool archives = sandbox->config.kind == SANDBOX_ARCHIVES;
    struct error second = ERROR_INIT;

    if (sandbox->privileged && !archives)
        become(sandbox, error);
    drop_capabilities(sandbox->privileged ? sandbox->config.capabilities : 0, &second);
    /* After the change of user, which clears the last of them. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        error_system(&second, errno, "prctl");
    if (!error->number)
        *error = second;
    return -error->number;
}
