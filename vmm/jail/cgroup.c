/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control group of the VM's own, below the one that Mote was started in: made
 * by the supervisor, which removes it when the monitor has ended.
 *
 * Version 2 wants a group to have either processes or limits for groups below
 * it.  Where Mote is alone in a group that is its user's (systemd calls that
 * delegated), it moves itself into one below, and then limits others.  Else the
 * group above may do, as among the programs of a desktop session; and for root
 * the top of the hierarchy.
 *
 * Version 1 has a hierarchy for each kind of limit, and no such rule.  But a
 * process cannot begin in its groups, only move there, for which the kernel
 * waits some ten milliseconds: that is done only where the sandbox is required.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/layers.h"
#include "vmm/base/small_file.h"

#define TOP "/sys/fs/cgroup"
#define GROUP "mote-"
#define SUPERVISORS "mote-supervisors"
#define GROUPS_MAX 3
#define PATH_SIZE 512
/* What the VM's processes take beyond the guest's memory: rings, buffers, passt; and page tables. */
#define OWN_MEMORY (256ull << 20)
#define PAGE_TABLES(memory) ((memory) / 64)
/* Threads beyond the vCPUs': the monitor's, io_uring's, passt. */
#define OWN_TASKS 64
#define MEMORY_V2 "memory.max"
#define MEMORY_V1 "memory.limit_in_bytes"
#define PERIOD_US 100000ull
/* The devices' work; more would let a guest keep other CPUs busy than its own. */
#define OWN_CPUS 1

struct cgroup {
    int version;
    int fd; /* of version 2's group, or -1 */
    uint64_t memory; /* bytes that it may take, files aside */
    size_t count;
    char paths[GROUPS_MAX][PATH_SIZE];
};

struct limit {
    const char *controller; /* version 1's hierarchy */
    const char *file;
    uint64_t value;
    const char *suffix;
    bool optional; /* not in every kernel's configuration */
};

/* ---- files ---------------------------------------------------------------- */

static int write_file(const char *folder, const char *name, const char *text)
{
    char path[PATH_SIZE + 64];
    cleanup_fd int fd = -1;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return -errno;
    return 0;
}

/* A small file's text, cut to SIZE; empty where it cannot be read. */
static void read_file(const char *folder, const char *name, char *text, size_t size)
{
    char path[PATH_SIZE + 64];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    text[0] = '\0';
    small_file_read(path, text, size);
}

/* What follows ":CONTROLLER:" in /proc/self/cgroup; "" is version 2. */
static bool own_group(const char *controller, char *group, size_t size)
{
    char text[4096], *line, *rest = text;

    read_file("/proc/self", "cgroup", text, sizeof(text));
    while ((line = strsep(&rest, "\n"))) {
        char *name = strchr(line, ':'), *path = name ? strchr(name + 1, ':') : NULL;

        if (!path)
            continue;
        *path = '\0';
        if (strcmp(name + 1, controller) != 0)
            continue;
        /* At the top the path is "/": what is appended begins by one. */
        snprintf(group, size, "%s", strcmp(path + 1, "/") == 0 ? "" : path + 1);
        return true;
    }
    return false;
}

/* Groups of supervisors that were killed.  One with a process in it cannot be removed. */
static void remove_stale(const char *base)
{
    DIR *folder = opendir(base);
    char path[PATH_SIZE + 280];
    struct dirent *entry;

    while (folder && (entry = readdir(folder))) {
        int pid = strncmp(entry->d_name, GROUP, strlen(GROUP)) == 0
                      ? atoi(entry->d_name + strlen(GROUP)) : 0;

        if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
            continue;
        snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
        rmdir(path);
    }
    if (folder)
        closedir(folder);
}

/* ---- making one ----------------------------------------------------------- */

static int add_group(struct cgroup *cgroup, const char *base)
{
    char *path = cgroup->paths[cgroup->count];

    remove_stale(base);
    if (snprintf(path, PATH_SIZE, "%s/" GROUP "%d", base, getpid()) >= PATH_SIZE)
        return -ENAMETOOLONG;
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return -errno;
    cgroup->count++;
    return 0;
}

static int set_limit(const char *path, const struct limit *limit)
{
    char text[48];
    int result;

    snprintf(text, sizeof(text), "%llu%s", (unsigned long long)limit->value, limit->suffix);
    result = write_file(path, limit->file, text);
    return limit->optional && result == -ENOENT ? 0 : result;
}

