/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/host_port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/backend/host_stream.h"
#include "devices/backend/unix_listener.h"
#include "vmm/base/cleanup.h"

#define THING_MAX 96

/* One direction.  It is in the loop only while it waits. */
struct half {
    struct host_port *port;
    struct host_stream stream;
    bool waiting;
    bool ended;
};

struct host_port {
    enum host_port_kind kind;
    const char *name;
    struct event_loop *loop;
    struct host_port_peer peer;
    struct log *log;
    struct unix_listener listener;
    struct half in, out;
};

static void half_ready(void *context, uint32_t events);

static void stop_waiting(struct half *half)
{
    if (half->waiting)
        event_loop_remove(half->port->loop, half->stream.fd);
    half->waiting = false;
}

/* With EVENTS 0, until the peer has left altogether. */
static void wait_for(struct half *half, uint32_t events)
{
    struct event_source source = {
        .fd = half->stream.fd,
        .events = events,
        .handler = half_ready,
        .context = half,
        .lock = half->port->peer.lock,
    };

    half->waiting = event_loop_add(half->port->loop, &source) == 0;
    if (!half->waiting)
        half->ended = true; /* no memory for a wait: better than to spin */
}

static void close_half(struct half *half)
{
    stop_waiting(half);
    host_stream_close(&half->stream);
    half->ended = true;
}

static int open_half(struct host_port *port, struct half *half, int fd,
                     enum host_direction direction, struct error *error)
{
    char thing[THING_MAX];
    int result;

    snprintf(thing, sizeof(thing), "--port %s", port->name);
    result = host_stream_open(&half->stream, fd, direction, thing, error);
    half->ended = result < 0;
    return result;
}

/* The socket's peer has left: the next one may come. */
static void disconnect(struct host_port *port)
{
    close_half(&port->in);
    close_half(&port->out);
    event_loop_modify(port->loop, port->listener.fd, EPOLLIN | EPOLLET);
}

static void half_ready(void *context, uint32_t events)
{
    struct half *half = context;
    struct host_port *port = half->port;

    (void)events;
    stop_waiting(half);
    if (half->ended && port->kind == HOST_PORT_UNIX)
        disconnect(port);
    port->peer.changed(port->peer.context);
}

bool host_port_is_open(const struct host_port *port)
{
    if (port->kind == HOST_PORT_UNIX)
        return port->in.stream.fd >= 0;
    return !port->in.ended || !port->out.ended;
}

size_t host_port_read(struct host_port *port, uint8_t *bytes, size_t length)
{
    struct half *in = &port->in;
    ssize_t result;

    if (in->ended || in->waiting || length == 0)
        return 0;
    result = host_stream_read(&in->stream, bytes, length);
    if (result > 0)
        return (size_t)result;
    if (result == -EAGAIN) {
        wait_for(in, EPOLLIN);
        return 0;
    }
    in->ended = true;
    /* It may have ended its half alone, and still read. */
    if (port->kind == HOST_PORT_UNIX)
        wait_for(in, 0);
    return 0;
}

static void output_failed(struct host_port *port, int number)
{
    if (port->kind == HOST_PORT_UNIX) {
        disconnect(port);
        return;
    }
    port->out.ended = true;
    log_limited(port->log, NULL, LOG_WARN,
                "port %s: %s; what the guest writes there from here on is dropped", port->name,
                strerror(number));
}

size_t host_port_write(struct host_port *port, const uint8_t *bytes, size_t length)
{
    size_t done = 0;

    if (port->out.waiting)
        return 0;
    while (done < length && !port->out.ended) {
        ssize_t result = host_stream_write(&port->out.stream, bytes + done, length - done);

        if (result == -EAGAIN) {
            wait_for(&port->out, EPOLLOUT);
            return done;
        }
        if (result < 0)
            output_failed(port, (int)-result);
        else
            done += (size_t)result;
    }
    return length;
}

/* ---- opening -------------------------------------------------------------- */

/* Told of once (EPOLLET): one for whom no descriptor is left waits for the next, and keeps nobody busy. */
static void peer_arrived(void *context, uint32_t events)
{
    struct host_port *port = context;
    cleanup_fd int fd = unix_listener_accept(&port->listener);
    struct error error = ERROR_INIT;

    (void)events;
    if (fd < 0 || port->in.stream.fd >= 0)
        return;
    if (open_half(port, &port->in, fd, HOST_INPUT, &error) < 0 ||
        open_half(port, &port->out, fd, HOST_OUTPUT, &error) < 0) {
        log_warn(port->log, "%s", error.message);
        close_half(&port->in);
        return;
    }
    event_loop_modify(port->loop, port->listener.fd, 0);
    port->peer.changed(port->peer.context);
}

