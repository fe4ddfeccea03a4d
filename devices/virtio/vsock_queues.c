/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket device's queues: packets that are due to the guest, those that
 * come from it, and the rules for those that belong to no connection.
 *
 * Fairness.  Connections with something for the guest stand in a queue, and
 * each gives one packet a turn.  Each turn ends at the queue's size, and the
 * next one comes after the loop's other sources.
 *
 * RSTs for packets of no connection wait in a ring of fixed size; while that is
 * full, the guest's packets wait too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "devices/backend/socket_broker.h"
#include "devices/backend/socket_handoff.h"
#include "devices/virtio/vsock_internal.h"
#include "vmm/base/cleanup.h"

/* ---- to the guest --------------------------------------------------------- */

/* RST for a packet that belongs to no connection. */
static void refuse(struct vsock *vsock, const struct vsock_header *packet)
{
    size_t at = (vsock->first_reset + vsock->resets_used) % VSOCK_RESETS_MAX;

    if (packet->op == VSOCK_OP_RST)
        return;
    vsock->resets[at] = (struct vsock_header){
        .source_cid = packet->destination_cid,
        .source_port = packet->destination_port,
        .destination_port = packet->source_port,
        .type = packet->type,
        .op = VSOCK_OP_RST,
    };
    vsock->resets_used++;
}

/* The next packet for the guest into a buffer of its; false when there is none. */
static bool next_packet(struct vsock *vsock, struct vsock_header *header,
                        struct chain_cursor *payload)
{
    struct vsock_connection *connection;

    if (vsock->resets_used > 0) {
        *header = vsock->resets[vsock->first_reset];
        vsock->first_reset = (vsock->first_reset + 1) % VSOCK_RESETS_MAX;
        vsock->resets_used--;
        return true;
    }
    while ((connection = TAILQ_FIRST(&vsock->table.queue))) {
        bool found = vsock_connection_packet(connection, header, payload);

        header->source_cid = VSOCK_CID_HOST;
        vsock_table_dequeue(&vsock->table, connection);
        vsock_connection_settle(connection); /* to the end of the queue, if there is more */
        if (found)
            return true;
    }
    return false;
}

static bool is_due(const struct vsock *vsock)
{
    return vsock->resets_used > 0 || !TAILQ_EMPTY(&vsock->table.queue);
}

/* 1: a packet was put into a buffer; 0: none was due, or no buffer; or -EPROTO. */
static int fill_buffer(struct vsock *vsock)
{
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_RX];
    struct virtio_chain chain = { .segments = vsock->segments, .capacity = VSOCK_QUEUE_SIZE };
    struct chain_cursor start, payload;
    struct vsock_header header;
    int result;

    if (!is_due(vsock))
        return 0;
    result = virtqueue_pop(queue, &chain);
    if (result <= 0)
        return result;
    start = payload = chain_writable(&chain);
    if (chain.readable > 0 || chain.writable_bytes <= sizeof(header))
        return -EPROTO;
    chain_skip(&payload, sizeof(header));
    if (!next_packet(vsock, &header, &payload)) {
        virtqueue_unpop(queue, chain.head);
        return 0;
    }
    header.destination_cid = vsock->options->cid;
    chain_write(&start, &header, sizeof(header));
    virtqueue_push(queue, chain.head, (uint32_t)sizeof(header) + header.length);
    return 1;
}

void vsock_serve_guest(struct vsock *vsock)
{
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_RX];
    struct vsock_connection *connection;
    unsigned int budget = VSOCK_QUEUE_SIZE;
    int result = 1;

    if (!vsock->active)
        return;
    while (budget > 0 && result > 0) {
        result = fill_buffer(vsock);
        budget--;
        /* A notification is needed only while a packet waits for a buffer; one may have come just now. */
        if (result == 0 && is_due(vsock) && virtqueue_enable_notify(queue))
            result = 1;
    }
    if (result < 0) {
        virtio_needs_reset(&vsock->virtio, "a buffer for received packets");
        return;
    }
    if (result > 0)
        virtio_kick_again(&vsock->virtio, VSOCK_RX);
    virtio_notify(&vsock->virtio, VSOCK_RX);
    /* Who still has to wait for a buffer is not polled meanwhile. */
    TAILQ_FOREACH(connection, &vsock->table.queue, in_queue)
        vsock_connection_poll(connection);
    if (vsock->guest_waits && vsock->resets_used < VSOCK_RESETS_MAX)
        virtio_kick_again(&vsock->virtio, VSOCK_TX);
}

/* ---- from the guest ------------------------------------------------------- */

