/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console device (virtio 1.2, 5.3): the terminal as hvc0, and named ports.
 *
 * Port 0 is the terminal's, whether there is one or not; the others are those
 * of the options.  MULTIPORT, by which a driver learns of them, is offered only
 * where there are some: a plain console then is all there from the first
 * kick, and it learns of a resize by the configuration space, where Linux and
 * the specification agree on what comes first, columns or rows.
 *
 * Output.  A chain's bytes go to the back end.  What that does not take stays
 * in the chain, which is given back only when all of it has left: so the guest
 * waits, and nothing is copied or lost.  One chain a port is held like that.
 *
 * Input is read only into a buffer that the guest offers, and on a named port
 * only while the guest has it open: Linux drops what comes before.
 *
 * Control messages to the driver are not queued but owed: a bit for each kind
 * and port, turned into a message when the driver offers a buffer.  A driver
 * that asks for many and takes none costs nothing.
 */
#include "devices/virtio/console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/backend/console.h"

#define QUEUE_SIZE 64
#define BYTES_PER_KICK (1u << 20) /* of one port's output; then it is the others' turn */
#define INPUT_MAX (64u << 10)     /* into one buffer */

/* What is owed to the driver, in the order of sending. */
enum { OWE_ADD, OWE_CONSOLE, OWE_NAME, OWE_RESIZE, OWE_OPEN, OWE_COUNT };

static const uint16_t owed_events[] = {
    [OWE_ADD] = CONSOLE_PORT_ADD,   [OWE_CONSOLE] = CONSOLE_CONSOLE_PORT,
    [OWE_NAME] = CONSOLE_PORT_NAME, [OWE_RESIZE] = CONSOLE_RESIZE,
    [OWE_OPEN] = CONSOLE_PORT_OPEN,
};

struct port {
    struct virtio_console *console;
    uint32_t id;
    const char *name;       /* NULL for the terminal's */
    struct host_port *host; /* NULL for the terminal's */
    unsigned int owed;
    bool guest_open;
    bool told_open;
    bool holds; /* OUTPUT is not written out yet */
    struct virtio_chain output;
    struct chain_cursor cursor;
    struct iovec segments[QUEUE_SIZE];
};

struct virtio_console {
    struct virtio_device virtio;
    struct console *terminal; /* NULL: it is elsewhere */
    struct console_config config;
    struct log_limit misdirected;
    size_t port_count;
    struct port ports[];
};

static unsigned int rx_queue(const struct port *port)
{
    return port->id == 0 ? 0 : 2 * port->id + 2;
}

static unsigned int tx_queue(const struct port *port)
{
    return rx_queue(port) + 1;
}

static bool exists(const struct port *port)
{
    return port->host || port->console->terminal;
}

static bool is_open(const struct port *port)
{
    return port->host ? host_port_is_open(port->host) : port->console->terminal != NULL;
}

/* ---- output --------------------------------------------------------------- */

static size_t write_host(struct port *port, const uint8_t *bytes, size_t length)
{
    if (port->host)
        return host_port_write(port->host, bytes, length);
    return port->console->terminal ? console_write(port->console->terminal, bytes, length)
                                   : length;
}

