/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SERIAL_BENCH_H
#define MOTE_SERIAL_BENCH_H

/* The serial port under test: a console, and a driver that pokes its registers. */

#include "tests/support/fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/registry.h"
#include "devices/serial.h"
#include "devices/serial_registers.h"

/* A port on a console whose far end is HOST, a non-blocking socket. */
struct port {
    struct fixture fixture;
    struct console *console;
    struct device *device;
    int host;
};

static inline int set_up(void **state)
{
    struct port *port = calloc(1, sizeof(*port));

    fixture_init(&port->fixture);
    port->host = fixture_terminal(&port->fixture);
    port->console = port->fixture.env.console;
    port->device = device_make(&port->fixture, &serial_ops, NULL);
    *state = port;
    return 0;
}

static inline int tear_down(void **state)
{
    struct port *port = *state;

    port->device->ops->destroy(port->device);
    console_destroy(port->console);
    fixture_release(&port->fixture);
    close(port->host);
    free(port);
    return 0;
}

static inline uint8_t in(struct port *port, uint64_t offset)
{
    return device_in(port->device, offset);
}

static inline void out(struct port *port, uint64_t offset, uint8_t value)
{
    device_out(port->device, offset, value);
}

static inline void run(struct port *port)
{
    run_loop_for(port->fixture.env.loop, 10);
}

static inline void type(struct port *port, const char *text)
{
    assert_int_equal(write(port->host, text, strlen(text)), strlen(text));
    run(port);
}

/* As a driver leaves the port: FIFO on, OUT2, RTS, DTR. */
static inline void open_port(struct port *port)
{
    out(port, REG_IIR, FCR_ENABLE);
    out(port, REG_MCR, MCR_OUT2 | MCR_RTS | MCR_DTR);
}

#endif
