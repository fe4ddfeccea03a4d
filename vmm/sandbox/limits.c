/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits of the process.  There is none on the size of files: the sizes
 * of disks never change, and how long an output may become is its owner's choice.
 */

#include <errno.h>
#include <sys/resource.h>

#include "vmm/cleanup.h"
#include "vmm/sandbox/layers.h"

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
    return 0;
}
