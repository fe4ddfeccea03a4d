/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor keeps for the ports of a console device in its jail. */
#include "devices/virtio/console.h"

int virtio_console_open_host(struct virtio_console_options *console, struct event_loop *loop, struct error *error)
{
    int result = 0;

    (void)loop;
    for (size_t i = 0; result == 0 && i < console->count; i++)
        result = host_port_open_host(&console->ports[i].host, console->ports[i].name, error);
    return result;
}

void virtio_console_close_host(struct virtio_console_options *console)
{
    for (size_t i = 0; i < console->count; i++)
        host_port_close_host(&console->ports[i].host);
}
