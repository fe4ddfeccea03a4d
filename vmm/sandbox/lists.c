/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each kind of thread may ask of the kernel, once the guest runs.
 *
 * Nothing here opens a file, makes a socket or a process, or connects: all of
 * that was done before.  tests/sandbox fails for a rule that no test uses; what
 * only rare errors use is marked so: "rare".
 */

#include "vmm/sandbox/lists.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "vmm/cleanup.h"

/* Memory of the process alone, and never code. */
#define PRIVATE_MEMORY                                                              \
    ALLOW_IF(mmap, MASKED(3, PROT_EXEC, 0),                                         \
             MASKED(4, MAP_ANONYMOUS | MAP_PRIVATE, MAP_ANONYMOUS | MAP_PRIVATE)),  \
    ALLOW_IF(mprotect, MASKED(3, PROT_EXEC, 0)),                                    \
    ALLOW(munmap),                                                                  \
    ALLOW(brk)

/* How the C library ends a thread, or the process. */
#define ENDING                                                                      \
    ALLOW(rt_sigprocmask),                                                          \
    ALLOW_IF(madvise, IS(3, MADV_DONTNEED)), /* its stack; the balloon's pages */   \
    ALLOW(exit),                                                                    \
    ALLOW(exit_group)

static const struct filter_rule vcpu_rules[] = {
    ALLOW_IF(ioctl, IS(2, KVM_RUN)),
    ALLOW_IF(ioctl, IS(2, KVM_SIGNAL_MSI)),
    ALLOW_IF(ioctl, IS(2, KVM_IOEVENTFD)),   /* a queue's doorbell comes and goes */
    ALLOW_IF(ioctl, IS(2, TUNSETOFFLOAD)),   /* the driver chose; a reset */
    ALLOW_IF(ioctl, IS(2, TUNSETQUEUE)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_REGS)),    /* a vCPU's last words */
    ALLOW_IF(ioctl, IS(2, KVM_GET_SREGS)),
    ALLOW(futex),
    ALLOW(write), /* event descriptors, the log */
    ALLOW(timerfd_settime),
    ALLOW(epoll_ctl),
    ALLOW(eventfd2),
    ALLOW(close),
    ALLOW(read),
    ALLOW(rt_sigreturn), /* from the kick that ends it */
    /* A reset waits for what is under way. */
    ALLOW(io_uring_enter),
    ALLOW(sched_yield),
    ALLOW(shutdown),
    ALLOW(getrandom), /* the C library's, once a thread */
    PRIVATE_MEMORY,
    ENDING,
};

static const struct filter_rule io_rules[] = {
    ALLOW(epoll_wait),
    ALLOW(io_uring_enter),
    ALLOW(read),
    ALLOW(write),
    ALLOW(readv),
    ALLOW(writev),
    ALLOW(recvfrom),
    ALLOW(sendto),
    ALLOW(sendmsg),
    ALLOW(recvmsg), /* a connection from the supervisor */
    ALLOW_IF(ioctl, IS(2, KVM_SIGNAL_MSI)),
    ALLOW_IF(ioctl, IS(2, TUNSETOFFLOAD)),
    ALLOW_IF(ioctl, IS(2, TUNSETQUEUE)),
    ALLOW(futex),
    ALLOW(epoll_ctl),
    ALLOW(timerfd_settime),
    ALLOW(eventfd2),
    ALLOW(accept4),
    ALLOW(shutdown),
    ALLOW(close),
    ALLOW(fcntl), /* of a connection that came: its flags, a second descriptor */
    ALLOW(newfstatat),
    ALLOW(poll),
    ALLOW(getrandom), /* the guest's entropy */
    /* The disks' engine of threads, whose workers inherit this list. */
    ALLOW(preadv),
    ALLOW(pwritev),
    ALLOW(fdatasync),
    ALLOW(fallocate),
    REFUSE(clone3, ENOSYS), /* its flags cannot be seen: the C library then takes clone() */
    ALLOW_IF(clone, IS(1, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                              CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
                              CLONE_CHILD_CLEARTID)),
    ALLOW(set_robust_list),
    ALLOW(rseq),
    ALLOW(rt_sigreturn),
    ALLOW(sched_yield),
    PRIVATE_MEMORY,
    ENDING,
};

static const struct filter_rule control_rules[] = {
    ALLOW(epoll_wait),
    ALLOW(read),
    ALLOW(write),
    ALLOW(sendto), /* a console that is a socket */
    ALLOW(recvfrom),
    ALLOW_IF(ioctl, IS(2, KVM_SIGNAL_MSI)),
    ALLOW_IF(ioctl, IS(2, KVM_IOEVENTFD)),
    ALLOW_IF(ioctl, IS(2, TIOCGWINSZ)),
    ALLOW(futex),
    ALLOW(epoll_ctl),
    ALLOW(timerfd_settime),
    ALLOW(poll),
    ALLOW(lseek), /* the size of a disk that may have grown */
    /* The VM's end. */
    ALLOW_IF(tgkill, OWN_PID(1)), /* vCPUs are kicked */
    ALLOW(getpid),
    ALLOW(io_uring_enter),
    ALLOW(fcntl),
    ALLOW(close),
    ALLOW(shutdown),
    ALLOW(sched_yield),
    REFUSE(pidfd_open, EPERM), /* passt leaves when its socket is closed */
    REFUSE(newfstatat, ENOENT), /* of sockets' paths, which the supervisor removes */
    PRIVATE_MEMORY,
    ENDING,
};

#define LIST(text, table) { .name = text, .rules = table, .count = ARRAY_LENGTH(table) }

const struct filter_list filter_lists[SANDBOX_THREAD_COUNT] = {
    [SANDBOX_VCPU] = LIST("vCPU", vcpu_rules),
    [SANDBOX_IO] = LIST("I/O", io_rules),
    [SANDBOX_CONTROL] = LIST("control", control_rules),
};