/* The host's end of a connection of the guest's to PORT, or a negative errno. */
static int connect_host(const struct vsock_options *options, uint32_t port)
{
    cleanup_free char *path = NULL;

    if (options->broker)
        return socket_broker_connect(options->broker, port);
    if (!options->path)
        return socket_handoff_send(options->handoff, port);
    if (asprintf(&path, "%s_%u", options->path, port) < 0)
        return -ENOMEM;
    return unix_connect(path);
}

/* Whether the host may be asked for another one now. */
static bool may_connect(struct vsock *vsock)
{
    if (vsock->table.count >= VSOCK_CONNECTIONS_MAX ||
        token_bucket_wait(&vsock->connects, vsock_now()) > 0)
        return false;
    token_bucket_charge(&vsock->connects, 1);
    return true;
}

static void open_connection(struct vsock *vsock, const struct vsock_header *request)
{
    struct vsock_connection *connection = NULL;
    int fd = -1;

    if (may_connect(vsock))
        fd = connect_host(vsock->options, request->destination_port);
    if (fd >= 0)
        connection = vsock_connection_of_guest(&vsock->owner, fd, request);
    if (!connection) {
        if (fd >= 0)
            close(fd);
        refuse(vsock, request);
        return;
    }
    vsock_table_add(&vsock->table, connection);
    vsock_table_enter(&vsock->table, connection);
    vsock_connection_settle(connection);
}

static void receive(struct vsock *vsock, const struct vsock_header *header,
                    struct chain_cursor *payload)
{
    struct vsock_connection *connection;

    if (header->source_cid != vsock->options->cid) {
        /* Nobody whom an answer could reach. */
        log_limited(vsock->virtio.env.log, &vsock->misdirected, LOG_WARN,
                    "vsock: the guest sent a packet as CID %llu, but is %llu; it is dropped",
                    (unsigned long long)header->source_cid,
                    (unsigned long long)vsock->options->cid);
        return;
    }
    if (header->destination_cid != VSOCK_CID_HOST || header->type != VSOCK_TYPE_STREAM) {
        refuse(vsock, header);
        return;
    }
    connection = vsock_table_find(&vsock->table, header->source_port, header->destination_port);
    if (connection)
        vsock_connection_receive(connection, header, payload);
    else if (header->op == VSOCK_OP_REQUEST)
        open_connection(vsock, header);
    else
        refuse(vsock, header);
}

/* 1, 0 when there is none, or -EPROTO. */
static int take_packet(struct vsock *vsock)
{
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_TX];
    struct virtio_chain chain = { .segments = vsock->segments, .capacity = VSOCK_QUEUE_SIZE };
    struct vsock_header header;
    struct chain_cursor cursor;
    int result = virtqueue_pop(queue, &chain);

    if (result <= 0)
        return result;
    cursor = chain_readable(&chain);
    if (chain_read(&cursor, &header, sizeof(header)) < sizeof(header) ||
        header.length > chain_left(&cursor))
        return -EPROTO;
    receive(vsock, &header, &cursor);
    virtqueue_push(queue, chain.head, 0);
    return 1;
}

void vsock_serve_host(struct vsock *vsock)
{
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_TX];
    unsigned int budget = VSOCK_QUEUE_SIZE;
    int result = 1;

    virtqueue_disable_notify(queue);
    vsock->guest_waits = false;
    while (budget > 0 && result > 0) {
        /* Each packet may need one. */
        vsock->guest_waits = vsock->resets_used == VSOCK_RESETS_MAX;
        if (vsock->guest_waits)
            break;
        result = take_packet(vsock);
        budget--;
        if (result == 0 && virtqueue_enable_notify(queue))
            result = 1;
    }
    if (result < 0) {
        virtio_needs_reset(&vsock->virtio, "a packet shorter than it says");
        return;
    }
    if (result > 0 && !vsock->guest_waits)
        virtio_kick_again(&vsock->virtio, VSOCK_TX);
    virtio_notify(&vsock->virtio, VSOCK_TX);
    vsock_serve_guest(vsock);
}

/* ---- events --------------------------------------------------------------- */

void vsock_serve_event(struct vsock *vsock)
{
    const uint32_t transport_reset = 0;
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_EVENT];
    struct virtio_chain chain = { .segments = vsock->segments, .capacity = VSOCK_QUEUE_SIZE };
    struct chain_cursor cursor;
    int result;

    if (!vsock->active || !vsock->event_owed)
        return;
    result = virtqueue_pop_or_enable_notify(queue, &chain);
    if (result == 0)
        return;
    if (result < 0 || chain.writable_bytes < sizeof(transport_reset)) {
        virtio_needs_reset(&vsock->virtio, "a buffer for events");
        return;
    }
    cursor = chain_writable(&chain);
    chain_write(&cursor, &transport_reset, sizeof(transport_reset));
    virtqueue_push(queue, chain.head, sizeof(transport_reset));
    vsock->event_owed = false;
    virtio_notify(&vsock->virtio, VSOCK_EVENT);
}
