/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/host_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/reopen.h"

static int duplicate(int fd)
{
    /* Above standard error, should the user have closed one of the first three. */
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int host_stream_open(struct host_stream *stream, int fd, enum host_direction direction,
                     const char *thing, struct error *error)
{
    int unfit = direction == HOST_INPUT ? O_WRONLY : O_RDONLY;
    struct stat status;
    bool terminal;
    int flags;

    *stream = (struct host_stream){ .fd = -1, .limit = SSIZE_MAX };
    if (fd < 0)
        return 0;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &status) < 0)
        return error_system(error, errno, "%s: descriptor %d", thing, fd);
    if ((flags & O_ACCMODE) == unfit || flags & O_PATH)
        return error_set(error, EBADF, "%s: descriptor %d is not open for %s; redirect it", thing,
                         fd, direction == HOST_INPUT ? "reading" : "writing");

    stream->socket = S_ISSOCK(status.st_mode);
    terminal = S_ISCHR(status.st_mode) && isatty(fd);
    if (S_ISFIFO(status.st_mode) || terminal)
        stream->fd = reopen(fd, (direction == HOST_INPUT ? O_RDONLY : O_WRONLY) | O_NONBLOCK);
    if (stream->fd >= 0)
        return 0;
    stream->fd = duplicate(fd);
    if (stream->fd < 0)
        return error_system(error, errno, "%s: descriptor %d", thing, fd);
    if (!stream->socket && !S_ISREG(status.st_mode)) {
        stream->poll_first = true;
        stream->limit = terminal && direction == HOST_OUTPUT ? 1 : PIPE_BUF;
    }
    return 0;
}

void host_stream_close(struct host_stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

/* Errors and hang-up count as ready: the call itself then tells which. */
static bool is_ready(const struct host_stream *stream, short events)
{
    struct pollfd poll_fd = { .fd = stream->fd, .events = events };

    return !stream->poll_first || poll(&poll_fd, 1, 0) > 0;
}

ssize_t host_stream_read(const struct host_stream *stream, uint8_t *bytes, size_t length)
{
    ssize_t result;

    if (length > stream->limit)
        length = stream->limit;
    do {
        if (!is_ready(stream, POLLIN))
            return -EAGAIN;
        result = stream->socket ? recv(stream->fd, bytes, length, MSG_DONTWAIT)
                                : read(stream->fd, bytes, length);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

ssize_t host_stream_write(const struct host_stream *stream, const uint8_t *bytes, size_t length)
{
    ssize_t result;

    if (length > stream->limit)
        length = stream->limit;
    do {
        if (!is_ready(stream, POLLOUT))
            return -EAGAIN;
        result = stream->socket ? send(stream->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL)
                                : write(stream->fd, bytes, length);
    } while (result < 0 && errno == EINTR);
    if (result < 0)
        return -errno;
    return result > 0 ? result : -EAGAIN;
}
