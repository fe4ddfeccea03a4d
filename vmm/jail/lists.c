/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each kind of thread may ask of the kernel, once the guest runs.
 *
 * Nothing here opens a file, makes a socket or a process, or connects: all of
 * that was done before.  tests/sandbox/rules fails for a rule that its guests do not
 * bring about, unless the rule says when it is needed: RARE.
 */

#include "vmm/jail/lists.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define BOOT_TESTS "tests/boot: a stock kernel's driver does it"
#define HEAP "malloc() and free(), unless there is room already"
#define JOBS "tests/run: a job's streams"
#define BUSY_REFRESH "SIGHUP for a disk that is busy, or a resized terminal"
#define OTHER_LIBRARY "other versions of the C library or libarchive"
#define SLOW_DISK "a reset or an end amid disk I/O that is slow"
#define OVERLAY_MAP "the map of an overlay, at a VM's end or while it is saved"

/* ARGUMENT has no bit but those of ALLOWED. */
#define ONLY(argument, allowed) MASKED(argument, ~(uint32_t)(allowed), 0)

/*
 * Calls that the C library makes on some hosts alone, or from some version on.  Each kind of thread that reads a clock, asks for
 * random numbers or makes threads has them; tests/sandbox/run tries them on it, whatever this host's library does.
 *
 *   clock_gettime    the vDSO where it cannot read the kernel's clock source (arch_filter_lists), or there is no vDSO
 *   restart_syscall  the kernel itself: a wait with a time limit that SIGSTOP and SIGCONT, or a freezer, came across
 *   fstat            from glibc 2.39 on; before, newfstatat
 *   MAP_DROPPABLE    getrandom() of glibc 2.41 on Linux 6.11: the state that the vDSO keeps for it, and a seed without flags
 *   PR_SET_VMA       glibc with GLIBC_TUNABLES=glibc.mem.decorate_maps=1: a name for memory, which it can do without
 *   MADV_HUGEPAGE…   glibc with glibc.malloc.hugetlb or glibc.pthread.stack_hugetlb; the guest's memory with --huge-pages
 *   MADV_GUARD…      from glibc 2.42 on: guard pages, which it makes by mprotect where the kernel has them not
 *
 * Of the others of this kind (gettimeofday, time, clock_getres, getcpu, sched_getaffinity, gettid, membarrier, sysinfo, clone3's
 * fallback aside) no thread in the jail uses the function: they stay out.
 */
#define STOPPED "a wait with a time limit, stopped and continued"
#define OTHER_C_LIBRARY "other versions of the C library"
#define TUNABLES "GLIBC_TUNABLES in the user's environment"
#ifndef MAP_DROPPABLE /* older headers do not have them */
#define MAP_DROPPABLE 0x08
#endif
#define MADVISE_GUARD_INSTALL 102

/* A clock of the host's: none of a process's, or of a device's that a descriptor leads to. */
#define MONOTONIC ALLOW_IF(clock_gettime, IS(1, CLOCK_MONOTONIC))

/*
 * Plain locks and conditions.  Not those that inherit priorities or move waiters from one word to another
 * (FUTEX_LOCK_PI, FUTEX_CMP_REQUEUE_PI…): most of what was ever broken in the kernel's futexes was there.
 */
#define FUTEX_IS(operation) MASKED(2, ~(uint32_t)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME), operation)
#define FUTEX                                                                                       \
    ALLOW_IF(futex, FUTEX_IS(FUTEX_WAKE)), ALLOW_IF(futex, FUTEX_IS(FUTEX_WAIT_BITSET)),            \
    RARE_IF(futex, "a lock that another thread holds", FUTEX_IS(FUTEX_WAIT))

/*
 * Memory of the process alone, and never code: no file's, none that is shared, none that is locked.  Huge pages that the C
 * library was told to ask for (TUNABLES) are not to be had: it takes plain ones then.
 */
