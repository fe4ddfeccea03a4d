/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver was told of the ports, what it is still owed, and how far the
 * output that it waits for has got.  Bytes that the host's side holds belong to
 * the VM that was saved, which writes them.  Where the other ends of the ports
 * or the terminal's size differ from what the driver knows, it hears of that.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/console_port.h"
#include "vmm/machine/state.h"

void virtio_console_drain(struct virtio_device *device)
{
    struct virtio_console *console = (struct virtio_console *)device;

    for (size_t i = 0; i < console->port_count; i++)
        console_port_release(&console->ports[i]);
}

/* What can be owed to the driver about PORT. */
static unsigned int possible_debts(const struct console_port *port)
{
    if (!console_port_exists(port))
        return 0;
    return 1u << OWE_ADD | 1u << OWE_OPEN |
           (port->name ? 1u << OWE_NAME : 1u << OWE_CONSOLE | 1u << OWE_RESIZE);
}

static void name_state(struct console_port *port, struct state *state)
{
    char *name = state_is_loading(state) ? NULL : (char *)(uintptr_t)port->name;
    bool same;

    state_text(state, &name, CONSOLE_NAME_MAX);
    if (!state_is_loading(state))
        return;
    same = name && port->name ? strcmp(name, port->name) == 0 : !name && !port->name;
    state_require(state, same, "the name of a port");
    free(name);
}

static void port_state(struct console_port *port, struct state *state)
{
    bool is_open = console_port_exists(port) && console_port_is_open(port), was_open = is_open;
    uint32_t owed = port->owed;

    name_state(port, state);
    state_u32(state, &owed);
    state_bool(state, &port->guest_open);
    state_bool(state, &port->told_open);
    state_bool(state, &was_open);
    state_u64(state, &port->written);
    state_require(state, (owed & ~possible_debts(port)) == 0, "what is owed about a port");
    state_require(state, port->written <= UINT32_MAX, "how much of a chain is written");
    if (!state_is_loading(state) || !state_is_sound(state))
        return;
    port->owed = owed;
    /* As if the other end had come or gone just now. */
    if (virtio_has(&port->console->virtio, CONSOLE_F_MULTIPORT) && is_open != was_open &&
        is_open != port->told_open)
        port->owed |= 1u << OWE_OPEN;
}

static void size_state(struct virtio_console *console, struct state *state)
{
    struct console_config *config = &console->config;
    uint16_t columns = config->columns, rows = config->rows;

    state_u16(state, &columns);
    state_u16(state, &rows);
    if (!state_is_loading(state) || !state_is_sound(state))
        return;
    if (!(console->virtio.offered & CONSOLE_F_SIZE)) {
        config->columns = columns;
        config->rows = rows;
    } else if (columns != config->columns || rows != config->rows) {
        if (virtio_has(&console->virtio, CONSOLE_F_MULTIPORT))
            console->ports[0].owed |= 1u << OWE_RESIZE;
        virtio_config_changed(&console->virtio);
    }
}

void virtio_console_state(struct virtio_device *device, struct state *state)
{
    struct virtio_console *console = (struct virtio_console *)device;
    uint32_t ports = (uint32_t)console->port_count, outputs = console->outputs;

    state_u32(state, &ports);
    state_u32(state, &outputs);
    state_require(state, ports == console->port_count, "the number of ports");
    state_require(state, outputs <= SIZE_REMINDERS, "the number of reminders");
    if (state_is_loading(state))
        console->outputs = state_is_sound(state) ? outputs : 0;
    for (size_t i = 0; i < console->port_count; i++)
        port_state(&console->ports[i], state);
    size_state(console, state);
}
