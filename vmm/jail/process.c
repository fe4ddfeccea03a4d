/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's process: made with its first namespaces, waited for, its end told. */

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/reap.h"
#include "vmm/jail/layers.h"

/* Of exit reasons: more than all threads report. */
#define READS_AT_ONCE 128
/* Between two looks at a child that is about to end. */
#define STEP_MS 20

/*
 * clone(2) as a fork.  The C library does not learn of it: its fork handlers do
 * not run, which only processes with threads need, and the first thread's ID
 * stays the parent's in its books, where nobody looks for a thread by itself.
 * Containers often lack clone3: only it can begin in another cgroup.
 */
static pid_t make(struct sandbox *sandbox, uint64_t flags)
{
    struct clone_args arguments = {
        .flags = flags | CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)cgroup_fd(sandbox->cgroup),
    };
    long pid = -1;

    sandbox->in_cgroup = cgroup_fd(sandbox->cgroup) >= 0;
    if (sandbox->in_cgroup)
        pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid < 0) {
        sandbox->in_cgroup = false;
        pid = syscall(SYS_clone, (unsigned long)flags | SIGCHLD, NULL, NULL, NULL, NULL);
    }
    return pid < 0 ? -errno : (pid_t)pid;
}

/*
 * With the namespaces that are to be had; *WHY tells of those that are not.
 * What is noted in SANDBOX the child finds in its copy.
 */
static pid_t make_child(struct sandbox *sandbox, struct error *why)
{
    pid_t pid = -EPERM;

    *why = (struct error)ERROR_INIT;
    sandbox->user_namespace = false;
    if (sandbox->config.mode == SANDBOX_OFF)
        return make(sandbox, 0);
    if (sandbox->config.no_namespaces) {
        error_set(why, EOPNOTSUPP, "%s", sandbox->config.no_namespaces);
        return make(sandbox, 0);
    }
    if (sandbox->privileged)
        pid = make(sandbox, namespaces_clone_flags(false));
    /* Also root without its capabilities, as in a container. */
    if (pid == -EPERM) {
        sandbox->user_namespace = true;
        pid = make(sandbox, namespaces_clone_flags(true));
    }
    if (pid >= 0)
        return pid;
    sandbox->user_namespace = false;
    error_set(why, -pid, "user and PID namespaces: %s; run: sudo sysctl "
              "user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1", strerror(-pid));
    return make(sandbox, 0);
}

/* The child's first steps. */
static void begin(struct sandbox *sandbox, uid_t uid, gid_t gid)
{
    struct pollfd supervisor = { .fd = sandbox->reason_fd };

    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    /* It may have died before we asked; its PID is of no use, from within a PID namespace. */
    if (poll(&supervisor, 1, 0) > 0)
        _exit(1);
    /* First of all, so that what it starts is in there too. */
    if (!sandbox->in_cgroup && cgroup_join(sandbox->cgroup, &sandbox->cgroup_missing) < 0)
        sandbox->cgroup = NULL;
    if (sandbox->user_namespace) {
        namespaces_map_user(uid, gid, &sandbox->fork_refused);
        sandbox->privileged = false; /* there is nobody else to become */
    }
    if (sandbox->config.mode == SANDBOX_ON && !sandbox->fork_refused.number)
        namespaces_begin(sandbox);
}

pid_t sandbox_fork(struct sandbox *sandbox, struct error *error)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int ends[2];
    pid_t pid;

    /* The limits of the child before, if there was one; the room of files is for sandbox_files_written(). */
    sandbox->files_lifted = false;
    sandbox->files_grew = false;
    sandbox->reported = sandbox->overdue = false;
    sandbox->reason = (struct exit_reason){ .signal = 0 };
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_system(error, errno, "the VM's process");
    pid = make_child(sandbox, &sandbox->fork_refused);
    close(ends[pid == 0 ? 0 : 1]);
    sandbox->reason_fd = ends[pid == 0 ? 1 : 0];
    if (pid == 0) {
        begin(sandbox, uid, gid);
        return 0;
    }
    sandbox->pid = pid;
    if (pid < 0) {
        cleanup_close(&sandbox->reason_fd);
        return error_system(error, -pid, "the VM's process");
    }
    return pid;
}

