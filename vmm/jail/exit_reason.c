/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the monitor died, told by itself to the supervisor through a pipe: the
 * system call that seccomp did not let through, or memory that the host could
 * not supply.  What it says is only shown to the user, never acted upon, and as its claim where the
 * kernel's account of its end is another: so whoever reports a reason dies by the signal that it names.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"
#include "vmm/jail/layers.h"
#include "vmm/jail/lists.h"

/* A signal handler gets no context: these two are set before there is one. */
static int reason_fd = -1;
static _Thread_local uint32_t thread_kind = SANDBOX_THREAD_COUNT;

/* "number name" of each, then NUL: a table of pointers would be larger, and relocated at each start. */
#define CALL(number, name) #number " " #name "\0"
static const char call_names[] =
#include "vmm/jail/call_names.inc"
    ;

static void report(const struct exit_reason *reason)
{
    ssize_t written = write(reason_fd, reason, sizeof(*reason));

    (void)written;
}

static void call_refused(int number, siginfo_t *info, void *context)
{
    struct exit_reason reason = {
        .signal = number, .call = info->si_syscall, .thread = thread_kind,
    };

    (void)context;
    report(&reason);
    /* With SIGSYS blocked, as it is in here, the kernel kills the process for it. */
    syscall(info->si_syscall, 0, 0, 0, 0, 0, 0);
    _exit(STATUS_FAILED);
}

/* Guest memory that the host took back, by a truncated file or a failed page. */
__attribute__((no_sanitize("address"))) static void memory_gone(int number, siginfo_t *info, void *context)
{
    struct exit_reason reason = { .signal = number, .thread = thread_kind };

    (void)context;
    report(&reason);
    /* The same access again: with SIGBUS blocked, as it is in here, the kernel kills the process for it. */
    if (info->si_code > 0)
        (void)*(const volatile char *)info->si_addr;
    _exit(STATUS_FAILED);
}

void exit_reason_thread(enum sandbox_thread kind)
{
    thread_kind = kind;
}

void exit_reason_prepare(int fd)
{
    struct sigaction refused = { .sa_sigaction = call_refused, .sa_flags = SA_SIGINFO };
    struct sigaction gone = { .sa_sigaction = memory_gone, .sa_flags = SA_SIGINFO };

    reason_fd = fd;
    sigaction(SIGSYS, &refused, NULL);
    sigaction(SIGBUS, &gone, NULL);
}

static const char *call_name(int32_t number, char *buffer, size_t size)
{
    for (const char *entry = call_names; *entry; entry += strlen(entry) + 1) {
        char *name;

        if (strtol(entry, &name, 10) == number)
            return name + 1;
    }
    snprintf(buffer, size, "system call %d", number);
    return buffer;
}

static const char *const names[] = {
    [SANDBOX_MONITOR] = "the VM", [SANDBOX_ARCHIVES] = "mote-image",
};

/* Why by REASON, which comes from a process that may be in a guest's hands; the caller frees it. */
static char *cause_of(const struct exit_reason *reason)
{
    char buffer[32], *text;
    int length;

    if (reason->signal == SIGSYS)
        length = asprintf(&text, "%s%s thread called %s, which seccomp does not allow",
                          reason->thread < SANDBOX_THREAD_COUNT ? "its " : "one",
                          reason->thread < SANDBOX_THREAD_COUNT ? filter_lists[reason->thread].name : "",
                          call_name(reason->call, buffer, sizeof(buffer)));
    else if (reason->signal == SIGBUS)
        length = asprintf(&text, "memory of it could not be supplied (SIGBUS): a file behind it was cut short, "
                          "or the host has none left");
    else
        length = asprintf(&text, "something that is not understood");
    return length < 0 ? NULL : text;
}

static int tell_confirmed(const char *who, int number, const char *cause, struct error *error)
{
    if (number == SIGSYS)
        return error_set(error, EPERM, "the sandbox ended %s: %s; if no attack is likely, report it and use "
                         "--sandbox off", who, cause);
    return error_set(error, EFAULT, "%s ended: %s; see its kernel log", who, cause);
}

/* What the kernel says of the end of one that said nothing. */
static int tell_kernels(const char *who, int status, struct error *error)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    if (number == SIGKILL)
        return error_set(error, ECHILD, "%s was killed (SIGKILL); another process did so, or the host "
                         "had no memory left", who);
    if (number)
        return error_set(error, ECHILD, "%s's process crashed (SIG%s); please report it", who,
                         sigabbrev_np(number) ? sigabbrev_np(number) : "?");
    return error_set(error, ECHILD, "%s's process ended with wait status %d; please report it", who, status);
}

int exit_reason_tell(enum sandbox_kind kind, const struct exit_reason *reason, bool overdue, int status,
                    struct error *error)
{
    const char *who = names[kind];
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    cleanup_free char *cause = reason ? cause_of(reason) : NULL;
    char how[48];

    if (!reason)
        return tell_kernels(who, status, error);
    if (number == reason->signal && (number == SIGSYS || number == SIGBUS))
        return tell_confirmed(who, number, cause ? cause : "memory is short", error);
    if (number)
        snprintf(how, sizeof(how), "by SIG%s", sigabbrev_np(number) ? sigabbrev_np(number) : "?");
    else
        snprintf(how, sizeof(how), "with wait status %d", status);
    return error_set(error, ECHILD, "%s's process %s%s; the cause that it claims is not confirmed by the host's kernel ('%s'): "
                     "take it for one that its guest broke into, and report it", who,
                     overdue ? "told why it ends, did not end and was killed, " : "ended ", how,
                     cause ? cause : "");
}