#define ANONYMOUS(more) ONLY(3, PROT_READ | PROT_WRITE), MASKED(4, ~(uint32_t)(more), MAP_ANONYMOUS | MAP_PRIVATE)
#define PRIVATE_MEMORY                                                              \
    RARE_IF(mmap, HEAP, ANONYMOUS(MAP_NORESERVE | MAP_FIXED | MAP_STACK)),          \
    RARE_REFUSAL_IF(mmap, ENOMEM, TUNABLES, MASKED(4, MAP_HUGETLB, MAP_HUGETLB)),   \
    RARE_IF(mprotect, HEAP, ONLY(3, PROT_READ | PROT_WRITE)),                       \
    RARE(munmap, HEAP),                                                             \
    RARE(brk, HEAP),                                                                \
    RARE_IF(madvise, TUNABLES, IS(3, MADV_HUGEPAGE)),                               \
    RARE_IF(madvise, TUNABLES, IS(3, MADV_NOHUGEPAGE)),                             \
    RARE_REFUSAL_IF(prctl, EINVAL, TUNABLES, IS(1, PR_SET_VMA))

/* How the C library ends a thread. */
#define ENDING                                                                      \
    ALLOW(rt_sigprocmask),                                                          \
    ALLOW_IF(madvise, IS(3, MADV_DONTNEED)), /* its stack; the balloon's pages */   \
    ALLOW(exit)

/*
 * Sockets: what is sent waits for nobody or is waited for, and nothing else.  Not MSG_OOB (a byte apart, in
 * the kernel's way), MSG_PEEK, MSG_ZEROCOPY, MSG_FASTOPEN; and to no address: a socket's peer stays the one that it has.
 */
#define SENDING (MSG_DONTWAIT | MSG_NOSIGNAL)
#define RECEIVING (MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
#define SENDTO_PEER ONLY(4, SENDING), IS(6, 0)

/*
 * Standard error is written to, whatever it is: a file that is open for reading too, or a socket, whose other direction
 * may be the user's input.  Nor may anybody make another number of it, or change how it is open.
 */
#define WRITE_ONLY_ERROR(call) RARE_REFUSAL_IF(call, EPERM, "an attacker", IS(1, STDERR_FILENO))
/* An output file grows at its end, or where it was left: what it has is not written over, nor taken out. */
#define GROWING_OUTPUTS(call) REFUSE_OUTPUTS(call, EPERM)

/*
 * sendmsg(2) carries descriptors, which no list can see: so it is for one socket alone, whose other end takes nothing unseen.
 * Nobody may make another one of its number.
 */
#define KEEP_HANDOFF REFUSE_HANDOFF(close, EPERM)

#define EVENT_FD IS(2, EFD_CLOEXEC | EFD_NONBLOCK)
#define TIMER ONLY(2, TFD_TIMER_ABSTIME)
#define URING ONLY(4, IORING_ENTER_GETEVENTS)

static const struct filter_rule vcpu_rules[] = {
    ALLOW_IF(ioctl, IS(2, KVM_RUN)),
    ALLOW_IF(ioctl, IS(2, KVM_SIGNAL_MSI)),
    ALLOW_IF(ioctl, IS(2, KVM_IOEVENTFD)), /* a queue's doorbell comes and goes */
    /* A busy device's registers become a page of the guest's; of this process's own memory at worst. */
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_SET_USER_MEMORY_REGION)),
    ALLOW_IF(ioctl, IS(2, TUNSETOFFLOAD)), /* the driver chose */
    RARE_IF(ioctl, BOOT_TESTS, IS(2, TUNSETQUEUE)),
    FUTEX,
    ALLOW(write), /* event descriptors, the log */
    ALLOW_IF(timerfd_settime, TIMER),
    ALLOW(epoll_ctl), /* of descriptors that the process has, for itself */
    ALLOW_IF(eventfd2, EVENT_FD),
    KEEP_HANDOFF,
    RARE(close, BOOT_TESTS), /* a reset ends the guest's connections */
    ALLOW(rt_sigreturn), /* from the kick that ends it */
    MONOTONIC, /* the log's and the console's time */
    RARE_IF(io_uring_enter, SLOW_DISK, URING),
    RARE(sched_yield, SLOW_DISK),
    RARE(exit_group, "memory that the host cannot supply"),
    PRIVATE_MEMORY,
    ENDING,
};