int sandbox_end_fd(const struct sandbox *sandbox)
{
    return sandbox->reason_fd;
}

pid_t sandbox_pid(const struct sandbox *sandbox)
{
    return sandbox->pid;
}

void sandbox_signal(struct sandbox *sandbox, int signal)
{
    if (sandbox->pid > 0)
        kill(sandbox->pid, signal);
}

/* ---- its end ---------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* By the kernel: the pipe tells less, whose other end a broken child may keep open, or close. */
static bool has_ended(const struct sandbox *sandbox)
{
    siginfo_t info = { .si_pid = 0 };

    return waitid(P_PID, (id_t)sandbox->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
           info.si_pid != 0;
}

/* All that is in the pipe, but not for ever; whether its other end is closed. */
static bool read_reasons(struct sandbox *sandbox)
{
    for (unsigned int i = 0; i < READS_AT_ONCE; i++) {
        struct exit_reason reason;
        ssize_t length = read(sandbox->reason_fd, &reason, sizeof(reason));

        if (length <= 0)
            return length == 0;
        if (!sandbox->reported)
            sandbox->reported_at = now_ms();
        sandbox->reported = true;
        /* The first count; more come from several threads, or from an attacker. */
        if (length == (ssize_t)sizeof(reason) && sandbox->reason.signal == 0)
            sandbox->reason = reason;
    }
    return false;
}

enum sandbox_end sandbox_look(struct sandbox *sandbox)
{
    if (sandbox->pid <= 0)
        return SANDBOX_RUNS; /* there is none whose end could come */
    if (read_reasons(sandbox) || has_ended(sandbox))
        return SANDBOX_ENDED;
    if (!sandbox->reported)
        return SANDBOX_RUNS;
    if (now_ms() - sandbox->reported_at < SANDBOX_ENDS_MS)
        return SANDBOX_ENDS;
    sandbox->overdue = true;
    return SANDBOX_ENDED;
}

/* Until it has ended, or nothing of what is left of it needs mercy. */
static void await_end(struct sandbox *sandbox, int process)
{
    enum sandbox_end end;

    while ((end = sandbox_look(sandbox)) != SANDBOX_ENDED) {
        struct pollfd ways[] = {
            { .fd = process, .events = POLLIN },
            { .fd = sandbox->reason_fd, .events = POLLIN },
        };
        /* Kernels before 5.3 have no descriptor of a process. */
        int wait_ms = end == SANDBOX_ENDS ? STEP_MS : process < 0 ? SANDBOX_ENDS_MS : -1;

        if (poll(ways, ARRAY_LENGTH(ways), wait_ms) < 0 && errno != EINTR)
            return;
    }
}

int sandbox_wait(struct sandbox *sandbox, struct error *error)
{
    cleanup_fd int process = (int)syscall(SYS_pidfd_open, sandbox->pid, 0);
    int status = 0, result;

    await_end(sandbox, process);
    sandbox_signal(sandbox, SIGKILL);
    result = reap_killed(sandbox->pid, &status);
    read_reasons(sandbox);
    sandbox->pid = 0;
    cleanup_close(&sandbox->reason_fd);
    sandbox->reason_fd = -1;
    if (result == -ETIMEDOUT)
        return error_set(error, ETIMEDOUT, "the VM's process was killed and does not end: the host's kernel "
                         "holds it; see what its disk or network waits for");
    if (result < 0)
        return error_system(error, -result, "the VM's process");
    if (WIFEXITED(status) && !sandbox->reported)
        return WEXITSTATUS(status);
    if (cgroup_out_of_memory(sandbox->cgroup))
        return error_set(error, ENOMEM, "the VM was killed: it took more memory than its cgroup "
                         "allows; report it, or give the guest less --memory");
    return exit_reason_tell(sandbox->config.kind, sandbox->reported ? &sandbox->reason : NULL, sandbox->overdue,
                           status, error);
}
