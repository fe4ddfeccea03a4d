/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SOCKET_HANDOFF_H
#define MOTE_SOCKET_HANDOFF_H

/*
 * Connections handed to another process, for which there need be no path in any
 * file system: each is a new socket pair, one end of which goes with its port
 * over a socket of messages (AF_UNIX, SOCK_SEQPACKET) that the two share.
 */

#include <stdint.h>

/* A new stream for PORT, whose other end went over FD; non-blocking.  Or a negative errno. */
int socket_handoff_send(int fd, uint32_t port);

/*
 * The next one that came over FD, non-blocking, and its *PORT.  -EAGAIN: none
 * is there; -ENOTCONN: the other process is gone; -EPROTO: a message that is
 * no connection, which its sender never makes: a guest has broken into it.
 * What is returned is a connected unix stream; the sender may still share it.
 */
int socket_handoff_receive(int fd, uint32_t *port);

#endif
