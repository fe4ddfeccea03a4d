/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VSOCK_OUTPUT_H
#define MOTE_VSOCK_OUTPUT_H

/* A connection's direction to the host, for vsock_connection.c, which tells how it works. */

#include "devices/virtio/vsock_connection.h"

/* A data packet's LENGTH bytes at PAYLOAD. */
void vsock_receive_data(struct vsock_connection *connection, size_t length,
                        struct chain_cursor *payload);

/* Writes what the ring holds, as far as the socket takes it. */
void vsock_flush_ring(struct vsock_connection *connection);
void vsock_drop_ring(struct vsock_connection *connection);

/* LENGTH bytes of the guest's left for the host, or are dropped for good. */
void vsock_forwarded(struct vsock_connection *connection, size_t length);

/* The guest is told by SHUTDOWN what we will not do any more. */
void vsock_owe_shutdown(struct vsock_connection *connection, uint32_t flags);

/* Ends it by RST: the other end did what it may not, or is gone. */
void vsock_cut_off(struct vsock_connection *connection);

#endif