static const struct filter_rule io_rules[] = {
    ALLOW_IF(io_uring_enter, URING),
    WRITE_ONLY_ERROR(read),
    ALLOW(read),
    ALLOW(write),
    WRITE_ONLY_ERROR(readv),
    RARE(readv, BOOT_TESTS), /* frames and streams to the guest */
    ALLOW(writev),
    WRITE_ONLY_ERROR(recvfrom),
    RARE_IF(recvfrom, BOOT_TESTS, ONLY(4, RECEIVING)),
    ALLOW_IF(sendto, SENDTO_PEER),
    HANDOFF_IF(sendmsg, JOBS, ONLY(3, SENDING)), /* a connection to the supervisor, with its descriptor */
    WRITE_ONLY_ERROR(recvmsg),
    ALLOW_IF(recvmsg, ONLY(3, RECEIVING)), /* a connection from the supervisor */
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_SIGNAL_MSI)),
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_SET_USER_MEMORY_REGION)), /* as above, taken away */
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_IOEVENTFD)),
    RARE_IF(ioctl, BOOT_TESTS, IS(2, TUNSETQUEUE)),
    FUTEX,
    ALLOW(epoll_ctl),
    ALLOW_IF(timerfd_settime, TIMER),
    ALLOW_IF(eventfd2, EVENT_FD),
    /* A connection for the supervisor: a stream, which no address can be given. */
    RARE_IF(socketpair, JOBS, IS(1, AF_UNIX), IS(2, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC), IS(3, 0)),
    ALLOW_IF(accept4, IS(4, SOCK_NONBLOCK | SOCK_CLOEXEC)),
    RARE(shutdown, BOOT_TESTS), /* half of a connection ends */
    KEEP_HANDOFF,
    ALLOW(close),
    /* Of a connection that came: its flags, a second descriptor. */
    WRITE_ONLY_ERROR(fcntl),
    GROWING_OUTPUTS(fcntl),
    ALLOW_IF(fcntl, IS(2, F_GETFL)),
    ALLOW_IF(fcntl, IS(2, F_DUPFD_CLOEXEC)),
    RARE_IF(newfstatat, OTHER_C_LIBRARY, IS(4, AT_EMPTY_PATH)), /* a descriptor's: fstat() */
    RARE(fstat, OTHER_C_LIBRARY),
    RARE_IF(pidfd_open, BOOT_TESTS, IS(2, 0)), /* how passt ended: looked at, and left to its parent */
    RARE_IF(waitid, BOOT_TESTS, IS(1, P_PID), IS(4, WEXITED | WNOHANG | WNOWAIT)),
    /* The guest's entropy; without that flag it is the vDSO that asks for a seed. */
    ALLOW_IF(getrandom, ONLY(3, GRND_NONBLOCK)),
    RARE_IF(mmap, OTHER_C_LIBRARY, ONLY(3, PROT_READ | PROT_WRITE), IS(4, MAP_DROPPABLE | MAP_ANONYMOUS)),
    MONOTONIC, /* limits of rates, the console's time */
    RARE(restart_syscall, STOPPED),
    /* The disks' engine of threads, whose workers inherit this list. */
    WRITE_ONLY_ERROR(preadv),
    ALLOW(preadv),
    GROWING_OUTPUTS(pwritev),
    ALLOW(pwritev),
    ALLOW(fdatasync),
    /* Never FALLOC_FL_COLLAPSE_RANGE, which moves what follows, and never a larger file. */
    GROWING_OUTPUTS(fallocate),
    RARE_IF(fallocate, BOOT_TESTS, IS(2, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)),
    ALLOW_IF(fallocate, IS(2, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)),
    REFUSE(clone3, ENOSYS), /* its flags cannot be seen: the C library then takes clone() */
    ALLOW_IF(clone, IS(1, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                              CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
                              CLONE_CHILD_CLEARTID)),
    ALLOW(set_robust_list),
    ALLOW_IF(rseq, IS(3, 0)),
    RARE_REFUSAL_IF(madvise, EINVAL, OTHER_C_LIBRARY, IS(3, MADVISE_GUARD_INSTALL)),
    RARE(sched_yield, SLOW_DISK),
    RARE(exit_group, "memory that the host cannot supply"),
    PRIVATE_MEMORY,
    ENDING,
};

