/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/console_port.h"

#include "devices/backend/console.h"

#define BYTES_PER_KICK (1u << 20) /* of one port's output; then it is the others' turn */
#define INPUT_MAX (64u << 10)     /* into one buffer */

/* ---- output --------------------------------------------------------------- */

static size_t write_host(struct console_port *port, const uint8_t *bytes, size_t length)
{
    if (port->host)
        return host_port_write(port->host, bytes, length);
    return port->console->terminal ? console_write(port->console->terminal, bytes, length)
                                   : length;
}

/* Up to *BUDGET bytes of the chain that is held; true when it is all written. */
static bool write_chain(struct console_port *port, size_t *budget)
{
    struct iovec pieces[CONSOLE_QUEUE_SIZE];
    struct chain_cursor next = port->cursor;
    int count = chain_slice(&next, *budget, pieces, CONSOLE_QUEUE_SIZE);

    for (int i = 0; i < count; i++) {
        size_t written = write_host(port, pieces[i].iov_base, pieces[i].iov_len);

        chain_skip(&port->cursor, written);
        *budget -= written;
        if (written < pieces[i].iov_len)
            return false;
    }
    return chain_left(&port->cursor) == 0;
}

/* 1: PORT holds a chain; 0: there is none; or -EPROTO. */
static int hold_chain(struct console_port *port)
{
    struct virtqueue *queue = &port->console->virtio.queues[console_port_tx(port)];
    int result = 1;

    if (port->holds)
        return 1;
    port->output = (struct virtio_chain){
        .segments = port->segments, .capacity = CONSOLE_QUEUE_SIZE,
    };
    result = virtqueue_pop_or_enable_notify(queue, &port->output);
    port->holds = result == 1;
    port->cursor = chain_readable(&port->output);
    if (port->holds) {
        chain_skip(&port->cursor, port->written);
        port->written = 0;
    }
    return result;
}

void console_port_release(struct console_port *port)
{
    if (!port->holds)
        return;
    port->holds = false;
    port->written = port->output.readable_bytes - chain_left(&port->cursor);
    virtqueue_unpop(&port->console->virtio.queues[console_port_tx(port)], port->output.head);
}

void console_port_serve_output(struct console_port *port)
{
    struct virtio_device *virtio = &port->console->virtio;
    size_t budget = BYTES_PER_KICK;
    int result = 1;

    for (unsigned int i = 0; i < CONSOLE_QUEUE_SIZE && budget > 0; i++) {
        result = hold_chain(port);
        if (result <= 0)
            break;
        if (!write_chain(port, &budget)) {
            result = budget == 0; /* else the back end tells of room */
            break;
        }
        virtqueue_push(&virtio->queues[console_port_tx(port)], port->output.head, 0);
        port->holds = false;
    }
    if (result < 0)
        virtio_needs_reset(virtio, "a chain of output");
    else if (result > 0)
        virtio_kick_again(virtio, console_port_tx(port));
    virtio_notify(virtio, console_port_tx(port));
}

/* ---- input ---------------------------------------------------------------- */

static size_t read_host(struct console_port *port, uint8_t *bytes, size_t length)
{
    if (port->host)
        return host_port_read(port->host, bytes, length);
    return console_read(port->console->terminal, bytes, length);
}

/* 1: a buffer was filled or passed over; 0: no buffer, or no input; or -EPROTO. */
static int fill_buffer(struct console_port *port)
{
    struct virtqueue *queue = &port->console->virtio.queues[console_port_rx(port)];
    struct iovec segments[CONSOLE_QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = CONSOLE_QUEUE_SIZE };
    size_t total = 0;
    int result = virtqueue_pop_or_enable_notify(queue, &chain);

    if (result <= 0)
        return result;
    for (uint16_t i = chain.readable; i < chain.count && total < INPUT_MAX; i++) {
        size_t length = segments[i].iov_len < INPUT_MAX ? segments[i].iov_len : INPUT_MAX;
        size_t got = read_host(port, segments[i].iov_base, length);

        total += got;
        if (got < length)
            break;
    }
    if (total == 0 && chain.writable_bytes > 0) {
        virtqueue_unpop(queue, chain.head);
        return 0;
    }
    virtqueue_push(queue, chain.head, (uint32_t)total);
    return 1;
}

void console_port_serve_input(struct console_port *port)
{
    struct virtio_device *virtio = &port->console->virtio;
    bool wanted = virtio_has(virtio, CONSOLE_F_MULTIPORT) ? port->guest_open : port->id == 0;
    int result = 1;

    if (!wanted || !console_port_exists(port))
        return;
    for (unsigned int i = 0; i < CONSOLE_QUEUE_SIZE && result > 0; i++)
        result = fill_buffer(port);
    if (result < 0)
        virtio_needs_reset(virtio, "a buffer for input");
    else if (result > 0)
        virtio_kick_again(virtio, console_port_rx(port));
    virtio_notify(virtio, console_port_rx(port));
}
