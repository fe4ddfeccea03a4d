/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits of the process.
 *
 * A file may be written as far as the largest disk reaches.  How long an output
 * may become is its owner's choice (ulimit -f): where one goes to a file, there
 * is no limit of ours.  Of this limit the hard half stays, so that the supervisor
 * can let a disk grow, and a snapshot be written; seccomp keeps the monitor from
 * doing so.  A supervisor that could not do this sets none.  A write beyond is
 * an error like others: SIGXFSZ, which would end the VM, is ignored.
 */

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/layers.h"

/* A guest's connections, and what the devices open themselves. */
#define FILES_MAX 4096
/* The monitor's own memory beyond the guest's: most of it rings and buffers. */
#define OWN_MEMORY (256ull << 20)
#define OWN_MEMORY_PER_CPU (1ull << 20)

/* Lowers both limits to VALUE; one that is lower already stays. */
static int lower(int resource, const char *name, rlim_t value, struct error *error)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) < 0)
        return error_system(error, errno, "%s", name);
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > value)
        limit.rlim_max = value;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    if (setrlimit(resource, &limit) < 0)
        return error_system(error, errno, "%s", name);
    return 0;
}

/* The soft limit alone. */
static int lower_file_size(uint64_t size, struct error *error)
{
    struct rlimit limit;

    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || getrlimit(RLIMIT_FSIZE, &limit) < 0)
        return error_system(error, errno, "RLIMIT_FSIZE");
    if (size < limit.rlim_cur)
        limit.rlim_cur = size;
    return setrlimit(RLIMIT_FSIZE, &limit) < 0 ? error_system(error, errno, "RLIMIT_FSIZE") : 0;
}

/* Of the child's files, as far as may be; *OLD is what it was.  Where this fails, the guest meets that. */
static bool lift_file_size(const struct sandbox *sandbox, uint64_t *old)
{
    struct rlimit limit;

    if (sandbox->pid <= 0 || prlimit(sandbox->pid, RLIMIT_FSIZE, NULL, &limit) < 0)
        return false;
    *old = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return prlimit(sandbox->pid, RLIMIT_FSIZE, &limit, NULL) == 0;
}

void sandbox_files_grew(struct sandbox *sandbox)
{
    uint64_t old;

    if (!sandbox)
        return;
    sandbox->files_grew = true;
    lift_file_size(sandbox, &old);
}

void sandbox_allow_file(struct sandbox *sandbox, int fd, uint64_t size)
{
    uint64_t most;

    if (!sandbox)
        return;
    if (!sandbox->files_lifted)
        sandbox->files_lifted = lift_file_size(sandbox, &sandbox->file_size);
    if (files_in_memory(fd, &most))
        sandbox->file_memory += cgroup_allow(sandbox->cgroup, size < most ? size : most);
}

void sandbox_files_written(struct sandbox *sandbox, bool kept)
{
    struct rlimit limit;

    if (!sandbox)
        return;
    if (!kept)
        cgroup_take_back(sandbox->cgroup, sandbox->file_memory);
    sandbox->file_memory = 0;
    if (sandbox->files_lifted && !sandbox->files_grew && sandbox->pid > 0 &&
        prlimit(sandbox->pid, RLIMIT_FSIZE, NULL, &limit) == 0) {
        limit.rlim_cur = sandbox->file_size;
        prlimit(sandbox->pid, RLIMIT_FSIZE, &limit, NULL);
    }
    sandbox->files_lifted = false;
}

/* Root that is to lift another user's limit needs a right for it, which containers often lack. */
static bool can_be_lifted(const struct sandbox *sandbox)
{
    return !sandbox->privileged || prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE, 0, 0, 0) == 1;
}

/* How far files may be written. */
static uint64_t file_size(const struct sandbox *sandbox)
{
    if (sandbox->config.kind == SANDBOX_ARCHIVES)
        return sandbox->config.file_size;
    return can_be_lifted(sandbox) ? sandbox->files.largest : UINT64_MAX;
}

int layer_limits(struct sandbox *sandbox, struct error *error)
{
    const struct sandbox_config *config = &sandbox->config;
    /* Of private memory that can be written: the guest's is mapped by now. */
    rlim_t data = config->memory + OWN_MEMORY + config->cpus * OWN_MEMORY_PER_CPU;
    const struct {
        int resource;
        const char *name;
        rlim_t value;
    } limits[] = {
        { RLIMIT_CORE, "RLIMIT_CORE", 0 }, /* it would hold the guest's memory */
        { RLIMIT_NOFILE, "RLIMIT_NOFILE", FILES_MAX },
        { RLIMIT_DATA, "RLIMIT_DATA", data },
        { RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0 },
        { RLIMIT_RTPRIO, "RLIMIT_RTPRIO", 0 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++) {
        int result = lower(limits[i].resource, limits[i].name, limits[i].value, error);

        if (result < 0)
            return result;
    }
    return lower_file_size(file_size(sandbox), error);
}
