/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls of a monitor's lists could do with other arguments; and what a C library calls on some hosts, or in some
 * versions, which a monitor has to survive wherever its threads use such a function: see vmm/jail/lists.c.
 */
#include "tests/sandbox/acts.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define P(pointer) ((long)(pointer))
#define SEE ((long)&scratch)

static union {
    char bytes[4096];
    long words[512];
} scratch __attribute__((aligned(4096)));
static struct iovec own = { scratch.bytes, 8 };
static struct sockaddr_un abstract = { AF_UNIX, "\0mote-sandbox-test" };

#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define DATA (PROT_READ | PROT_WRITE)
/* Kinds of thread. */
#define VCPU 1u
#define IO 2u
#define CONTROL 4u
#define EACH (VCPU | IO | CONTROL)
#define DROPPABLE 8     /* MAP_DROPPABLE, of Linux 6.11 */
#define GUARD 102       /* MADV_GUARD_INSTALL, of 6.13 */
#define OTHERS_CLOCK (-14L) /* CPU time of process 1: ~1 * 8 + 2 */

size_t acts_arguments(const struct act **acts, int victim)
{
    static struct act list[96];
    const struct act made[] = {
        { "mmap of a file", SYS_mmap, { 0, 4096, PROT_READ, MAP_PRIVATE, 0, 0 }, false },
        { "mmap that is locked", SYS_mmap, { 0, 4096, DATA, ANONYMOUS | MAP_LOCKED, -1, 0 }, false },
        { "mmap of huge pages", SYS_mmap, { 0, 2 << 20, DATA, ANONYMOUS | MAP_HUGETLB, -1, 0 }, false, 0, EACH },
        { "mprotect that grows", SYS_mprotect, { SEE, 4096, DATA | PROT_GROWSDOWN }, false },
        { "madvise that takes a file's pages out", SYS_madvise, { SEE, 4096, MADV_REMOVE }, false },
        { "madvise of merged pages", SYS_madvise, { SEE, 4096, MADV_MERGEABLE }, false },
        { "newfstatat by path", SYS_newfstatat, { AT_FDCWD, P("/"), SEE, 0 }, false },
        { "fcntl that changes how a file is open", SYS_fcntl, { 0, F_SETFL, 0 }, false },
        { "fcntl that sends signals", SYS_fcntl, { 0, F_SETOWN, victim }, false },
        { "fcntl of a lease", SYS_fcntl, { 0, F_SETLEASE, F_RDLCK }, false },
        { "fcntl of a lock", SYS_fcntl, { 0, F_OFD_SETLK, 0 }, false },
        { "fcntl of an output, F_SETFL", SYS_fcntl, { ACT_OUTPUT, F_SETFL, 0 }, false, 0, IO },
        { "fcntl of an output's number", SYS_fcntl, { ACT_OUTPUT, F_DUPFD_CLOEXEC, 3 }, false, 0, IO },
        { "fcntl of standard error's number", SYS_fcntl, { 2, F_DUPFD_CLOEXEC, 3 }, false, 0, IO },
        { "fallocate of a hole in an output", SYS_fallocate,
          { ACT_OUTPUT, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 }, false, 0, IO },
        { "fallocate of zeroes in an output", SYS_fallocate,
          { ACT_OUTPUT, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 1 }, false, 0, IO },
        { "fallocate that moves what follows", SYS_fallocate, { 0, FALLOC_FL_COLLAPSE_RANGE, 0, 4096 }, false },
        { "fallocate of room", SYS_fallocate, { 0, 0, 0, 4096 }, false },
        { "pwritev over an output", SYS_pwritev, { ACT_OUTPUT, P(&own), 1, 0, 0 }, false, 0, IO | CONTROL },
        { "pwritev2 over an output", SYS_pwritev2, { ACT_OUTPUT, P(&own), 1, 0, 0, 0x20 }, false },
        { "pwrite64 over an output", SYS_pwrite64, { ACT_OUTPUT, SEE, 1, 0 }, false, 0, CONTROL },
        { "lseek in an output", SYS_lseek, { ACT_OUTPUT, 0, SEEK_SET }, false, 0, CONTROL },
        { "ftruncate of an output", SYS_ftruncate, { ACT_OUTPUT, 0 }, false },
        { "read from standard error", SYS_read, { 2, SEE, 1 }, false, 0, IO | CONTROL },
        { "readv from standard error", SYS_readv, { 2, P(&own), 1 }, false, 0, IO },
        { "tgkill of itself", SYS_tgkill, { 1, 1, SIGTERM }, false },
        { "futex that lends a priority", SYS_futex, { SEE, FUTEX_LOCK_PI, 0, 0, 0, 0 }, false },
        { "futex that moves waiters", SYS_futex, { SEE, FUTEX_CMP_REQUEUE_PI, 1, 0, SEE, 0 }, false },
        { "sendto of a byte out of band", SYS_sendto, { 1, SEE, 1, MSG_OOB, 0, 0 }, false },
        { "sendto an address", SYS_sendto, { 1, SEE, 1, 0, P(&abstract), 20 }, false },
        { "sendmsg of what could be descriptors", SYS_sendmsg, { 1, SEE, MSG_DONTWAIT }, false },
        { "sendmsg of a byte out of band", SYS_sendmsg, { 1, SEE, MSG_OOB }, false },
        { "sendmsg without a copy", SYS_sendmsg, { 1, SEE, MSG_ZEROCOPY }, false },
        { "recvfrom of a byte out of band", SYS_recvfrom, { 1, SEE, 1, MSG_OOB, 0, 0 }, false },
        { "recvmsg that peeks", SYS_recvmsg, { 1, SEE, MSG_PEEK }, false },
        { "socketpair of datagrams", SYS_socketpair, { AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, SEE }, false },
        { "accept4 for programs to come", SYS_accept4, { 1, 0, 0, 0 }, false },
        { "timerfd_settime that the date cancels", SYS_timerfd_settime, { 1, 3, SEE, 0 }, false },
        { "io_uring_enter of a ring by number", SYS_io_uring_enter, { 0, 0, 0, 16, 0, 0 }, false },
        { "pidfd_open of a thread", SYS_pidfd_open, { 1, O_EXCL }, false, 0, CONTROL },
        { "waitid of all", SYS_waitid, { P_ALL, 0, SEE, WEXITED, 0 }, false },
        { "clock_gettime of a process", SYS_clock_gettime, { OTHERS_CLOCK, SEE }, false },
        { "getrandom that waits", SYS_getrandom, { SEE, 8, GRND_RANDOM }, false },
        /* what a C library calls on some hosts, or in some versions: see vmm/jail/lists.c */
        { "clock_gettime", SYS_clock_gettime, { CLOCK_MONOTONIC, SEE }, false, EACH },
        { "clock_gettime of the date", SYS_clock_gettime, { CLOCK_REALTIME, SEE }, false, CONTROL },
        { "restart_syscall", SYS_restart_syscall, { 0 }, false, IO | CONTROL },
        { "fstat", SYS_fstat, { 2, SEE }, false, IO },
        { "newfstatat of a descriptor", SYS_newfstatat, { 2, P(""), SEE, AT_EMPTY_PATH }, false, IO },
        { "getrandom", SYS_getrandom, { SEE, 8, GRND_NONBLOCK }, false, IO },
        { "getrandom for the vDSO", SYS_getrandom, { SEE, 8, 0 }, false, IO },
        { "mmap that may be dropped", SYS_mmap, { 0, 4096, DATA, MAP_ANONYMOUS | DROPPABLE, -1, 0 }, false, IO },
        { "prctl that names memory", SYS_prctl, { PR_SET_VMA, 0, SEE, 4096, P("x") }, false, EACH },
        { "madvise of huge pages", SYS_madvise, { SEE, 4096, MADV_HUGEPAGE }, false, EACH },
        { "madvise of small pages", SYS_madvise, { SEE, 4096, MADV_NOHUGEPAGE }, false, EACH },
        { "madvise of a guard", SYS_madvise, { SEE, 4096, GUARD }, false, IO },
    };

    _Static_assert(sizeof(made) <= sizeof(list), "room for all");
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        list[i] = made[i];
    *acts = list;
    return sizeof(made) / sizeof(made[0]);
}
