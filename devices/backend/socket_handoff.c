/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/socket_handoff.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/cleanup.h"

/* Room for one descriptor, aligned as a header wants it. */
union ancillary {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int socket_handoff_send(int fd, uint32_t port)
{
    int ends[2];
    cleanup_fd int ours = -1, theirs = -1;
    struct iovec payload = { .iov_base = &port, .iov_len = sizeof(port) };
    union ancillary ancillary = { .bytes = "" };
    struct msghdr message = {
        .msg_iov = &payload, .msg_iovlen = 1,
        .msg_control = &ancillary, .msg_controllen = sizeof(ancillary),
    };
    struct cmsghdr *header;
    ssize_t sent;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    ours = ends[0];
    theirs = ends[1];
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &theirs, sizeof(int));
    do
        sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : steal_fd(&ours);
}

int socket_handoff_receive(int fd, uint32_t *port)
{
    struct iovec payload = { .iov_base = port, .iov_len = sizeof(*port) };
    union ancillary ancillary;
    struct msghdr message = {
        .msg_iov = &payload, .msg_iovlen = 1,
        .msg_control = &ancillary, .msg_controllen = sizeof(ancillary),
    };
    cleanup_fd int received = -1;
    struct cmsghdr *header;
    ssize_t length;

    do
        length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return errno == ECONNRESET ? -ENOTCONN : -errno;
    header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&received, CMSG_DATA(header), sizeof(int));
    if (length == 0)
        return -ENOTCONN;
    if (length != (ssize_t)sizeof(*port) || received < 0)
        return -EPROTO;
    return steal_fd(&received);
}
