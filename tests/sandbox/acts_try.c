/* SPDX-License-Identifier: Apache-2.0 */
/* Trying an act, through whatever of a sandbox is in force. */
#include "tests/sandbox/acts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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
    return number != EFAULT && number != EINVAL && number != EBADF && number != ENOTTY && number != EINTR;
}

static int output = -1;

void acts_prepare(void)
{
    for (int fd = STDERR_FILENO + 1; fd < 64 && output < 0; fd++) {
        struct stat status;
        int flags = fcntl(fd, F_GETFL);

        if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY && flags & O_APPEND &&
            fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
            output = fd;
    }
}

/* By the page map, which a monitor that may be saved has open. */
static void look_for_frame(void)
{
    static volatile char page[4096] __attribute__((aligned(4096)));
    off_t at = (off_t)((uintptr_t)page / 4096 * 8);
    uint64_t entry;

    page[0] = page[1] + 1;
    for (int fd = STDERR_FILENO + 1; fd < 64; fd++)
        if (pread(fd, &entry, sizeof(entry), at) == (ssize_t)sizeof(entry) && entry >> 63) {
            tell(entry << 9 != 0 ? "act: the page lies where it should not be seen\n"
                            : "act: the page is there, its place hidden\n");
            return;
        }
    tell("act: no page map\n");
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
    pieces[0] = malloc(1 << 20);
    pieces[0] = realloc(pieces[0], 8 << 20);
    free(pieces[0]);
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
    if (call == ACT_FRAME)
        look_for_frame();
    return call < 0;
}

void acts_try(size_t number, int kvm_fd)
{
    const struct act *acts;
    size_t count = acts_list(&acts, victim(), kvm_fd);
    const long *a;
    char text[120];
    long result;

    if (number >= count) {
        tell("act: there is none of this number\n");
        return;
    }
    if (act_without_call(acts[number].call))
        return;
    a = acts[number].arguments;
    result = syscall(acts[number].call, a[0] == ACT_OUTPUT ? output : a[0], a[1], a[2], a[3], a[4], a[5]);
    /* A child that should not be: */
    if (result == 0 && (acts[number].call == SYS_fork || acts[number].call == SYS_vfork ||
                        acts[number].call == SYS_clone))
        _exit(0);
    if (result >= 0 || !is_denial(errno))
        snprintf(text, sizeof(text), "act: allowed (%ld, %s): %s\n", result,
                 result < 0 ? strerrorname_np(errno) : "no error", acts[number].name);
    else
        snprintf(text, sizeof(text), "act: denied: %s: %s\n", strerrorname_np(errno), acts[number].name);
    tell(text);
}

static __attribute__((constructor)) void list_acts(void)
{
    const struct act *acts;
    size_t count = acts_list(&acts, 0, 0);

    if (!getenv("MOTE_ACTS_LIST"))
        return;
    for (size_t i = 0; i < count; i++) {
        printf("%zu %s ", i, acts[i].call < 0 ? "-" : acts[i].of_monitors ? "m" : acts[i].by_layers ? "1" : "0");
        if (acts[i].of_monitors)
            printf("%u %u ", acts[i].allowed, acts[i].refused);
        printf("%s\n", acts[i].name);
    }
    exit(0);
}
