/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock_output.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SEGMENTS_MAX 256

void vsock_drop_ring(struct vsock_connection *connection)
{
    free(connection->ring.bytes);
    connection->ring = (struct byte_ring){ .bytes = NULL };
}

void vsock_cut_off(struct vsock_connection *connection)
{
    vsock_drop_ring(connection);
    connection->state = VSOCK_LEAVING;
    connection->owes_reset = true;
}

void vsock_owe_shutdown(struct vsock_connection *connection, uint32_t flags)
{
    if (connection->state != VSOCK_ESTABLISHED || (flags & ~connection->host_shutdown) == 0)
        return;
    connection->host_shutdown |= flags;
    connection->owes_shutdown = connection->host_shutdown;
}

void vsock_forwarded(struct vsock_connection *connection, size_t length)
{
    connection->forwarded += (uint32_t)length;
    if (connection->forwarded - connection->told >= VSOCK_BUFFER / 4)
        connection->owes_credit = true;
}

/* Nobody reads there any more. */
static void output_failed(struct vsock_connection *connection)
{
    vsock_forwarded(connection, connection->ring.used);
    vsock_drop_ring(connection);
    vsock_owe_shutdown(connection, VSOCK_SHUTDOWN_RECEIVE);
}

static void output_done(struct vsock_connection *connection)
{
    vsock_drop_ring(connection);
    if (connection->guest_shutdown & VSOCK_SHUTDOWN_SEND)
        shutdown(connection->fd, SHUT_WR);
}

void vsock_flush_ring(struct vsock_connection *connection)
{
    struct byte_ring *ring = &connection->ring;

    while (ring->used > 0) {
        size_t straight = ring->size - ring->first;
        size_t length = ring->used < straight ? ring->used : straight;
        ssize_t sent = send(connection->fd, ring->bytes + ring->first, length,
                            MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            if (errno != EAGAIN)
                output_failed(connection);
            return;
        }
        byte_ring_drop(ring, (size_t)sent);
        vsock_forwarded(connection, (size_t)sent);
    }
    output_done(connection);
}

/* From the guest's buffer into the socket; how much that took, or a negative errno. */
static ssize_t send_payload(const struct vsock_connection *connection,
                            const struct chain_cursor *payload, size_t length)
{
    struct iovec segments[SEGMENTS_MAX];
    struct chain_cursor cursor = *payload;
    int count = chain_slice(&cursor, length, segments, SEGMENTS_MAX);
    ssize_t sent;

    if (count < 0)
        return 0; /* in too many pieces: by the ring */
    /* Not sendmsg(2), which could carry descriptors out of the jail; the socket does not block. */
    do
        sent = writev(connection->fd, segments, count);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -errno;
    return sent;
}

/* Keeps LENGTH bytes at PAYLOAD in the ring, which has room by the credit's rule. */
static void keep_payload(struct vsock_connection *connection, struct chain_cursor payload,
                         size_t length)
{
    uint8_t bytes[4096];

    if (!connection->ring.bytes) {
        connection->ring = (struct byte_ring){
            .bytes = malloc(VSOCK_BUFFER), .size = VSOCK_BUFFER,
        };
        if (!connection->ring.bytes) {
            vsock_cut_off(connection);
            return;
        }
    }
    while (length > 0) {
        size_t piece = chain_read(&payload, bytes, length < sizeof(bytes) ? length : sizeof(bytes));

        if (piece == 0)
            break;
        byte_ring_push(&connection->ring, bytes, piece);
        length -= piece;
    }
}

void vsock_receive_data(struct vsock_connection *connection, size_t length,
                         struct chain_cursor *payload)
{
    uint32_t on_the_way = connection->received - connection->forwarded;
    ssize_t sent = 0;

    if (length > VSOCK_BUFFER - on_the_way || connection->guest_shutdown & VSOCK_SHUTDOWN_SEND) {
        vsock_cut_off(connection);
        return;
    }
    connection->received += (uint32_t)length;
    if (connection->hung_up || connection->host_shutdown & VSOCK_SHUTDOWN_RECEIVE) {
        vsock_forwarded(connection, length);
        return;
    }
    if (connection->ring.used == 0) {
        sent = send_payload(connection, payload, length);
        vsock_forwarded(connection, sent < 0 ? length : (size_t)sent);
    }
    if (sent < 0) {
        output_failed(connection);
    } else if ((size_t)sent < length) {
        chain_skip(payload, (size_t)sent);
        keep_payload(connection, *payload, length - (size_t)sent);
    }
}