static const struct filter_rule control_rules[] = {
    WRITE_ONLY_ERROR(read),
    ALLOW(read),
    ALLOW(write),
    ALLOW_IF(sendto, SENDTO_PEER), /* the report; a console that is a socket */
    WRITE_ONLY_ERROR(recvmsg),
    ALLOW_IF(recvmsg, ONLY(3, RECEIVING)), /* an order of the supervisor's, with a snapshot's files */
    GROWING_OUTPUTS(pwrite64),
    ALLOW(pwrite64), /* into them */
    WRITE_ONLY_ERROR(pread64),
    ALLOW(pread64),  /* of /proc/self/pagemap: what the guest touched */
    WRITE_ONLY_ERROR(recvfrom),
    RARE_IF(recvfrom, "a console that is a socket", ONLY(4, RECEIVING)),
    RARE_IF(ioctl, BOOT_TESTS, IS(2, KVM_SIGNAL_MSI)),
    /* The page of a busy device whose host side changed is taken away. */
    RARE_IF(ioctl, BUSY_REFRESH, IS(2, KVM_IOEVENTFD)),
    RARE_IF(ioctl, BUSY_REFRESH, IS(2, KVM_SET_USER_MEMORY_REGION)),
    RARE_IF(ioctl, BOOT_TESTS, IS(2, TIOCGWINSZ)),
    FUTEX,
    ALLOW(epoll_ctl),
    ALLOW_IF(timerfd_settime, TIMER),
    MONOTONIC,
    ALLOW_IF(clock_gettime, IS(1, CLOCK_REALTIME)), /* a snapshot's date */
    RARE(restart_syscall, STOPPED),
    GROWING_OUTPUTS(lseek),
    ALLOW(lseek), /* the size of a disk that may have grown; how far a snapshot is */
    /* The VM's end. */
    ALLOW_IF(tgkill, OWN_PID(1), IS(3, SANDBOX_KICK_SIGNAL)), /* vCPUs are kicked */
    ALLOW(getpid),
    RARE_IF(io_uring_enter, SLOW_DISK, URING),
    GROWING_OUTPUTS(pwritev),
    RARE(pwritev, OVERLAY_MAP),
    RARE(fdatasync, OVERLAY_MAP),
    RARE(sched_yield, SLOW_DISK),
    KEEP_HANDOFF,
    ALLOW(close),
    REFUSE(pidfd_open, EPERM), /* passt leaves when its socket is closed */
    ALLOW(exit_group),
    ALLOW(rt_sigprocmask),
    PRIVATE_MEMORY,
};

/*
 * A process that reads an image's documents or unpacks an archive: files by path, as far as Landlock lets it, and
 * memory.  It has the archive open and starts nothing.
 */
static const struct filter_rule unpack_rules[] = {
    ALLOW(read),
    ALLOW(write),
    ALLOW(pwrite64),
    ALLOW(lseek), /* to a file of a saved archive */
    ALLOW(openat),
    ALLOW(openat2),
    ALLOW(close),
    ALLOW(newfstatat),
    ALLOW(fstatfs), /* the room that is left */
    RARE(fstat, OTHER_LIBRARY),
    RARE(statx, OTHER_LIBRARY),
    ALLOW_IF(fcntl, IS(2, F_GETFL)), /* a folder that is listed */
    RARE_IF(fcntl, OTHER_LIBRARY, IS(2, F_GETFD)),
    RARE_IF(fcntl, OTHER_LIBRARY, IS(2, F_SETFD)),
    ALLOW_IF(fcntl, IS(2, F_DUPFD_CLOEXEC)),
    ALLOW(ftruncate),
    ALLOW(utimensat),
    ALLOW(fchmod),
    ALLOW(mkdirat),
    ALLOW(unlinkat),
    ALLOW(linkat),
    ALLOW(symlinkat),
    ALLOW(renameat),
    RARE(renameat2, OTHER_LIBRARY),
    ALLOW(umask),
    ALLOW(uname), /* whether an image is for this machine */
    RARE_IF(ioctl, "progress on a terminal", IS(2, TCGETS)),
    RARE(clock_gettime, "progress, on a host whose clock the kernel reads"),
    RARE_IF(mmap, HEAP, MASKED(3, PROT_EXEC, 0), MASKED(4, MAP_TYPE, MAP_PRIVATE)),
    RARE(munmap, HEAP),
    RARE_IF(mprotect, HEAP, MASKED(3, PROT_EXEC, 0)),
    RARE(mremap, HEAP),
    RARE_IF(madvise, HEAP, IS(3, MADV_DONTNEED)),
    ALLOW(brk),
    RARE(futex, OTHER_LIBRARY),
    RARE(getrandom, "libarchive, at its first hash table"),
    RARE(rt_sigreturn, "a signal that is handled"),
    ALLOW(exit_group),
};

