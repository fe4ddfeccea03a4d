/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "vmm/sandbox/layers.h"

int cgroup_create(struct cgroup **cgroup, const struct sandbox_config *config,
                  struct error *error)
{
    (void)config;
    *cgroup = NULL;
    return error_set(error, ENOSYS, "not delegated; start by: systemd-run --user --scope -p "
                     "Delegate=yes mote ...");
}
int cgroup_fd(const struct cgroup *cgroup) { (void)cgroup; return -1; }
int cgroup_join(const struct cgroup *cgroup, pid_t pid, struct error *error)
{
    (void)cgroup; (void)pid; (void)error; return 0;
}
bool cgroup_out_of_memory(const struct cgroup *cgroup) { (void)cgroup; return false; }
void cgroup_destroy(struct cgroup *cgroup) { free(cgroup); }

int layer_cgroup(struct sandbox *sandbox, struct error *error)
{
    if (sandbox->cgroup)
        return 0;
    *error = sandbox->cgroup_missing;
    return -error->number;
}