static int open_socket(struct host_port *port, const struct host_port_options *options,
                       struct error *error)
{
    struct event_source source = {
        .events = EPOLLIN | EPOLLET, .handler = peer_arrived, .context = port, .lock = port->peer.lock,
    };
    char option[THING_MAX];
    int result;

    snprintf(option, sizeof(option), "port %s", port->name);
    if (options->listener)
        result = unix_listener_borrow(&port->listener, options->listener, error);
    else
        result = unix_listener_open(&port->listener, option, options->path, error);
    if (result < 0)
        return result;
    source.fd = port->listener.fd;
    result = event_loop_add(port->loop, &source);
    return result < 0 ? error_system(error, -result, "--port %s", port->name) : 0;
}

static int open_file(struct host_port *port, const char *path, struct error *error)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK |
                                       O_CLOEXEC, 0666);

    if (fd >= 0)
        return open_half(port, &port->out, fd, HOST_OUTPUT, error);
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        return error_set(error, errno, "--port %s: file %s: its directory does not exist; "
                         "create it", port->name, path);
    case EISDIR:
        return error_set(error, errno, "--port %s: file %s: is a directory; name a file in it",
                         port->name, path);
    case EACCES:
    case EROFS:
        return error_set(error, errno, "--port %s: file %s: %s; use one that you may write",
                         port->name, path, strerror(errno));
    case ENXIO:
        return error_set(error, errno, "--port %s: file %s: is a FIFO without a reader; start "
                         "its reader first", port->name, path);
    default:
        return error_system(error, errno, "--port %s: file %s", port->name, path);
    }
}

/* In the directions that it is open for. */
static int open_descriptor(struct host_port *port, int fd, struct error *error)
{
    int flags = fcntl(fd, F_GETFL), result = 0;

    if (flags < 0)
        return error_system(error, errno, "--port %s: descriptor %d", port->name, fd);
    if ((flags & O_ACCMODE) != O_WRONLY)
        result = open_half(port, &port->in, fd, HOST_INPUT, error);
    if (result == 0 && (flags & O_ACCMODE) != O_RDONLY)
        result = open_half(port, &port->out, fd, HOST_OUTPUT, error);
    return result;
}

static int open_host(struct host_port *port, const struct host_port_options *options,
                     struct error *error)
{
    switch (options->kind) {
    case HOST_PORT_FILE:
        return open_file(port, options->path, error);
    case HOST_PORT_UNIX:
        return open_socket(port, options, error);
    case HOST_PORT_FD:
        return open_descriptor(port, options->fd, error);
    }
    return -EINVAL;
}

int host_port_create(struct host_port **port, const struct host_port_options *options,
                     const char *name, struct event_loop *loop,
                     const struct host_port_peer *peer, struct log *log, struct error *error)
{
    struct host_port *created = calloc(1, sizeof(*created));
    int result;

    if (!created)
        return error_system(error, ENOMEM, "--port %s", name);
    *created = (struct host_port){
        .kind = options->kind,
        .name = name,
        .loop = loop,
        .peer = *peer,
        .log = log,
        .listener = UNIX_LISTENER_INIT,
        .in = { .port = created, .stream.fd = -1, .ended = true },
        .out = { .port = created, .stream.fd = -1, .ended = true },
    };
    result = open_host(created, options, error);
    if (result < 0) {
        host_port_destroy(created);
        return result;
    }
    *port = created;
    return 0;
}

int host_port_open_host(struct host_port_options *options, const char *name, struct error *error)
{
    char option[THING_MAX];

    if (options->kind != HOST_PORT_UNIX)
        return 0;
    snprintf(option, sizeof(option), "port %s", name);
    return unix_listener_make(&options->listener, option, options->path, error);
}

void host_port_close_host(struct host_port_options *options)
{
    unix_listener_destroy(options->listener);
    options->listener = NULL;
}

void host_port_destroy(struct host_port *port)
{
    if (!port)
        return;
    close_half(&port->in);
    close_half(&port->out);
    if (port->listener.fd >= 0)
        event_loop_remove(port->loop, port->listener.fd);
    unix_listener_close(&port->listener);
    free(port);
}
