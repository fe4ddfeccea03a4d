/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each kind of thread may ask of the kernel, once the guest runs.
 *
 * Nothing here opens a file, makes a socket or a process, or connects: all of
 * that was done before.  tests/sandbox/rules fails for a rule that its guests do not
 * bring about, unless the rule says when it is needed: RARE.
 */

#include "vmm/sandbox/lists.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "vmm/cleanup.h"

#define BOOT_TESTS "tests/boot: a stock kernel's driver does it"
#define HEAP "malloc() and free(), unless there is room already"
#define JOBS "tests/run: a job's streams"
#define BUSY_REFRESH "SIGHUP for a disk that is busy, or a resized terminal"
#define SLOW_DISK "a reset or an end amid disk I/O that is slow"

/* Memory of the process alone, and never code. */
#define PRIVATE_MEMORY                                                              \
    RARE_IF(mmap, HEAP, MASKED(3, PROT_EXEC, 0),                                  \
            MASKED(4, MAP_ANONYMOUS | MAP_PRIVATE, MAP_ANONYMOUS | MAP_PRIVATE)),   \
    RARE_IF(mprotect, HEAP, MASKED(3, PROT_EXEC, 0)),                             \
    RARE(munmap, HEAP),                                                           \
    RARE(brk, HEAP)

/* How the C library ends a thread. */
#define ENDING                                                                      \
    ALLOW(rt_sigprocmask),                                                          \
    ALLOW_IF(madvise, IS(3, MADV_DONTNEED)), /* its stack; the balloon's pages */   \
    ALLOW(exit)

static const struct filter_rule vcpu_rules[] = {
    ALLOW_IF(ioctl, IS(2, KVM_RUN)),
    ALLOW_IF(ioctl, IS(2, KVM_SIGNAL_MSI)),
    ALLOW_IF(ioctl, IS(2, KVM_IOEVENTFD)), /* a queue's doorbell comes and goes */
    /* A busy device's registers become a page of the guest's; of this process's own memory at worst. */
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_SET_USER_MEMORY_REGION)),
    ALLOW_IF(ioctl, IS(2, TUNSETOFFLOAD)), /* the driver chose */
    RARE_IF(ioctl, BOOT_TESTS, IS(2, TUNSETQUEUE)),
    ALLOW_IF(ioctl, IS(2, KVM_GET_REGS)), /* a vCPU's last words */
    ALLOW_IF(ioctl, IS(2, KVM_GET_SREGS)),
    ALLOW(futex),
    ALLOW(write), /* event descriptors, the log */
    ALLOW(timerfd_settime),
    ALLOW(epoll_ctl),
    ALLOW(eventfd2),
    RARE(close, BOOT_TESTS), /* a reset ends the guest's connections */
    ALLOW(rt_sigreturn), /* from the kick that ends it */
    RARE(io_uring_enter, SLOW_DISK),
    RARE(sched_yield, SLOW_DISK),
    RARE(exit_group, "memory that the host cannot supply"),
    PRIVATE_MEMORY,
    ENDING,
};

static const struct filter_rule io_rules[] = {
    ALLOW(epoll_wait),
    ALLOW(io_uring_enter),
    ALLOW(read),
    ALLOW(write),
    RARE(readv, BOOT_TESTS), /* frames and streams to the guest */
    ALLOW(writev),
    RARE(recvfrom, BOOT_TESTS),
    ALLOW(sendto),
    ALLOW(sendmsg),
    ALLOW(recvmsg), /* a connection from the supervisor */
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_SIGNAL_MSI)),
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_SET_USER_MEMORY_REGION)), /* as above, taken away */
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_IOEVENTFD)),
    RARE_IF(ioctl, BOOT_TESTS, IS(2, TUNSETQUEUE)),
    ALLOW(futex),
    ALLOW(epoll_ctl),
    ALLOW(timerfd_settime),
    ALLOW(eventfd2),
    RARE_IF(socketpair, JOBS, IS(1, AF_UNIX)), /* a connection for the supervisor */
    ALLOW(accept4),
    RARE(shutdown, BOOT_TESTS), /* half of a connection ends */
    ALLOW(close),
    ALLOW(fcntl), /* of a connection that came: its flags, a second descriptor */
    ALLOW(newfstatat),
    RARE(poll, "a port's descriptor that cannot be opened anew"),
    RARE(pidfd_open, BOOT_TESTS), /* how passt ended */
    RARE(waitid, BOOT_TESTS),
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
    RARE(sched_yield, SLOW_DISK),
    RARE(exit_group, "memory that the host cannot supply"),
    PRIVATE_MEMORY,
    ENDING,
};