/* Up to *BUDGET bytes of the chain that is held; true when it is all written. */
static bool write_chain(struct port *port, size_t *budget)
{
    struct iovec pieces[QUEUE_SIZE];
    struct chain_cursor next = port->cursor;
    int count = chain_slice(&next, *budget, pieces, QUEUE_SIZE);

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
static int hold_chain(struct port *port)
{
    struct virtqueue *queue = &port->console->virtio.queues[tx_queue(port)];
    int result = 1;

    if (port->holds)
        return 1;
    port->output = (struct virtio_chain){ .segments = port->segments, .capacity = QUEUE_SIZE };
    result = virtqueue_pop(queue, &port->output);
    if (result == 0 && virtqueue_enable_notify(queue))
        result = virtqueue_pop(queue, &port->output);
    port->holds = result == 1;
    port->cursor = chain_readable(&port->output);
    return result;
}

static void serve_output(struct port *port)
{
    struct virtio_device *virtio = &port->console->virtio;
    size_t budget = BYTES_PER_KICK;
    int result = 1;

    for (unsigned int i = 0; i < QUEUE_SIZE && budget > 0; i++) {
        result = hold_chain(port);
        if (result <= 0)
            break;
        if (!write_chain(port, &budget)) {
            result = budget == 0; /* else the back end tells of room */
            break;
        }
        virtqueue_push(&virtio->queues[tx_queue(port)], port->output.head, 0);
        port->holds = false;
    }
    if (result < 0)
        virtio_needs_reset(virtio, "a chain of output");
    else if (result > 0)
        virtio_kick_again(virtio, tx_queue(port));
    virtio_notify(virtio, tx_queue(port));
}

/* ---- input ---------------------------------------------------------------- */

static size_t read_host(struct port *port, uint8_t *bytes, size_t length)
{
    if (port->host)
        return host_port_read(port->host, bytes, length);
    return console_read(port->console->terminal, bytes, length);
}

/* 1: a buffer was filled or passed over; 0: no buffer, or no input; or -EPROTO. */
static int fill_buffer(struct port *port)
{
    struct virtqueue *queue = &port->console->virtio.queues[rx_queue(port)];
    struct iovec segments[QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = QUEUE_SIZE };
    size_t total = 0;
    int result = virtqueue_pop(queue, &chain);

    if (result == 0 && virtqueue_enable_notify(queue))
        result = virtqueue_pop(queue, &chain);
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

static void serve_input(struct port *port)
{
    struct virtio_device *virtio = &port->console->virtio;
    bool wanted = virtio_has(virtio, CONSOLE_F_MULTIPORT) ? port->guest_open : port->id == 0;
    int result = 1;

    if (!wanted || !exists(port))
        return;
    for (unsigned int i = 0; i < QUEUE_SIZE && result > 0; i++)
        result = fill_buffer(port);
    if (result < 0)
        virtio_needs_reset(virtio, "a buffer for input");
    else if (result > 0)
        virtio_kick_again(virtio, rx_queue(port));
    virtio_notify(virtio, rx_queue(port));
}

/* ---- control -------------------------------------------------------------- */

/* The size of the message about PORT into MESSAGE. */
static size_t make_message(struct port *port, unsigned int what, uint8_t *message)
{
    const struct console_config *config = &port->console->config;
    struct console_control control = { .port = port->id, .event = owed_events[what], .value = 1 };
    size_t length = sizeof(control);

    if (what == OWE_OPEN)
        control.value = port->told_open = is_open(port);
    if (what == OWE_RESIZE) {
        memcpy(message + length, &config->columns, 2);
        memcpy(message + length + 2, &config->rows, 2);
        length += 4;
    } else if (what == OWE_NAME) {
        memcpy(message + length, port->name, strlen(port->name));
        length += strlen(port->name);
    }
    memcpy(message, &control, sizeof(control));
    return length;
}

/* 1: sent; 0: the driver offers no buffer; or -EPROTO. */
static int send_message(struct port *port, unsigned int what)
{
    struct virtqueue *queue = &port->console->virtio.queues[CONSOLE_CONTROL_RX];
    struct iovec segments[QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = QUEUE_SIZE };
    uint8_t message[sizeof(struct console_control) + CONSOLE_NAME_MAX];
    struct chain_cursor cursor;
    size_t length;
    int result = virtqueue_pop(queue, &chain);

    if (result == 0 && virtqueue_enable_notify(queue))
        result = virtqueue_pop(queue, &chain);
    if (result <= 0)
        return result;
    length = make_message(port, what, message);
    if (chain.writable_bytes < length)
        return -EPROTO;
    cursor = chain_writable(&chain);
    chain_write(&cursor, message, length);
    virtqueue_push(queue, chain.head, (uint32_t)length);
    port->owed &= ~(1u << what);
    return 1;
}

static void send_owed(struct virtio_console *console)
{
    int result = 1;

    for (size_t p = 0; p < console->port_count && result > 0; p++)
        for (unsigned int what = 0; what < OWE_COUNT && result > 0; what++)
            if (console->ports[p].owed & 1u << what)
                result = send_message(&console->ports[p], what);
    if (result < 0)
        virtio_needs_reset(&console->virtio, "a buffer for control messages");
    virtio_notify(&console->virtio, CONSOLE_CONTROL_RX);
}

static void owe(struct port *port, unsigned int what)
{
    port->owed |= 1u << what;
}

/* The driver has set the port up: now it may learn what it is. */
static void introduce(struct port *port)
{
    owe(port, port->name ? OWE_NAME : OWE_CONSOLE);
    if (!port->name && port->console->virtio.offered & CONSOLE_F_SIZE)
        owe(port, OWE_RESIZE);
    owe(port, OWE_OPEN);
}

static void receive_control(struct virtio_console *console, const struct console_control *control)
{
    struct port *port;

    if (control->event == CONSOLE_DEVICE_READY) {
        for (size_t i = 0; control->value && i < console->port_count; i++)
            if (exists(&console->ports[i]))
                owe(&console->ports[i], OWE_ADD);
        return;
    }
    if (control->port >= console->port_count || !exists(&console->ports[control->port])) {
        log_limited(console->virtio.env.log, &console->misdirected, LOG_WARN,
                    "console: the guest's driver speaks of port %u, which there is not",
                    control->port);
        return;
    }
    port = &console->ports[control->port];
    if (control->event == CONSOLE_PORT_READY && control->value) {
        introduce(port);
    } else if (control->event == CONSOLE_PORT_OPEN) {
        port->guest_open = control->value;
        serve_input(port);
    }
}

/* 1, 0 when there is none, or -EPROTO. */
static int take_message(struct virtio_console *console)
{
    struct virtqueue *queue = &console->virtio.queues[CONSOLE_CONTROL_TX];
    struct iovec segments[QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = QUEUE_SIZE };
    struct console_control control;
    struct chain_cursor cursor;
    int result = virtqueue_pop(queue, &chain);

    if (result == 0 && virtqueue_enable_notify(queue))
        result = virtqueue_pop(queue, &chain);
    if (result <= 0)
        return result;
    cursor = chain_readable(&chain);
    if (chain_read(&cursor, &control, sizeof(control)) < sizeof(control))
        return -EPROTO;
    receive_control(console, &control);
    virtqueue_push(queue, chain.head, 0);
    return 1;
}

static void serve_control(struct virtio_console *console)
{
    int result = 1;

    for (unsigned int i = 0; i < QUEUE_SIZE && result > 0; i++)
        result = take_message(console);
    if (result < 0)
        virtio_needs_reset(&console->virtio, "a control message of less than 8 bytes");
    else if (result > 0)
        virtio_kick_again(&console->virtio, CONSOLE_CONTROL_TX);
    virtio_notify(&console->virtio, CONSOLE_CONTROL_TX);
    send_owed(console);
}

/* ---- the host's side ------------------------------------------------------ */

static void terminal_input(void *context)
{
    serve_input(&((struct virtio_console *)context)->ports[0]);
}

static void terminal_room(void *context)
{
    serve_output(&((struct virtio_console *)context)->ports[0]);
}

static void port_changed(void *context)
{
    struct port *port = context;

    if (virtio_has(&port->console->virtio, CONSOLE_F_MULTIPORT) &&
        is_open(port) != port->told_open) {
        owe(port, OWE_OPEN);
        send_owed(port->console);
    }
    serve_output(port);
    serve_input(port);
}

static void console_refresh(struct virtio_device *device)
{
    struct virtio_console *console = (struct virtio_console *)device;
    struct console_config before = console->config;

    if (!console->terminal ||
        !console_size(console->terminal, &console->config.columns, &console->config.rows) ||
        memcmp(&before, &console->config, sizeof(before)) == 0)
        return;
    if (virtio_has(device, CONSOLE_F_MULTIPORT)) {
        owe(&console->ports[0], OWE_RESIZE);
        virtio_kick_again(device, CONSOLE_CONTROL_RX);
    }
    virtio_config_changed(device);
}

/* ---- the class ------------------------------------------------------------ */

static void console_device_destroy(struct virtio_device *device)
{
    struct virtio_console *console = (struct virtio_console *)device;

    if (console->terminal)
        console_detach(console->terminal);
    for (size_t i = 0; i < console->port_count; i++)
        host_port_destroy(console->ports[i].host);
    free(console);
}

static int attach_terminal(struct virtio_console *console, struct error *error)
{
    const struct virtio_env *env = &console->virtio.env;
    const struct console_peer peer = {
        .lock = env->lock,
        .input_ready = terminal_input,
        .output_room = terminal_room,
        .context = console,
    };
    int result;

    if (!env->console)
        return 0;
    result = console_attach(env->console, env->loop, &peer, error);
    if (result < 0)
        return result;
    console->terminal = env->console;
    if (console_size(console->terminal, &console->config.columns, &console->config.rows))
        console->virtio.offered |= CONSOLE_F_SIZE;
    return 0;
}

static int open_ports(struct virtio_console *console, const struct virtio_console_options *options,
                      struct error *error)
{
    const struct virtio_env *env = &console->virtio.env;
    int result = 0;

    for (uint32_t i = 0; i < console->port_count; i++) {
        console->ports[i].console = console;
        console->ports[i].id = i;
    }
    for (size_t i = 0; options && i < options->count && result == 0; i++) {
        struct port *port = &console->ports[i + 1];
        const struct host_port_peer peer = {
            .lock = env->lock, .changed = port_changed, .context = port,
        };

        port->name = options->ports[i].name;
        result = host_port_create(&port->host, &options->ports[i].host, port->name, env->loop,
                                  &peer, env->log, error);
    }
    return result;
}

static int console_device_create(struct virtio_device **device, const struct virtio_env *env,
                                 const void *options, struct error *error)
{
    const struct virtio_console_options *ports = options;
    size_t count = 1 + (ports ? ports->count : 0);
    struct virtio_console *console = calloc(1, sizeof(*console) + count * sizeof(struct port));
    int result;

    if (!console)
        return error_system(error, ENOMEM, "--port");
    virtio_device_init(&console->virtio, &virtio_console_class, env,
                       (uint16_t)(count > 1 ? 2 * count + 2 : 2),
                       count > 1 ? CONSOLE_F_MULTIPORT : 0, (uint8_t *)&console->config);
    console->port_count = count;
    console->config.ports_max = (uint32_t)count;
    result = open_ports(console, ports, error);
    if (result == 0)
        result = attach_terminal(console, error);
    if (result < 0) {
        console_device_destroy(&console->virtio);
        return result;
    }
    *device = &console->virtio;
    return 0;
}

static void console_device_reset(struct virtio_device *device)
{
    struct virtio_console *console = (struct virtio_console *)device;

    for (size_t i = 0; i < console->port_count; i++) {
        struct port *port = &console->ports[i];

        port->owed = 0;
        port->guest_open = port->told_open = port->holds = false;
    }
}

static void console_kick(struct virtio_device *device, unsigned int queue)
{
    struct virtio_console *console = (struct virtio_console *)device;
    struct port *port = &console->ports[queue < 2 ? 0 : queue / 2 - 1];

    if (queue == CONSOLE_CONTROL_RX)
        send_owed(console);
    else if (queue == CONSOLE_CONTROL_TX)
        serve_control(console);
    else if (queue % 2 == 0)
        serve_input(port);
    else
        serve_output(port);
}

const struct virtio_device_class virtio_console_class = {
    .name = "console",
    .id = VIRTIO_ID_CONSOLE,
    .queue_size = QUEUE_SIZE,
    .config_size = sizeof(struct console_config),
    .single = true,
    .parse = virtio_console_parse,
    .release = virtio_console_release,
    .create = console_device_create,
    .destroy = console_device_destroy,
    .reset = console_device_reset,
    .kick = console_kick,
    .refresh = console_refresh,
};
