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
 * Control messages to the driver are not queued but owed: a bit for each kind
 * and port, turned into a message when the driver offers a buffer.  A driver
 * that asks for many and takes none costs nothing.
 */
#include "devices/virtio/console_port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/backend/console.h"

static const uint16_t owed_events[] = {
    [OWE_ADD] = CONSOLE_PORT_ADD,   [OWE_CONSOLE] = CONSOLE_CONSOLE_PORT,
    [OWE_NAME] = CONSOLE_PORT_NAME, [OWE_RESIZE] = CONSOLE_RESIZE,
    [OWE_OPEN] = CONSOLE_PORT_OPEN,
};

/* ---- control -------------------------------------------------------------- */

/* The size of the message about PORT into MESSAGE. */
static size_t make_message(struct console_port *port, unsigned int what, uint8_t *message)
{
    const struct console_config *config = &port->console->config;
    struct console_control control = { .port = port->id, .event = owed_events[what], .value = 1 };
    size_t length = sizeof(control);

    if (what == OWE_OPEN)
        control.value = port->told_open = console_port_is_open(port);
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
static int send_message(struct console_port *port, unsigned int what)
{
    struct virtqueue *queue = &port->console->virtio.queues[CONSOLE_CONTROL_RX];
    struct iovec segments[CONSOLE_QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = CONSOLE_QUEUE_SIZE };
    uint8_t message[sizeof(struct console_control) + CONSOLE_NAME_MAX];
    struct chain_cursor cursor;
    size_t length;
    int result = virtqueue_pop_or_enable_notify(queue, &chain);

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

static void owe(struct console_port *port, unsigned int what)
{
    port->owed |= 1u << what;
}

/* The driver has set the port up: now it may learn what it is. */
static void introduce(struct console_port *port)
{
    owe(port, port->name ? OWE_NAME : OWE_CONSOLE);
    if (!port->name && port->console->virtio.offered & CONSOLE_F_SIZE)
        owe(port, OWE_RESIZE);
    owe(port, OWE_OPEN);
}

static void receive_control(struct virtio_console *console, const struct console_control *control)
{
    struct console_port *port;

    if (control->event == CONSOLE_DEVICE_READY) {
        for (size_t i = 0; control->value && i < console->port_count; i++)
            if (console_port_exists(&console->ports[i]))
                owe(&console->ports[i], OWE_ADD);
        return;
    }
    if (control->port >= console->port_count ||
        !console_port_exists(&console->ports[control->port])) {
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
        console_port_serve_input(port);
    }
}

/* 1, 0 when there is none, or -EPROTO. */
static int take_message(struct virtio_console *console)
{
    struct virtqueue *queue = &console->virtio.queues[CONSOLE_CONTROL_TX];
    struct iovec segments[CONSOLE_QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = CONSOLE_QUEUE_SIZE };
    struct console_control control;
    struct chain_cursor cursor;
    int result = virtqueue_pop_or_enable_notify(queue, &chain);

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

    for (unsigned int i = 0; i < CONSOLE_QUEUE_SIZE && result > 0; i++)
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
    console_port_serve_input(&((struct virtio_console *)context)->ports[0]);
}

static void terminal_room(void *context)
{
    console_port_serve_output(&((struct virtio_console *)context)->ports[0]);
}

static void port_changed(void *context)
{
    struct console_port *port = context;

    if (virtio_has(&port->console->virtio, CONSOLE_F_MULTIPORT) &&
        console_port_is_open(port) != port->told_open) {
        owe(port, OWE_OPEN);
        send_owed(port->console);
    }
    console_port_serve_output(port);
    console_port_serve_input(port);
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
        struct console_port *port = &console->ports[i + 1];
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
    struct virtio_console *console;
    int result;

    console = calloc(1, sizeof(*console) + count * sizeof(console->ports[0]));
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

    console->outputs = 0;
    for (size_t i = 0; i < console->port_count; i++) {
        struct console_port *port = &console->ports[i];

        port->owed = 0;
        port->guest_open = port->told_open = port->holds = false;
        port->written = 0;
    }
}

/*
 * Linux reads the size in the configuration space only after an interrupt that
 * says it changed, and forgets one that comes before its console is set up,
 * which no register tells.  So its first outputs each bring one: the console
 * was there before whatever may ask for the size.
 */
static void remind_of_size(struct virtio_console *console)
{
    if (console->outputs >= SIZE_REMINDERS || !virtio_has(&console->virtio, CONSOLE_F_SIZE) ||
        virtio_has(&console->virtio, CONSOLE_F_MULTIPORT))
        return;
    console->outputs++;
    virtio_config_changed(&console->virtio);
}

static void console_kick(struct virtio_device *device, unsigned int queue)
{
    struct virtio_console *console = (struct virtio_console *)device;
    struct console_port *port = &console->ports[queue < 2 ? 0 : queue / 2 - 1];

    if (queue == CONSOLE_CONTROL_RX)
        send_owed(console);
    else if (queue == CONSOLE_CONTROL_TX)
        serve_control(console);
    else if (queue % 2 == 0)
        console_port_serve_input(port);
    else
        console_port_serve_output(port);
    if (queue == 1)
        remind_of_size(console);
}

const struct virtio_device_class virtio_console_class = {
    .name = "console",
    .id = VIRTIO_ID_CONSOLE,
    .queue_size = CONSOLE_QUEUE_SIZE,
    .config_size = sizeof(struct console_config),
    .create = console_device_create,
    .destroy = console_device_destroy,
    .reset = console_device_reset,
    .kick = console_kick,
    .refresh = console_refresh,
    .state = virtio_console_state,
    .state_version = CONSOLE_STATE_VERSION,
    .dispensable = CONSOLE_F_SIZE, /* the size stays what it was */
    .drain = virtio_console_drain,
};
