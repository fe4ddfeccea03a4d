/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SOCKET_BROKER_H
#define MOTE_SOCKET_BROKER_H

/*
 * Connects to sockets by path for a process that sees no file system.
 *
 * A monitor in its jail asks for a port, its supervisor connects to
 * PREFIX_<port> and hands the descriptor over.  Nothing but the port comes from
 * the monitor: whoever has broken into it reaches the sockets that the guest may
 * reach anyway.  A question is answered before the next is asked, and neither
 * side waits for the socket's peer.  So many questions in a second are answered,
 * more than a sound monitor asks; the others wait, and cost nothing meanwhile.
 */

#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"

struct socket_broker;

/*
 * In the supervisor, before the monitor is made, which inherits its end; LOOP is
 * the supervisor's.  DESTROY, after the monitor's end, in the supervisor alone.
 */
int socket_broker_create(struct socket_broker **broker, const char *prefix,
                         struct event_loop *loop, struct error *error);
void socket_broker_destroy(struct socket_broker *broker);

/* In the monitor: a non-blocking stream to PORT, or a negative errno. */
int socket_broker_connect(const struct socket_broker *broker, uint32_t port);

#endif
