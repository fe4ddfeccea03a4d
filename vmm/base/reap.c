/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/reap.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define LIMIT_MS 10000
#define STEP_MS 20

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int reap_killed(pid_t pid, int *status)
{
    /* Kernels before 5.3 have no descriptor of a process. */
    cleanup_fd int process = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd ended = { .fd = process, .events = POLLIN };
    uint64_t begin = now_ms();
    pid_t found;

    while ((found = waitpid(pid, status, WNOHANG)) == 0 || (found < 0 && errno == EINTR)) {
        if (now_ms() - begin >= LIMIT_MS)
            return -ETIMEDOUT;
        poll(&ended, 1, process < 0 ? 1 : STEP_MS);
    }
    return found < 0 ? -errno : 0;
}
