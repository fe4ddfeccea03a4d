/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/socket_handoff.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

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

static bool has_option(int fd, int option, int wanted)
{
    socklen_t size = sizeof(int);
    int value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

/*
 * A connected stream between processes, as socket_handoff_send() makes them, and nothing else that a sender in a guest's hands may
 * have open: reads of an eventfd or a file would stop its reader, or take what is not the guest's.  What flags it has are the
 * sender's to change at any time: readers pass MSG_DONTWAIT, too.
 */
static bool is_stream(int fd)
{
    struct sockaddr_un peer;
    socklen_t size = sizeof(peer);

    return has_option(fd, SO_DOMAIN, AF_UNIX) && has_option(fd, SO_TYPE, SOCK_STREAM) &&
           has_option(fd, SO_ACCEPTCONN, 0) && getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
           (fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH)) == O_RDWR && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

/* The one descriptor of MESSAGE; -1 for none, or for more, which are closed. */
static int take_descriptor(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fds[sizeof(union ancillary) / sizeof(int)];
    size_t count;

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len < CMSG_LEN(0) || header->cmsg_len > CMSG_LEN(sizeof(fds)))
        return -1;
    count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
    for (size_t i = 0; count > 1 && i < count; i++)
        close(fds[i]);
    return count == 1 ? fds[0] : -1;
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
    ssize_t length;

    do
        length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return errno == ECONNRESET ? -ENOTCONN : -errno;
    received = take_descriptor(&message);
    if (length == 0 && received < 0)
        return -ENOTCONN;
    if (length != (ssize_t)sizeof(*port) || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || received < 0 ||
        !is_stream(received))
        return -EPROTO;
    return steal_fd(&received);
}
