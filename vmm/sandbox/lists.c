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
#define OTHER_LIBRARY "other versions of the C library or libarchive"
#define SLOW_DISK "a reset or an end amid disk I/O that is slow"
#define OVERLAY_MAP "the map of an overlay, at a VM's end or while it is saved"

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
    ALLOW(lseek), /* the size of a disk that may have grown; how far a snapshot is */
    /* The VM's end. */
    ALLOW_IF(tgkill, OWN_PID(1)), /* vCPUs are kicked */
    ALLOW(getpid),
    RARE(io_uring_enter, SLOW_DISK),
    RARE(pwritev, OVERLAY_MAP),
    RARE(fdatasync, OVERLAY_MAP),
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
    ALLOW(fcntl),
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
    RARE_IF(mmap, HEAP, MASKED(3, PROT_EXEC, 0)),
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
    DENY(chmod), DENY(fchmodat), DENY(chown), DENY(lchown), DENY(fchown), DENY(fchownat),
    DENY(setxattr), DENY(lsetxattr), DENY(fsetxattr), DENY(removexattr), DENY(lremovexattr), DENY(fremovexattr),
    DENY(mknod), DENY(mknodat),
    /* a terminal's input, which its shell would read */
    REFUSE_IF(ioctl, EPERM, IS(2, TIOCSTI)), REFUSE_IF(ioctl, EPERM, IS(2, TIOCLINUX)), ALLOW(ioctl),
    /* the machine */
    DENY(init_module), DENY(finit_module), DENY(delete_module), DENY(kexec_load), DENY(kexec_file_load),
    DENY(reboot), DENY(swapon), DENY(swapoff), DENY(iopl), DENY(ioperm), DENY(modify_ldt), DENY(acct), DENY(quotactl),
    DENY(quotactl_fd), DENY(syslog), DENY(settimeofday), DENY(clock_settime), DENY(clock_adjtime), DENY(adjtimex),
    DENY(sethostname), DENY(setdomainname), DENY(vhangup), DENY(personality), DENY(lookup_dcookie),
};

const struct filter_list filter_denied = {
    .name = "image", .rules = denied_rules, .count = ARRAY_LENGTH(denied_rules),
};

#define LIST(text, table) { .name = text, .rules = table, .count = ARRAY_LENGTH(table) }

const struct filter_list filter_lists[SANDBOX_THREAD_COUNT] = {
    [SANDBOX_VCPU] = LIST("vCPU", vcpu_rules),
    [SANDBOX_IO] = LIST("I/O", io_rules),
    [SANDBOX_CONTROL] = LIST("control", control_rules),
    [SANDBOX_UNPACK] = LIST("unpacking", unpack_rules),
};