/*
 * What no program that helps to make an image has to do, in all of them: the rest of the kernel's doors.  Programs of
 * the host's come and go with its version, so that a list of what they may call would not hold.
 */
#define NEW_NAMESPACES (CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
                        CLONE_NEWCGROUP)
#define DENY(name) REFUSE(name, EPERM)

static const struct filter_rule denied_rules[] = {
    /* other processes */
    DENY(ptrace), DENY(process_vm_readv), DENY(process_vm_writev), DENY(kcmp), DENY(pidfd_getfd),
    DENY(process_madvise), DENY(move_pages), DENY(migrate_pages),
    /*
     * sockets of every family: a UNIX socket's path reaches the host's daemons, whatever Landlock
     * and a network namespace say.  fakeroot speaks by System V messages.  What was inherited may be one: it is
     * written to as any file, but reaches nobody else, and brings no descriptor
     */
    DENY(socket), DENY(socketpair), DENY(connect), DENY(bind), DENY(listen), DENY(accept), DENY(accept4),
    DENY(sendto), DENY(sendmsg), DENY(sendmmsg), DENY(recvmsg), DENY(recvmmsg),
    /* namespaces and mounts */
    DENY(unshare), DENY(setns), ALLOW_IF(clone, MASKED(1, NEW_NAMESPACES, 0)), DENY(clone), REFUSE(clone3, ENOSYS),
    DENY(mount), DENY(umount2), DENY(pivot_root), DENY(chroot), DENY(fsopen), DENY(fsconfig), DENY(fsmount),
    DENY(fspick), DENY(open_tree), DENY(move_mount), DENY(mount_setattr),
    /* what the kernel runs or keeps for others */
    DENY(bpf), DENY(perf_event_open), DENY(userfaultfd), DENY(io_uring_setup), DENY(io_uring_enter),
    DENY(io_uring_register), DENY(add_key), DENY(request_key), DENY(keyctl), DENY(memfd_secret),
    DENY(open_by_handle_at), DENY(name_to_handle_at), DENY(fanotify_init), DENY(vmsplice),
    /* the owner's say over files, which Landlock does not see; an image's are told to fakeroot */
    DENY(fchmodat), DENY(fchown), DENY(fchownat),
    DENY(setxattr), DENY(lsetxattr), DENY(fsetxattr), DENY(removexattr), DENY(lremovexattr), DENY(fremovexattr),
    DENY(mknodat),
    /* a terminal's input, which its shell would read */
    REFUSE_IF(ioctl, EPERM, IS(2, TIOCSTI)), REFUSE_IF(ioctl, EPERM, IS(2, TIOCLINUX)), ALLOW(ioctl),
    /* the machine */
    DENY(init_module), DENY(finit_module), DENY(delete_module), DENY(kexec_load), DENY(kexec_file_load),
    DENY(reboot), DENY(swapon), DENY(swapoff), DENY(acct), DENY(quotactl),
    DENY(quotactl_fd), DENY(syslog), DENY(settimeofday), DENY(clock_settime), DENY(clock_adjtime), DENY(adjtimex),
    DENY(sethostname), DENY(setdomainname), DENY(vhangup), DENY(personality), DENY(lookup_dcookie),
};

const struct filter_list filter_denied = {
    .name = "image", .rules = denied_rules, .count = ARRAY_LENGTH(denied_rules), .more = &arch_filter_denied,
};

#define LIST(text, table, kind)                                                                       \
    { .name = text, .rules = table, .count = ARRAY_LENGTH(table), .more = &arch_filter_lists[kind] }

const struct filter_list filter_lists[SANDBOX_THREAD_COUNT] = {
    [SANDBOX_VCPU] = LIST("vCPU", vcpu_rules, SANDBOX_VCPU),
    [SANDBOX_IO] = LIST("I/O", io_rules, SANDBOX_IO),
    [SANDBOX_CONTROL] = LIST("control", control_rules, SANDBOX_CONTROL),
    [SANDBOX_UNPACK] = LIST("unpacking", unpack_rules, SANDBOX_UNPACK),
};
