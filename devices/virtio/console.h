/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_CONSOLE_H
#define MOTE_VIRTIO_CONSOLE_H

/* The console device's options, and its messages as guest and host share them (virtio 1.2, 5.3). */

#include <stdint.h>

#include "devices/backend/host_port.h"
#include "devices/virtio/device.h"

/* The console's is the first; its queues and those for control take six, each other two. */
#define CONSOLE_PORTS_MAX (VIRTIO_QUEUES_MAX / 2 - 1)
#define CONSOLE_NAME_MAX 64

#define CONSOLE_F_SIZE (1ull << 0)
#define CONSOLE_F_MULTIPORT (1ull << 1)

enum { CONSOLE_CONTROL_RX = 2, CONSOLE_CONTROL_TX = 3 };

/* 5.3.4 */
struct console_config {
    uint16_t columns;
    uint16_t rows;
    uint32_t ports_max;
    uint32_t emergency;
};
_Static_assert(sizeof(struct console_config) == 12, "virtio 1.2, 5.3.4");

/* 5.3.6.2 */
struct console_control {
    uint32_t port;
    uint16_t event;
    uint16_t value;
};
_Static_assert(sizeof(struct console_control) == 8, "virtio 1.2, 5.3.6.2");

enum {
    CONSOLE_DEVICE_READY,
    CONSOLE_PORT_ADD,
    CONSOLE_PORT_REMOVE,
    CONSOLE_PORT_READY,
    CONSOLE_CONSOLE_PORT,
    CONSOLE_RESIZE,
    CONSOLE_PORT_OPEN,
    CONSOLE_PORT_NAME,
};

/* Of all --port options together; --console virtio alone has none. */
struct virtio_console_options {
    size_t count;
    struct virtio_console_port {
        const char *name;
        struct host_port_options host;
    } ports[CONSOLE_PORTS_MAX - 1];
};

/*
 * In the supervisor, around each monitor: opens, into what it was given, what a jailed one could neither open nor remove, and closes it.
 * LOOP is the supervisor's.  Without it the device opens all itself.
 */
int virtio_console_open_host(struct virtio_console_options *console, struct event_loop *loop, struct error *error);
void virtio_console_close_host(struct virtio_console_options *console);

extern const struct virtio_device_class virtio_console_class;

#endif
