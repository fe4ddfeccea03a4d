/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/frame_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/backend/uplink.h"

#define PREFIX sizeof(uint32_t)
#define IN_SIZE (256u << 10)
#define OUT_SIZE (PREFIX + UPLINK_FRAME_MAX)
_Static_assert(IN_SIZE >= PREFIX + UPLINK_FRAME_MAX, "the largest frame fits");

struct frame_stream {
    int fd;
    size_t in_start, in_end;   /* of what came and was not fetched */
    size_t out_start, out_end; /* of the frame that was sent in part */
    uint8_t in[IN_SIZE];
    uint8_t out[OUT_SIZE];
};

struct frame_stream *frame_stream_create(int fd)
{
    struct frame_stream *stream = malloc(sizeof(*stream));

    /* writev(2) has no flags: whether it waits is the socket's. */
    if (!stream || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        free(stream);
        return NULL;
    }
    stream->fd = fd;
    stream->in_start = stream->in_end = stream->out_start = stream->out_end = 0;
    return stream;
}

void frame_stream_destroy(struct frame_stream *stream)
{
    if (!stream)
        return;
    close(stream->fd);
    free(stream);
}

/* What the descriptor will tell of again, what is the end, and what may pass. */
static ssize_t socket_error(int number)
{
    switch (number) {
    case EAGAIN:
    case EINTR:
        return -EAGAIN;
    case ECONNRESET:
    case ENOTCONN:
        return -EPIPE;
    default:
        return -number;
    }
}

/* The length of the frame at the start: 0 while it is not all there, or -EPROTO. */
static ssize_t complete_frame(const struct frame_stream *stream)
{
    size_t there = stream->in_end - stream->in_start;
    uint32_t length;

    if (there < PREFIX)
        return 0;
    memcpy(&length, stream->in + stream->in_start, PREFIX);
    length = ntohl(length);
    if (length < UPLINK_FRAME_MIN || length > UPLINK_FRAME_MAX)
        return -EPROTO;
    return length <= there - PREFIX ? (ssize_t)length : 0;
}

/* One recv(2) to the end of the buffer; a frame that has begun moves to its start. */
static ssize_t fetch(struct frame_stream *stream)
{
    ssize_t got;

    if (stream->in_start > 0) {
        memmove(stream->in, stream->in + stream->in_start, stream->in_end - stream->in_start);
        stream->in_end -= stream->in_start;
        stream->in_start = 0;
    }
    got = recv(stream->fd, stream->in + stream->in_end, IN_SIZE - stream->in_end, MSG_DONTWAIT);
    if (got == 0)
        return -EPIPE;
    if (got < 0)
        return socket_error(errno);
    stream->in_end += (size_t)got;
    return complete_frame(stream);
}

/* Copies BYTES to the segments from OFFSET on, as far as there are any. */
static size_t scatter(const struct iovec *segments, int count, size_t offset, const void *bytes,
                      size_t length)
{
    size_t done = 0;

    for (int i = 0; i < count && done < length; i++) {
        size_t room;

        if (offset >= segments[i].iov_len) {
            offset -= segments[i].iov_len;
            continue;
        }
        room = segments[i].iov_len - offset;
        if (room > length - done)
            room = length - done;
        memcpy((uint8_t *)segments[i].iov_base + offset, (const uint8_t *)bytes + done, room);
        done += room;
        offset = 0;
    }
    return done;
}

ssize_t frame_stream_peek(struct frame_stream *stream, const uint8_t **frame)
{
    ssize_t length = complete_frame(stream);

    if (length == 0)
        length = fetch(stream);
    if (length <= 0)
        return length < 0 ? length : -EAGAIN;
    *frame = stream->in + stream->in_start + PREFIX;
    return length;
}

ssize_t frame_stream_receive(struct frame_stream *stream, const struct iovec *segments, int count)
{
    const struct uplink_header header = { .gso_type = 0 };
    const uint8_t *frame;
    ssize_t length = frame_stream_peek(stream, &frame);
    size_t done;

    if (length < 0)
        return length;
    done = scatter(segments, count, 0, &header, sizeof(header));
    done += scatter(segments, count, sizeof(header), frame, (size_t)length);
    stream->in_start += PREFIX + (size_t)length;
    return (ssize_t)done;
}

bool frame_stream_flush(struct frame_stream *stream)
{
    ssize_t sent;

    if (stream->out_start == stream->out_end)
        return true;
    sent = send(stream->fd, stream->out + stream->out_start, stream->out_end - stream->out_start,
                MSG_DONTWAIT | MSG_NOSIGNAL);
    /* Whatever the error, no other frame may begin; a peer that is gone hangs up. */
    if (sent < 0)
        return false;
    stream->out_start += (size_t)sent;
    return stream->out_start == stream->out_end;
}

/* Keeps what is left of the frame after its first SENT bytes. */
static void keep_rest(struct frame_stream *stream, const struct iovec *segments, int count,
                      size_t sent)
{
    stream->out_start = stream->out_end = 0;
    for (int i = 0; i < count; i++) {
        size_t skip = sent < segments[i].iov_len ? sent : segments[i].iov_len;

        memcpy(stream->out + stream->out_end, (const uint8_t *)segments[i].iov_base + skip,
               segments[i].iov_len - skip);
        stream->out_end += segments[i].iov_len - skip;
        sent -= skip;
    }
}

ssize_t frame_stream_send(struct frame_stream *stream, struct iovec *segments, int count)
{
    size_t length = 0;
    uint32_t prefix;
    ssize_t sent;

    for (int i = 1; i < count; i++)
        length += segments[i].iov_len;
    if (length > UPLINK_FRAME_MAX)
        return -EMSGSIZE;
    if (!frame_stream_flush(stream))
        return -EAGAIN;
    prefix = htonl((uint32_t)length);
    segments[0] = (struct iovec){ .iov_base = &prefix, .iov_len = PREFIX };
    sent = writev(stream->fd, segments, count);
    if (sent < 0)
        return errno == EPIPE ? -EPIPE : socket_error(errno);
    if ((size_t)sent < PREFIX + length)
        keep_rest(stream, segments, count, (size_t)sent);
    return (ssize_t)length;
}
