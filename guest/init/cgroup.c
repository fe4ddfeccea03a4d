/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job's processes are one group of cgroup v2: measured together, and held
 * to less memory than the guest has, so that a hog takes itself down and not
 * the init.  A kernel without cgroups runs the job all the same, with less to
 * tell about it.
 */

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "guest/init/init.h"

#define ROOT "/sys/fs/cgroup"
#define GROUP ROOT "/job"

/* For the kernel and the init: so much, and a part of the whole. */
#define RESERVE (8ull << 20)
#define RESERVE_PART 32

/* False: there is no such file, or the kernel does not take it. */
static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done;

    if (fd < 0)
        return false;
    done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return done;
}

static bool write_number(const char *path, unsigned long long number)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", number);
    return write_file(path, text);
}

/* The number after KEY in a file of "key number" lines; KEY "" for a file of one number. */
static uint64_t read_number(const char *path, const char *key)
{
    char text[1024], *at;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return 0;
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    at = strstr(text, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static unsigned long long memory_max(void)
{
    struct sysinfo info;
    unsigned long long total;

    if (sysinfo(&info) < 0)
        return 0;
    total = (unsigned long long)info.totalram * info.mem_unit;
    return total > 2 * RESERVE ? total - RESERVE - total / RESERVE_PART : total / 2;
}

void cgroup_create(void)
{
    if (mount("cgroup2", ROOT, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return;
    write_file(ROOT "/cgroup.subtree_control", "+memory");
    write_file(ROOT "/cgroup.subtree_control", "+pids");
    if (mkdir(GROUP, 0755) < 0)
        return;
    write_number(GROUP "/memory.max", memory_max());
}

void cgroup_limit(uint32_t pids_max)
{
    if (pids_max > 0 && !write_number(GROUP "/pids.max", pids_max))
        init_failed(0, "this kernel cannot limit processes (--pids)");
}

/*
 * Born in the group: to move there afterwards waits for a grace period of the kernel's, longer than all else that
 * starting a job takes.  The child has not the C library's own record of its thread, and needs none to reach exec.
 */
static pid_t fork_into_group(void)
{
    struct clone_args arguments = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
    int fd = open(GROUP, O_PATH | O_DIRECTORY | O_CLOEXEC);
    pid_t pid;

    if (fd < 0)
        return -1;
    arguments.cgroup = (uint64_t)fd;
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    close(fd);
    return pid;
}

pid_t cgroup_fork(void)
{
    pid_t pid = fork_into_group();

    if (pid >= 0)
        return pid;
    pid = fork(); /* Linux before 5.7, or no group */
    if (pid == 0)
        write_file(GROUP "/cgroup.procs", "0");
    return pid;
}

static uint64_t rehearsal_us;

void cgroup_count_anew(void)
{
    rehearsal_us = read_number(GROUP "/cpu.stat", "usage_usec ");
}

struct usage cgroup_usage(void)
{
    uint64_t cpu_us = read_number(GROUP "/cpu.stat", "usage_usec ");

    return (struct usage){
        .cpu_us = cpu_us > rehearsal_us ? cpu_us - rehearsal_us : 0,
        .peak_memory = read_number(GROUP "/memory.peak", ""),
        .oom_kills = (uint32_t)read_number(GROUP "/memory.events", "oom_kill "),
        .pids_refused = (uint32_t)read_number(GROUP "/pids.events", "max "),
    };
}
