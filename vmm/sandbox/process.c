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
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/sandbox/layers.h"

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
    struct pollfd supervisor = { .fd = sandbox->words_fd };

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
    int words[2];
    pid_t pid;

    /* The limits of the child before, if there was one; the room of files is for sandbox_files_written(). */
    sandbox->files_lifted = false;
    sandbox->files_grew = false;
    if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_system(error, errno, "the VM's process");
    pid = make_child(sandbox, &sandbox->fork_refused);
    close(words[pid == 0 ? 0 : 1]);
    sandbox->words_fd = words[pid == 0 ? 1 : 0];
    if (pid == 0) {
        begin(sandbox, uid, gid);
        return 0;
    }
    sandbox->pid = pid;
    if (pid < 0) {
        cleanup_close(&sandbox->words_fd);
        return error_system(error, -pid, "the VM's process");
    }
    return pid;
}

int sandbox_end_fd(const struct sandbox *sandbox)
{
    return sandbox->words_fd;
}

void sandbox_signal(struct sandbox *sandbox, int signal)
{
    if (sandbox->pid > 0)
        kill(sandbox->pid, signal);
}

/* The pipe's other end closes with the process: what is left of it then needs no mercy. */
static void await_end(const struct sandbox *sandbox, struct last_words *words)
{
    struct pollfd pipe = { .fd = sandbox->words_fd, .events = POLLIN };
    struct last_words read_words;
    ssize_t length = -1;

    while (length != 0) {
        if (poll(&pipe, 1, -1) < 0 && errno != EINTR)
            return;
        length = read(sandbox->words_fd, &read_words, sizeof(read_words));
        /* The first count; more come from several threads, or from an attacker. */
        if (length == (ssize_t)sizeof(read_words) && words->signal == 0)
            *words = read_words;
    }
}

int sandbox_wait(struct sandbox *sandbox, struct error *error)
{
    struct last_words words = { .signal = 0 };
    int status = 0;

    await_end(sandbox, &words);
    sandbox_signal(sandbox, SIGKILL);
    while (waitpid(sandbox->pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_system(error, errno, "the VM's process");
    sandbox->pid = 0;
    cleanup_close(&sandbox->words_fd);
    sandbox->words_fd = -1;
    if (WIFEXITED(status) && words.signal == 0)
        return WEXITSTATUS(status);
    if (cgroup_out_of_memory(sandbox->cgroup))
        return error_set(error, ENOMEM, "the VM was killed: it took more memory than its cgroup "
                         "allows; report it, or give the guest less --memory");
    last_words_tell(sandbox->config.kind, &words, status, error);
    return error->number ? -error->number
                         : error_set(error, ECHILD, "the VM's process: ended with wait status %d; "
                                     "please report it", status);
}
