/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A job, and more signals than anybody sends. */
#define QUEUE_MAX (RUN_JOB_MAX + (64u << 10))

struct control {
    struct event_loop *loop;
    struct control_peer peer;
    int fd;
    struct record_reader reader;
    uint8_t *queue;
    size_t queued;
};

static void close_it(struct control *control, int reason)
{
    event_loop_remove(control->loop, control->fd);
    close(control->fd);
    control->fd = -1;
    control->peer.closed(control->peer.context, reason);
}

/* How many of the bytes went; a connection that broke tells so when it is read. */
static size_t write_some(const struct control *control, const uint8_t *bytes, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t count = send(control->fd, bytes + done, length - done, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            break;
        done += (size_t)count;
    }
    return done;
}

static void flush(struct control *control)
{
    size_t done = write_some(control, control->queue, control->queued);

    control->queued -= done;
    memmove(control->queue, control->queue + done, control->queued);
    if (control->queued == 0)
        event_loop_modify(control->loop, control->fd, EPOLLIN);
}

/* Records may end the control by what they lead to: then FD is -1. */
static void take(struct control *control, const uint8_t *bytes, size_t length)
{
    struct record record;
    int result;

    while (control->fd >= 0 &&
           (result = record_read(&control->reader, &bytes, &length, &record)) != 0) {
        if (result < 0) {
            close_it(control, result);
            return;
        }
        control->peer.record(control->peer.context, &record);
    }
}

static void ready(void *context, uint32_t events)
{
    struct control *control = context;
    uint8_t bytes[4096];
    ssize_t count;

    if (events & EPOLLOUT)
        flush(control);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    count = recv(control->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0)
        close_it(control, count < 0 ? -errno : 0);
    else
        take(control, bytes, (size_t)count);
}

void control_look(struct control *control)
{
    if (control->fd >= 0)
        ready(control, EPOLLIN);
}

int control_create(struct control **control, struct event_loop *loop, int fd,
                   const struct control_peer *peer, struct error *error)
{
    struct control *created = calloc(1, sizeof(*created));
    struct event_source source = {
        .fd = fd, .events = EPOLLIN, .handler = ready, .context = created,
    };
    int result;

    if (!created)
        return error_system(error, ENOMEM, "the guest's connection");
    created->loop = loop;
    created->peer = *peer;
    created->fd = fd;
    result = event_loop_add(loop, &source);
    if (result < 0) {
        free(created);
        return error_system(error, -result, "the guest's connection");
    }
    *control = created;
    return 0;
}

void control_destroy(struct control *control)
{
    if (!control)
        return;
    if (control->fd >= 0) {
        event_loop_remove(control->loop, control->fd);
        close(control->fd);
    }
    free(control->queue);
    free(control);
}

int control_send(struct control *control, const void *record, size_t length)
{
    size_t done = 0;
    uint8_t *queue;

    if (control->fd < 0)
        return -ENOTCONN;
    if (control->queued == 0)
        done = write_some(control, record, length);
    if (done == length)
        return 0;
    length -= done;
    if (length > QUEUE_MAX - control->queued)
        return -ENOBUFS;
    queue = realloc(control->queue, control->queued + length);
    if (!queue)
        return -ENOMEM;
    control->queue = queue;
    memcpy(queue + control->queued, (const uint8_t *)record + done, length);
    control->queued += length;
    return event_loop_modify(control->loop, control->fd, EPOLLIN | EPOLLOUT);
}
