/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/order.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/base/cleanup.h"

int order_send(int channel, const struct order *order, const int *fds, size_t fd_count,
               struct error *error)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(ORDER_FDS * sizeof(int))];
    } control = { .bytes = { 0 } };
    struct iovec part = { .iov_base = (void *)(uintptr_t)order, .iov_len = sizeof(*order) };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

    if (fd_count > 0) {
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
            .cmsg_len = CMSG_LEN(fd_count * sizeof(int)),
        };
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    }
    if (channel < 0 || sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return error_set(error, ESRCH, "the VM has ended, or does not listen; see 'mote ps'");
    return 0;
}

ssize_t order_receive(int channel, struct order *order, int fds[ORDER_FDS])
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(ORDER_FDS * sizeof(int))];
    } control;
    struct iovec part = { .iov_base = order, .iov_len = sizeof(*order) };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof(control),
    };
    ssize_t length = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    for (int i = 0; i < ORDER_FDS; i++)
        fds[i] = -1;
    /* There is room for the first of them alone where this process has as many open as it may. */
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len <= CMSG_LEN(ORDER_FDS * sizeof(int)))
        memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    return length;
}

void order_close_files(int fds[ORDER_FDS])
{
    for (int i = 0; i < ORDER_FDS; i++) {
        cleanup_close(&fds[i]);
        fds[i] = -1;
    }
}

void order_take_error(const struct order_answer *answer, struct error *error)
{
    if (answer->error_number)
        error_set(error, answer->error_number > 0 ? answer->error_number : EIO, "%.*s",
                  (int)sizeof(answer->message) - 1, answer->message);
}
