/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp: each thread gets the list of its kind.  The programs are translated
 * here, at the start, from the tables in lists.c: some ten microseconds each,
 * where libseccomp takes over a hundred (tests/bench/seccomp.c).
 *
 * A call that is not in the list raises SIGSYS, whose handler tells the
 * supervisor the call's name and makes the call again: SIGSYS is blocked by
 * then, for which the kernel kills the process.
 */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/machine/arch_facts.h"
#include "vmm/base/exit_status.h"
#include "vmm/jail/layers.h"
#include "vmm/jail/lists.h"

/* For this thread and what it makes; 0, or an errno. */
static int install(const struct filter_list *list, const struct filter_descriptors *descriptors,
                   uint32_t otherwise)
{
    struct sock_filter code[FILTER_LENGTH_MAX];
    struct sock_fprog program = { .filter = code };

    program.len = (unsigned short)filter_translate(list, descriptors, arch_audit_number, otherwise, code);
    if (program.len == 0)
        return E2BIG;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? errno : 0;
}

int layer_seccomp(struct sandbox *sandbox, struct error *error)
{
    uint32_t action = SECCOMP_RET_TRAP;

    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
        return error_set(error, errno, "filters: %s; use a host kernel of 4.14 or newer with "
                         "CONFIG_SECCOMP_FILTER", strerror(errno));
    /* A thread without its list would be worse than none: see sandbox_thread(). */
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return error_set(error, EPERM, "needs the privileges; see there");
    /* To give memory of a thread's own heap back, the C library looks into /proc: all share one. */
    mallopt(M_ARENA_MAX, 1);
    /* And what grows is not moved by mremap(2), which is on no monitor's list. */
    mallopt(M_MMAP_MAX, 0);
    exit_reason_prepare(sandbox->reason_fd);
    if (sandbox->config.kind == SANDBOX_ARCHIVES) {
        int number = install(&filter_denied, NULL, SECCOMP_RET_ALLOW);

        return number ? error_system(error, number, "seccomp") : 0;
    }
    return 0;
}

void sandbox_thread(struct sandbox *sandbox, enum sandbox_thread kind)
{
    int number;

    if (!sandbox || !sandbox->active[LAYER_SECCOMP])
        return;
    exit_reason_thread(kind);
    number = install(&filter_lists[kind], &sandbox->files.descriptors, SECCOMP_RET_TRAP);
    if (number == 0)
        return;
    log_error(sandbox->log, "sandbox: a %s thread's list of system calls: %s; 'mote doctor' may "
              "tell more", filter_lists[kind].name, strerror(number));
    _exit(STATUS_FAILED);
}
