/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A monitor that obeys its guest: the whole of Mote, linked so that port writes
 * of guest/payloads/acts.c reach this file, which then tries an act on a thread
 * of the kind asked for, through whatever of the sandbox is in force.
 *
 *   MOTE_ACTS_LIST=1         prints the acts' numbers, whether layers other than
 *                            seccomp deny them (1, 0, or - for what is allowed), names
 *   MOTE_ACTS_VICTIM=PID     a process of the host's to attack
 *   MOTE_ACTS_NO_SECCOMP=1   without the lists of system calls
 *
 * Says "act: allowed" or "act: denied: ERRNO" on standard error, if it lives.
 */
#include "tests/sandbox/acts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/bus.h"
#include "vmm/sandbox/sandbox.h"

#define ACT_PORT 0x5e0
#define THREAD_PORT 0x5e2
#define DONE_PORT 0x5e3
#define NO_THREAD SANDBOX_THREAD_COUNT
#define POLL_MS 5
/* Among the first that the monitor opens; an ioctl is refused by its number, whatever it is. */
#define KVM_FD 5

static _Atomic int wanted_thread = NO_THREAD;
static _Atomic unsigned int act_number;
static _Atomic bool done;
static _Thread_local int own_kind = SANDBOX_CONTROL;

void __real_bus_write(struct bus *bus, uint64_t address, const uint8_t *bytes, size_t length);
void __real_bus_read(struct bus *bus, uint64_t address, uint8_t *bytes, size_t length);
int __real_epoll_wait(int fd, struct epoll_event *events, int count, int timeout);
void __real_sandbox_thread(struct sandbox *sandbox, enum sandbox_thread kind);
void __wrap_bus_write(struct bus *bus, uint64_t address, const uint8_t *bytes, size_t length);
void __wrap_bus_read(struct bus *bus, uint64_t address, uint8_t *bytes, size_t length);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout);
void __wrap_sandbox_thread(struct sandbox *sandbox, enum sandbox_thread kind);

static int victim(void)
{
    const char *text = getenv("MOTE_ACTS_VICTIM");

    return text ? atoi(text) : 999999;
}

static void tell(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));

    (void)written;
}

/* These mean that the kernel looked at the arguments: it would have done it with better ones. */
static bool is_denial(int number)
{
    return number != EFAULT && number != EINVAL && number != EBADF && number != ENOTTY;
}

/* In pieces that the C library keeps together, so that it has something to give back. */
static void use_heap(void)
{
    static void *pieces[8192];
    size_t count = sizeof(pieces) / sizeof(pieces[0]);

    for (size_t i = 0; i < count; i++)
        pieces[i] = malloc(1000);
    for (size_t i = 0; i < count; i++)
        free(pieces[i]);
    tell("act: gave the heap back\n");
}

/* The file that is open for reading and writing, as disks are. */
static int disk_fd(off_t *size)
{
    for (int fd = STDERR_FILENO + 1; fd < 64; fd++) {
        struct stat status;

        if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR && fstat(fd, &status) == 0 &&
            S_ISREG(status.st_mode)) {
            *size = status.st_size;
            return fd;
        }
    }
    return -1;
}

static void fill_disk(void)
{
    static char piece[1 << 20];
    struct iovec vector = { piece, sizeof(piece) };
    off_t at = 0, size = 0;
    int fd = disk_fd(&size);

    while (at < size && pwritev(fd, &vector, 1, at) > 0)
        at += (off_t)sizeof(piece);
    tell(at < size ? "act: the disk cannot be filled\n" : "act: the disk is full\n");
    if (pwritev(fd, &vector, 1, size) < 0)
        tell(errno == EFBIG ? "act: no further\n" : "act: an error beyond it\n");
}

static bool act_without_call(long call)
{
    if (call == ACT_CRASH)
        __builtin_trap();
    if (call == ACT_HEAP)
        use_heap();
    if (call == ACT_FILL)
        fill_disk();
    return call < 0;
}

static void act(void)
{
    const struct act *acts;
    size_t count = acts_list(&acts, victim(), KVM_FD), number = act_number;
    const long *a;
    char text[80];
    long result;

    if (number >= count) {
        tell("act: there is none of this number\n");
        return;
    }
    if (act_without_call(acts[number].call))
        return;
    a = acts[number].arguments;
    result = syscall(acts[number].call, a[0], a[1], a[2], a[3], a[4], a[5]);
    /* A child that should not be: */
    if (result == 0 && (acts[number].call == SYS_fork || acts[number].call == SYS_vfork ||
                        acts[number].call == SYS_clone))
        _exit(0);
    if (result >= 0 || !is_denial(errno))
        snprintf(text, sizeof(text), "act: allowed (%ld, %s)\n", result,
                 result < 0 ? strerrorname_np(errno) : "no error");
    else
        snprintf(text, sizeof(text), "act: denied: %s\n", strerrorname_np(errno));
    tell(text);
}

static void act_if_asked(void)
{
    int expected = own_kind;

    if (!atomic_compare_exchange_strong(&wanted_thread, &expected, NO_THREAD))
        return;
    act();
    done = true;
}

void __wrap_bus_write(struct bus *bus, uint64_t address, const uint8_t *bytes, size_t length)
{
    if (address == ACT_PORT && length == 2) {
        act_number = bytes[0] | (unsigned int)bytes[1] << 8;
    } else if (address == THREAD_PORT && length == 1) {
        wanted_thread = bytes[0];
        act_if_asked();
    } else {
        __real_bus_write(bus, address, bytes, length);
    }
}

void __wrap_bus_read(struct bus *bus, uint64_t address, uint8_t *bytes, size_t length)
{
    if (address == DONE_PORT && length == 1)
        bytes[0] = done;
    else
        __real_bus_read(bus, address, bytes, length);
}

/* The two loops look every few milliseconds. */
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    int result;

    do {
        act_if_asked();
        result = __real_epoll_wait(fd, events, count, POLL_MS);
    } while (result == 0 && timeout < 0);
    return result;
}

void __wrap_sandbox_thread(struct sandbox *sandbox, enum sandbox_thread kind)
{
    own_kind = (int)kind;
    if (!getenv("MOTE_ACTS_NO_SECCOMP"))
        __real_sandbox_thread(sandbox, kind);
}

static __attribute__((constructor)) void list_acts(void)
{
    const struct act *acts;
    size_t count = acts_list(&acts, 0, 0);

    if (!getenv("MOTE_ACTS_LIST"))
        return;
    for (size_t i = 0; i < count; i++)
        printf("%zu %s %s\n", i, acts[i].call < 0 ? "-" : acts[i].by_layers ? "1" : "0",
               acts[i].name);
    exit(0);
}