/* What KVM tells of a vCPU and its VM: a snapshot asks for all of it, and changes nothing. */
#define ASKING                                                                             \
    ALLOW_IF(ioctl, IS(2, KVM_CHECK_EXTENSION)), ALLOW_IF(ioctl, IS(2, KVM_GET_TSC_KHZ)),  \
    ALLOW_IF(ioctl, IS(2, KVM_GET_MP_STATE)), ALLOW_IF(ioctl, IS(2, KVM_GET_REGS)),        \
    ALLOW_IF(ioctl, IS(2, KVM_GET_SREGS)), ALLOW_IF(ioctl, IS(2, KVM_GET_XCRS)),           \
    RARE_IF(ioctl, "processors with little extended state", IS(2, KVM_GET_XSAVE)),         \
    RARE_IF(ioctl, "processors with much extended state", IS(2, KVM_GET_XSAVE2)),          \
    RARE_IF(ioctl, "a host that nests VMs", IS(2, KVM_GET_NESTED_STATE)),                  \
    ALLOW_IF(ioctl, IS(2, KVM_GET_DEBUGREGS)),                                             \
    ALLOW_IF(ioctl, IS(2, KVM_GET_MSR_INDEX_LIST)), ALLOW_IF(ioctl, IS(2, KVM_GET_MSRS)),  \
    ALLOW_IF(ioctl, IS(2, KVM_GET_LAPIC)), ALLOW_IF(ioctl, IS(2, KVM_GET_VCPU_EVENTS)),    \
    ALLOW_IF(ioctl, IS(2, KVM_GET_CLOCK)),                                                 \
    ALLOW_IF(ioctl, IS(2, KVM_KVMCLOCK_CTRL)) /* the guest's watchdogs: time has passed */

static const struct filter_rule control_rules[] = {
    ALLOW(epoll_wait),
    ALLOW(read),
    ALLOW(write),
    ALLOW(sendto), /* the report; a console that is a socket */
    ALLOW(recvmsg), /* an order of the supervisor's, with a snapshot's files */
    ALLOW(pwrite64), /* into them */
    ALLOW(pread64),  /* of /proc/self/pagemap: what the guest touched */
    ASKING,
    RARE(recvfrom, "a console that is a socket"),
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_SIGNAL_MSI)),
    /* The page of a busy device whose host side changed is taken away. */
    RARE_IF(ioctl, BUSY_REFRESH, IS(2, KVM_IOEVENTFD)),
    RARE_IF(ioctl, BUSY_REFRESH, IS(2, KVM_SET_USER_MEMORY_REGION)),
    RARE_IF(ioctl, BOOT_TESTS, IS(2, TIOCGWINSZ)),
    ALLOW(futex),
    ALLOW(epoll_ctl),
    ALLOW(timerfd_settime),
    RARE(poll, "output or input that cannot be opened anew"),
    RARE(lseek, BOOT_TESTS), /* the size of a disk that may have grown */
    /* The VM's end. */
    ALLOW_IF(tgkill, OWN_PID(1)), /* vCPUs are kicked */
    ALLOW(getpid),
    RARE(io_uring_enter, SLOW_DISK),
    RARE(sched_yield, SLOW_DISK),
    ALLOW(fcntl),
    ALLOW(close),
    REFUSE(pidfd_open, EPERM), /* passt leaves when its socket is closed */
    ALLOW(exit_group),
    ALLOW(munmap),
    ALLOW(rt_sigprocmask),
    RARE_IF(mmap, "the C library needs more memory", MASKED(3, PROT_EXEC, 0),
            MASKED(4, MAP_ANONYMOUS | MAP_PRIVATE, MAP_ANONYMOUS | MAP_PRIVATE)),
    RARE(brk, "the C library needs more memory"),
    RARE(mremap, "the state of many vCPUs"),
};

#define LIST(text, table) { .name = text, .rules = table, .count = ARRAY_LENGTH(table) }

const struct filter_list filter_lists[SANDBOX_THREAD_COUNT] = {
    [SANDBOX_VCPU] = LIST("vCPU", vcpu_rules),
    [SANDBOX_IO] = LIST("I/O", io_rules),
    [SANDBOX_CONTROL] = LIST("control", control_rules),
};