static bool has_controllers(const char *base)
{
    char text[256];

    read_file(base, "cgroup.subtree_control", text, sizeof(text));
    return strstr(text, "memory") && strstr(text, "pids") && strstr(text, "cpu");
}

/* Whether this process is all that is in BASE. */
static bool is_alone(const char *base)
{
    char text[64];

    read_file(base, "cgroup.procs", text, sizeof(text));
    return atoi(text) == getpid() && strchr(text, '\n') == strrchr(text, '\n');
}

/* Lets groups below BASE have limits; the supervisor makes way for that. */
static int enable_controllers(const char *base)
{
    static const char wanted[] = "+memory +pids +cpu";
    char path[PATH_SIZE + 32];
    int result;

    if (has_controllers(base))
        return 0;
    result = write_file(base, "cgroup.subtree_control", wanted);
    if (result != -EBUSY || !is_alone(base))
        return result;
    snprintf(path, sizeof(path), "%s/" SUPERVISORS, base);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return -errno;
    result = write_file(path, "cgroup.procs", "0");
    return result < 0 ? result : write_file(base, "cgroup.subtree_control", wanted);
}

static int make_v2(struct cgroup *cgroup, const struct limit *limits, const char *base)
{
    int result = add_group(cgroup, base);

    for (size_t i = 0; result == 0 && limits[i].file; i++)
        result = set_limit(cgroup->paths[0], &limits[i]);
    if (result == 0) {
        cgroup->fd = open(cgroup->paths[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = cgroup->fd < 0 ? -errno : 0;
    }
    if (result < 0 && cgroup->count > 0)
        rmdir(cgroup->paths[--cgroup->count]);
    return result;
}

static int create_v2(struct cgroup *cgroup, const struct sandbox_config *config)
{
    const struct limit limits[] = {
        { NULL, MEMORY_V2, cgroup->memory, "" },
        { NULL, "memory.swap.max", 0, "", .optional = true },
        { NULL, "pids.max", config->cpus + OWN_TASKS, "" },
        { NULL, "cpu.max", (config->cpus + OWN_CPUS) * PERIOD_US, " 100000" },
        { .file = NULL },
    };
    char group[PATH_SIZE / 2], base[PATH_SIZE];
    int result;

    cgroup->version = 2;
    if (!own_group("", group, sizeof(group)))
        return -ENOENT;
    snprintf(base, sizeof(base), TOP "%s", group);
    result = enable_controllers(base);
    if (result == 0)
        return make_v2(cgroup, limits, base);
    *strrchr(base, '/') = '\0'; /* that of TOP at the least */
    if (strlen(base) > strlen(TOP) && has_controllers(base))
        result = make_v2(cgroup, limits, base);
    if (result < 0 && geteuid() == 0)
        result = make_v2(cgroup, limits, TOP);
    return result;
}

static int create_v1(struct cgroup *cgroup, const struct sandbox_config *config)
{
    const struct limit limits[GROUPS_MAX] = {
        { "memory", MEMORY_V1, cgroup->memory, "" },
        { "pids", "pids.max", config->cpus + OWN_TASKS, "" },
        { "cpu", "cpu.cfs_quota_us", (config->cpus + OWN_CPUS) * PERIOD_US, "",
          .optional = true },
    };
    char group[PATH_SIZE / 2], base[PATH_SIZE];
    int result = 0;

    cgroup->version = 1;
    if (!config->required)
        return -EOPNOTSUPP;
    for (size_t i = 0; result == 0 && i < GROUPS_MAX; i++) {
        if (!own_group(limits[i].controller, group, sizeof(group)) &&
            !(strcmp(limits[i].controller, "cpu") == 0 &&
              own_group("cpu,cpuacct", group, sizeof(group))))
            return -ENOENT;
        snprintf(base, sizeof(base), TOP "/%s%s", limits[i].controller, group);
        result = add_group(cgroup, base);
        if (result == 0)
            result = set_limit(cgroup->paths[i], &limits[i]);
    }
    return result;
}

int cgroup_create(struct cgroup **cgroup, const struct sandbox_config *config,
                  struct error *error)
{
    struct cgroup *created = calloc(1, sizeof(*created));
    struct statfs status;
    int result;

    if (!created)
        return error_system(error, ENOMEM, "cgroup");
    created->fd = -1;
    created->memory = config->memory + PAGE_TABLES(config->memory) + OWN_MEMORY;
    if (statfs(TOP, &status) < 0)
        result = -errno;
    else if (status.f_type == CGROUP2_SUPER_MAGIC)
        result = create_v2(created, config);
    else
        result = create_v1(created, config);
    if (result < 0) {
        bool old = created->version == 1 && !config->required;

        cgroup_destroy(created);
        if (old)
            return error_set(error, -result, "this host has version 1, which delays each start; "
                             "--require-sandbox uses it all the same");
        return error_set(error, -result, "none can be made here (%s); start by: systemd-run --user "
                         "--scope -p Delegate=yes mote ...", strerror(-result));
    }
    *cgroup = created;
    return 0;
}

void cgroup_destroy(struct cgroup *cgroup)
{
    if (!cgroup)
        return;
    cleanup_close(&cgroup->fd);
    for (size_t i = 0; i < cgroup->count; i++)
        rmdir(cgroup->paths[i]);
    free(cgroup);
}

/* ---- using it ------------------------------------------------------------- */

int cgroup_fd(const struct cgroup *cgroup)
{
    return cgroup ? cgroup->fd : -1;
}

int cgroup_join(const struct cgroup *cgroup, struct error *error)
{
    for (size_t i = 0; cgroup && i < cgroup->count; i++) {
        int result = write_file(cgroup->paths[i], "cgroup.procs", "0");

        if (result < 0)
            return error_system(error, -result, "cgroup %s", cgroup->paths[i]);
    }
    return 0;
}

bool cgroup_out_of_memory(const struct cgroup *cgroup)
{
    char text[512];
    const char *count;

    if (!cgroup)
        return false;
    read_file(cgroup->paths[0], cgroup->version == 2 ? "memory.events" : "memory.oom_control", text,
              sizeof(text));
    count = strstr(text, "oom_kill ");
    return count && atoi(count + strlen("oom_kill ")) > 0;
}

/*
 * Files in memory come on top of the limit, as the disks and outputs are open by
 * now.  To charge them elsewhere would want another process to write each page
 * first; and under memory.high, which kills nobody, a guest that fills its disk
 * would stand still, as nothing of it can be given back.
 */
static int allow_files(const struct cgroup *cgroup, uint64_t files, struct error *error)
{
    struct limit limit = { .suffix = "", .value = cgroup->memory + files };
    int result;

    if (limit.value < files) /* no end in sight */
        limit.value = INT64_MAX;
    limit.file = cgroup->version == 2 ? MEMORY_V2 : MEMORY_V1;
    result = set_limit(cgroup->paths[0], &limit);
    return result < 0 ? error_system(error, -result, "cgroup %s", cgroup->paths[0]) : 0;
}

/* The limit on memory plus MORE, which may be negative; false where there is none ("max") or it stays. */
static bool shift_memory(const struct cgroup *cgroup, int64_t more)
{
    struct limit limit = { .suffix = "" };
    char text[32];

    limit.file = cgroup->version == 2 ? MEMORY_V2 : MEMORY_V1;
    read_file(cgroup->paths[0], limit.file, text, sizeof(text));
    limit.value = strtoull(text, NULL, 10);
    return limit.value > 0 && !__builtin_add_overflow(limit.value, more, &limit.value) &&
           set_limit(cgroup->paths[0], &limit) == 0;
}

uint64_t cgroup_allow(struct cgroup *cgroup, uint64_t memory)
{
    /* Where this fails, a file in memory meets the old limit. */
    return cgroup && memory <= INT64_MAX && shift_memory(cgroup, (int64_t)memory) ? memory : 0;
}

void cgroup_take_back(struct cgroup *cgroup, uint64_t memory)
{
    if (cgroup && memory > 0)
        shift_memory(cgroup, -(int64_t)memory);
}

/* In the child, which is in its group by now and has no more use for the group's folder. */
int layer_cgroup(struct sandbox *sandbox, struct error *error)
{
    if (sandbox->cgroup) {
        cleanup_close(&sandbox->cgroup->fd);
        sandbox->cgroup->fd = -1;
        return sandbox->files.memory ? allow_files(sandbox->cgroup, sandbox->files.memory, error)
                                     : 0;
    }
    *error = sandbox->cgroup_missing;
    return -error->number;
}
