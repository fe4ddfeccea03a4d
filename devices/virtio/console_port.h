/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_CONSOLE_PORT_H
#define MOTE_VIRTIO_CONSOLE_PORT_H

/*
 * One port of the console device: its bytes between guest and host.
 *
 * Output.  A chain's bytes go to the back end.  What that does not take stays
 * in the chain, which is given back only when all of it has left: so the guest
 * waits, and nothing is copied or lost.  One chain a port is held like that.
 *
 * Input is read only into a buffer that the guest offers, and on a named port
 * only while the guest has it open: Linux drops what comes before.
 */

#include "devices/virtio/console.h"

#define CONSOLE_QUEUE_SIZE 64

/* More than the lines of a kernel that sets up its console. */
#define SIZE_REMINDERS 128

/* What is owed to the driver, in the order of sending: bits of console_port.owed. */
enum { OWE_ADD, OWE_CONSOLE, OWE_NAME, OWE_RESIZE, OWE_OPEN, OWE_COUNT };

struct console;
struct virtio_console;

struct console_port {
    struct virtio_console *console;
    uint32_t id;
    const char *name;       /* NULL for the terminal's */
    struct host_port *host; /* NULL for the terminal's */
    unsigned int owed;
    bool guest_open;
    bool told_open;
    bool holds; /* OUTPUT is not written out yet */
    uint64_t written; /* bytes of the next chain of output that the host has already */
    struct virtio_chain output;
    struct chain_cursor cursor;
    struct iovec segments[CONSOLE_QUEUE_SIZE];
};

struct virtio_console {
    struct virtio_device virtio;
    struct console *terminal; /* NULL: it is elsewhere */
    struct console_config config;
    struct log_limit misdirected;
    unsigned int outputs; /* kicks since the reset, up to SIZE_REMINDERS */
    size_t port_count;
    struct console_port ports[];
};

/* The port's queues, by number (5.3.2). */
static inline unsigned int console_port_rx(const struct console_port *port)
{
    return port->id == 0 ? 0 : 2 * port->id + 2;
}

static inline unsigned int console_port_tx(const struct console_port *port)
{
    return console_port_rx(port) + 1;
}

/* Port 0 is not there when the terminal is elsewhere. */
static inline bool console_port_exists(const struct console_port *port)
{
    return port->host || port->console->terminal;
}

/* Whether somebody is at its other end. */
static inline bool console_port_is_open(const struct console_port *port)
{
    return port->host ? host_port_is_open(port->host) : port->console->terminal != NULL;
}

/* The chain that is held is the queue's again; what of it the host has is not written twice. */
void console_port_release(struct console_port *port);

/* The class's, see device.h. */
#define CONSOLE_STATE_VERSION 1
void virtio_console_state(struct virtio_device *device, struct state *state);
void virtio_console_drain(struct virtio_device *device);

/* Move what there is, as far as it goes; on the loop's thread. */
void console_port_serve_output(struct console_port *port);
void console_port_serve_input(struct console_port *port);

#endif
