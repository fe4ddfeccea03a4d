/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/socket_broker.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/unix_listener.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/timer.h"

/* Twice what a monitor asks of its own accord (vsock_internal.h). */
#define QUESTIONS_IN_A_SECOND 2000
#define SECOND_MS 1000

struct socket_broker {
    char *prefix;
    struct event_loop *loop;
    int asked_fd; /* the supervisor's end */
    int asking_fd;
    struct timer timer;    /* until the next second begins */
    long long second;      /* when the one began that LEFT is for, ms */
    unsigned int left;     /* questions */
};

/* Room for one descriptor, aligned as a header wants it. */
union ancillary {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* ---- in the supervisor ---------------------------------------------------- */

static int connect_port(const struct socket_broker *broker, uint32_t port)
{
    cleanup_free char *path = NULL;

    if (asprintf(&path, "%s_%u", broker->prefix, port) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    return unix_connect(path);
}

/* RESULT is a descriptor, which goes along, or a negative errno. */
static void answer(const struct socket_broker *broker, int result)
{
    int32_t number = result < 0 ? result : 0;
    struct iovec payload = { .iov_base = &number, .iov_len = sizeof(number) };
    union ancillary ancillary = { .bytes = "" };
    struct msghdr message = { .msg_iov = &payload, .msg_iovlen = 1 };

    if (result >= 0) {
        message.msg_control = &ancillary;
        message.msg_controllen = sizeof(ancillary);
        ancillary.header.cmsg_level = SOL_SOCKET;
        ancillary.header.cmsg_type = SCM_RIGHTS;
        ancillary.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&ancillary.header), &result, sizeof(result));
    }
    /* Who does not take answers gets none. */
    sendmsg(broker->asked_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* If not, the timer will tell. */
static bool may_answer(struct socket_broker *broker)
{
    struct timespec time;
    long long now;

    clock_gettime(CLOCK_MONOTONIC, &time);
    now = time.tv_sec * (long long)SECOND_MS + time.tv_nsec / 1000000;
    if (now - broker->second >= SECOND_MS) {
        broker->second = now;
        broker->left = QUESTIONS_IN_A_SECOND;
    }
    if (broker->left == 0)
        timer_set(&broker->timer, (uint64_t)(broker->second + SECOND_MS - now));
    return broker->left > 0;
}

static void asked(void *context, uint32_t events)
{
    struct socket_broker *broker = context;
    uint32_t port;
    cleanup_fd int fd = -1;
    ssize_t length;

    /* After the monitor's end the rest is short. */
    if (!(events & (EPOLLHUP | EPOLLERR)) && !may_answer(broker)) {
        event_loop_modify(broker->loop, broker->asked_fd, 0);
        return;
    }
    length = recv(broker->asked_fd, &port, sizeof(port), MSG_DONTWAIT);
    if (length == 0) {
        event_loop_remove(broker->loop, broker->asked_fd); /* the monitor has ended */
        return;
    }
    /* Also one that is no question, which no sound monitor sends. */
    if (length > 0)
        broker->left -= broker->left > 0;
    if (length != (ssize_t)sizeof(port))
        return;
    fd = connect_port(broker, port);
    answer(broker, fd);
}

static void may_ask_again(void *context)
{
    const struct socket_broker *broker = context;

    event_loop_modify(broker->loop, broker->asked_fd, EPOLLIN);
}

int socket_broker_create(struct socket_broker **broker, const char *prefix,
                         struct event_loop *loop, struct error *error)
{
    struct event_source source = { .events = EPOLLIN, .handler = asked };
    struct socket_broker *created = calloc(1, sizeof(*created));
    int ends[2], result;

    if (!created || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        free(created);
        return error_system(error, errno, "socket %s_*", prefix);
    }
    *created = (struct socket_broker){
        .prefix = strdup(prefix), .loop = loop, .asked_fd = ends[0], .asking_fd = ends[1],
        .timer = TIMER_INIT, .left = QUESTIONS_IN_A_SECOND,
    };
    source.fd = ends[0];
    source.context = created;
    result = created->prefix ? event_loop_add(loop, &source) : -ENOMEM;
    if (result < 0)
        error_system(error, -result, "socket %s_*", prefix);
    else
        result = timer_open(&created->timer, loop, may_ask_again, created, error);
    if (result < 0) {
        socket_broker_destroy(created);
        return result;
    }
    *broker = created;
    return 0;
}

void socket_broker_destroy(struct socket_broker *broker)
{
    if (!broker)
        return;
    timer_close(&broker->timer);
    event_loop_remove(broker->loop, broker->asked_fd);
    close(broker->asked_fd);
    close(broker->asking_fd);
    free(broker->prefix);
    free(broker);
}

/* ---- in the monitor ------------------------------------------------------- */

static int read_answer(const struct socket_broker *broker)
{
    int32_t number = 0;
    struct iovec payload = { .iov_base = &number, .iov_len = sizeof(number) };
    union ancillary ancillary;
    struct msghdr message = {
        .msg_iov = &payload, .msg_iovlen = 1,
        .msg_control = &ancillary, .msg_controllen = sizeof(ancillary),
    };
    int fd = -1;
    ssize_t length;

    do
        length = recvmsg(broker->asking_fd, &message, MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return -errno;
    if (message.msg_controllen >= CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(&ancillary.header), sizeof(fd));
    if (length != (ssize_t)sizeof(number) || (number == 0 && fd < 0))
        return -EPIPE;
    return number < 0 ? number : fd;
}

int socket_broker_connect(const struct socket_broker *broker, uint32_t port)
{
    ssize_t sent;

    do
        sent = send(broker->asking_fd, &port, sizeof(port), MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : read_answer(broker);
}
