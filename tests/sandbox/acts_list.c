/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/acts.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#define P(pointer) ((long)(pointer))
#define SEE ((long)&scratch)

/* A page that is the process's own, for whatever wants memory. */
static union {
    char bytes[4096];
    long words[512];
} scratch __attribute__((aligned(4096)));
static char file[PATH_MAX] = "/etc/passwd", folder[] = "/x", root[] = "/", shell[] = "/bin/sh", tmpfs[] = "tmpfs";
static char *arguments[] = { shell, NULL };
static struct iovec own = { scratch.bytes, 8 }, other = { scratch.bytes, 8 };
static struct sockaddr_un abstract = { AF_UNIX, "\0mote-sandbox-test" };
static union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
static struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(event) };
static struct io_uring_params ring;
static struct rlimit limit = { 1 << 20, 1 << 20 };

#define EXEC (PROT_READ | PROT_EXEC)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

size_t acts_list(const struct act **acts, int victim, int kvm_fd)
{
    static struct act list[192];
    const struct act *arguments_acts;
    size_t count = 0;
    const struct act made[] = {
        /* files */
        { "openat", SYS_openat, { AT_FDCWD, P(file), O_RDONLY }, true },
        { "openat of a new file", SYS_openat, { AT_FDCWD, P(folder), O_CREAT | O_WRONLY, 0600 }, true },
        { "open", SYS_open, { P("/dev/kvm"), O_RDWR }, true },
        { "openat2", SYS_openat2, { AT_FDCWD, P(file), SEE, 24 }, true },
        { "creat", SYS_creat, { P(folder), 0600 }, true },
        { "mkdir", SYS_mkdir, { P(folder), 0700 }, true },
        { "mknodat", SYS_mknodat, { AT_FDCWD, P(folder), S_IFCHR | 0600, 0x0ae8 }, true },
        { "symlink", SYS_symlink, { P(file), P(folder) }, true },
        { "link", SYS_link, { P(file), P(folder) }, true },
        { "unlink", SYS_unlink, { P(file) }, true },
        { "rename", SYS_rename, { P(file), P(folder) }, true },
        { "chmod", SYS_chmod, { P(file), 0777 }, true },
        { "chown", SYS_chown, { P(file), 0, 0 }, true },
        { "stat", SYS_stat, { P(file), SEE }, true },
        { "readlink", SYS_readlink, { P("/proc/self/exe"), SEE, 100 }, true },
        { "truncate", SYS_truncate, { P(file), 0 }, true },
        { "setxattr", SYS_setxattr, { P(root), P("user.x"), SEE, 1, 0 }, true },
        { "chroot", SYS_chroot, { P(root) }, true },
        { "open_by_handle_at", SYS_open_by_handle_at, { 1, SEE, O_RDONLY }, false },
        { "inotify_init1", SYS_inotify_init1, { 0 }, false },
        { "fanotify_init", SYS_fanotify_init, { 0, 0 }, true },
        /* mounts */
        { "mount", SYS_mount, { P(tmpfs), P(root), P(tmpfs), 0, 0 }, true },
        { "umount2", SYS_umount2, { P(root), 2 }, true },
        { "pivot_root", SYS_pivot_root, { P("."), P(".") }, true },
        { "fsopen", SYS_fsopen, { P(tmpfs), 0 }, true },
        { "open_tree", SYS_open_tree, { AT_FDCWD, P(root), 1 }, true },
        { "mount_setattr", SYS_mount_setattr, { AT_FDCWD, P(root), 0, SEE, 32 }, true },
        /* programs and processes */
        { "execve", SYS_execve, { P(shell), P(arguments), 0 }, true },
        { "execveat", SYS_execveat, { AT_FDCWD, P(shell), P(arguments), 0, 0 }, true },
        { "fork", SYS_fork, { 0 }, false },
        { "vfork", SYS_vfork, { 0 }, false },
        { "clone of a process", SYS_clone, { SIGCHLD }, false },
        { "clone into a user namespace", SYS_clone, { SIGCHLD | CLONE_NEWUSER }, false },
        { "unshare of users", SYS_unshare, { CLONE_NEWUSER }, false },
        { "unshare of mounts", SYS_unshare, { CLONE_NEWNS }, true },
        { "unshare of the network", SYS_unshare, { CLONE_NEWNET }, true },
        { "setns", SYS_setns, { 1, 0 }, false },
        { "kill", SYS_kill, { victim, SIGTERM }, true },
        { "tkill", SYS_tkill, { victim, SIGTERM }, true },
        { "tgkill", SYS_tgkill, { victim, victim, SIGTERM }, true },
        { "rt_sigqueueinfo", SYS_rt_sigqueueinfo, { victim, SIGTERM, SEE }, true },
        { "pidfd_send_signal", SYS_pidfd_send_signal, { 1, SIGTERM, 0, 0 }, false },
        { "ptrace", SYS_ptrace, { PTRACE_SEIZE, victim, 0, 0 }, true },
        { "process_vm_readv", SYS_process_vm_readv, { victim, P(&own), 1, P(&other), 1, 0 }, true },
        { "process_vm_writev", SYS_process_vm_writev, { victim, P(&own), 1, P(&other), 1, 0 }, true },
        { "kcmp", SYS_kcmp, { victim, victim, 0, 0, 0 }, true },
        { "prlimit64", SYS_prlimit64, { victim, RLIMIT_CORE, P(&limit), 0 }, true },
        { "sched_setaffinity", SYS_sched_setaffinity, { victim, 8, SEE }, true },
        { "setpriority", SYS_setpriority, { PRIO_PROCESS, victim, 0 }, true },
        /* sockets */
        { "socket of IPv4", SYS_socket, { AF_INET, SOCK_STREAM, 0 }, false },
        { "socket of UNIX", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 }, false },
        { "socket of netlink", SYS_socket, { AF_NETLINK, SOCK_RAW, 0 }, false },
        { "socket of packets", SYS_socket, { AF_PACKET, SOCK_RAW, 0 }, true },
        { "socket of vsock", SYS_socket, { AF_VSOCK, SOCK_STREAM, 0 }, false },
        { "socketpair of another kind", SYS_socketpair, { AF_TIPC, SOCK_STREAM, 0, SEE }, false },
        { "connect", SYS_connect, { 1, P(&abstract), 20 }, true },
        { "bind", SYS_bind, { 1, P(&abstract), 20 }, true },
        { "listen", SYS_listen, { 1, 1 }, true },
        /* the kernel */
        { "bpf", SYS_bpf, { BPF_MAP_CREATE, P(&map), sizeof(map) }, false },
        { "perf_event_open", SYS_perf_event_open, { P(&event), 0, -1, -1, 0 }, false },
        { "userfaultfd", SYS_userfaultfd, { 1 }, false },
        { "io_uring_setup", SYS_io_uring_setup, { 4, P(&ring) }, false },
        { "io_uring_register", SYS_io_uring_register, { 1, 0, 0, 0 }, false },
        { "add_key", SYS_add_key, { P("user"), P("x"), SEE, 1, -1 }, false },
        { "keyctl", SYS_keyctl, { 0, -3, 1 }, false },
        { "init_module", SYS_init_module, { SEE, 8, P("") }, true },
        { "kexec_load", SYS_kexec_load, { 0, 0, 0, 0 }, true },
        { "reboot", SYS_reboot, { (int)0xfee1dead, 672274793, RB_DISABLE_CAD, 0 }, true },
        { "syslog", SYS_syslog, { 5, 0, 0 }, true },
        { "swapon", SYS_swapon, { P(file), 0 }, true },
        { "iopl", SYS_iopl, { 3 }, true },
        { "ioperm", SYS_ioperm, { 0, 1, 1 }, true },
        { "clock_settime", SYS_clock_settime, { 0, SEE }, true },
        { "sethostname", SYS_sethostname, { P("x"), 1 }, true },
        { "memfd_create", SYS_memfd_create, { P("x"), 0 }, false },
        { "personality", SYS_personality, { 0x0040000 }, false },
        { "setuid", SYS_setuid, { 0 }, false },
        { "setgroups", SYS_setgroups, { 0, 0 }, true },
        { "capset", SYS_capset, { SEE, SEE }, false },
        { "prctl", SYS_prctl, { PR_SET_DUMPABLE, 1, 0, 0, 0 }, false },
        { "seccomp", SYS_seccomp, { SECCOMP_SET_MODE_STRICT, 0, 0 }, false },
        { "shmget", SYS_shmget, { 1, 4096, 01600 }, false },
        { "mq_open", SYS_mq_open, { P("x"), O_RDWR | O_CREAT, 0600, 0 }, false },
        { "timer_create", SYS_timer_create, { 0, 0, SEE }, false },
        { "rt_sigaction", SYS_rt_sigaction, { SIGSYS, 0, SEE, 8 }, false },
        { "splice", SYS_splice, { 0, 0, 1, 0, 1, 0 }, false },
        { "dup2", SYS_dup2, { 1, 50 }, false },
        /* memory that becomes code */
        { "mmap of code", SYS_mmap, { 0, 4096, EXEC, ANONYMOUS, -1, 0 }, false },
        { "mmap of writable code", SYS_mmap, { 0, 4096, EXEC | PROT_WRITE, ANONYMOUS, -1, 0 }, false },
        { "mmap that is shared", SYS_mmap, { 0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0 }, false },
        { "mmap of a vCPU", SYS_mmap, { 0, 4096, PROT_READ, MAP_SHARED, kvm_fd, 0 }, false },
        { "mprotect to code", SYS_mprotect, { SEE, 4096, EXEC }, false },
        { "pkey_mprotect", SYS_pkey_mprotect, { SEE, 4096, EXEC, -1 }, false },
        { "mremap", SYS_mremap, { SEE, 4096, 8192, 1 }, false },
        /* requests that are on no list */
        { "ioctl KVM_CREATE_VM", SYS_ioctl, { kvm_fd, KVM_CREATE_VM, 0 }, false },
        { "ioctl KVM_CREATE_VCPU", SYS_ioctl, { kvm_fd, KVM_CREATE_VCPU, 63 }, false },
        { "ioctl KVM_CREATE_DEVICE", SYS_ioctl, { kvm_fd, KVM_CREATE_DEVICE, SEE }, false },
        { "ioctl KVM_SET_MSRS", SYS_ioctl, { kvm_fd, KVM_SET_MSRS, SEE }, false },
        { "ioctl KVM_SET_SREGS", SYS_ioctl, { kvm_fd, KVM_SET_SREGS, SEE }, false },
        { "ioctl KVM_ENABLE_CAP", SYS_ioctl, { kvm_fd, KVM_ENABLE_CAP, SEE }, false },
        { "ioctl KVM_IRQFD", SYS_ioctl, { kvm_fd, KVM_IRQFD, SEE }, false },
        { "ioctl TIOCSTI", SYS_ioctl, { 0, TIOCSTI, SEE }, false },
        { "ioctl TUNSETIFF", SYS_ioctl, { 1, TUNSETIFF, SEE }, false },
        /* and none at all */
        { "a call that no kernel has", 1000, { 0 }, true },
        { "crash", ACT_CRASH, { 0 }, false },
        { "heap", ACT_HEAP, { 0 }, false },
        { "fill", ACT_FILL, { 0 }, false },
        { "frame", ACT_FRAME, { 0 }, false },
    };

    if (getenv("MOTE_ACTS_FILE"))
        snprintf(file, sizeof(file), "%s", getenv("MOTE_ACTS_FILE"));
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        list[count++] = made[i];
    for (size_t i = 0, more = acts_arguments(&arguments_acts, victim); i < more; i++) {
        list[count] = arguments_acts[i];
        list[count++].of_monitors = true;
    }
    *acts = list;
    return count;
}
