/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock_output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* So much of the guest's credit may be spent at most, whatever it grants. */
#define CREDIT_MAX (16u << 20)
#define PACKET_MAX (64u << 10) /* payload of one packet, as Linux has it */
#define SEGMENTS_MAX 256

static void socket_event(void *context, uint32_t events);

static struct vsock_connection *create(struct vsock_owner *owner, enum vsock_state state, int fd)
{
    struct vsock_connection *connection = calloc(1, sizeof(*connection));
    struct event_source source = {
        .fd = fd, .handler = socket_event, .context = connection, .lock = owner->lock,
    };

    if (!connection)
        return NULL;
    connection->owner = owner;
    connection->state = state;
    connection->fd = fd;
    if (event_loop_add(owner->loop, &source) == 0)
        return connection;
    free(connection);
    return NULL;
}

struct vsock_connection *vsock_connection_of_host(struct vsock_owner *owner, int fd)
{
    struct vsock_connection *connection = create(owner, VSOCK_NAMING, fd);

    if (connection)
        vsock_connection_poll(connection);
    return connection;
}

struct vsock_connection *vsock_connection_of_guest(struct vsock_owner *owner, int fd,
                                                   const struct vsock_header *request)
{
    struct vsock_connection *connection = create(owner, VSOCK_ESTABLISHED, fd);

    if (!connection)
        return NULL;
    connection->guest_port = request->source_port;
    connection->host_port = request->destination_port;
    connection->peer_alloc = request->buf_alloc;
    connection->owes_response = true;
    return connection;
}

void vsock_connection_free(struct vsock_connection *connection)
{
    if (!connection->hung_up)
        event_loop_remove(connection->owner->loop, connection->fd);
    close(connection->fd);
    vsock_drop_ring(connection);
    free(connection);
}

void vsock_connection_abandon(struct vsock_connection *connection)
{
    if (connection->state == VSOCK_OVER)
        return;
    connection->state = VSOCK_OVER;
    vsock_drop_ring(connection);
    connection->owner->over(connection->owner, connection);
}

/* ---- credit --------------------------------------------------------------- */

/*
 * What the guest would still take.  A guest that lowers buf_alloc below what is
 * on its way has no room, not four billion bytes of it.
 */
static uint32_t credit(const struct vsock_connection *connection)
{
    uint32_t in_flight = connection->sent - connection->peer_forwarded;
    uint32_t most = connection->peer_alloc < CREDIT_MAX ? connection->peer_alloc : CREDIT_MAX;

    return in_flight < most ? most - in_flight : 0;
}

/* False: it claims to have forwarded what was never sent. */
static bool take_credit(struct vsock_connection *connection, const struct vsock_header *header)
{
    if (connection->sent - header->fwd_cnt > CREDIT_MAX)
        return false;
    connection->peer_alloc = header->buf_alloc;
    connection->peer_forwarded = header->fwd_cnt;
    return true;
}

/* ---- packets of the guest ------------------------------------------------- */

static void receive_response(struct vsock_connection *connection)
{
    char answer[32];
    int length = snprintf(answer, sizeof(answer), "OK %u\n", connection->host_port);

    if (connection->state != VSOCK_REQUESTED || connection->owes_request) {
        vsock_cut_off(connection);
        return;
    }
    connection->state = VSOCK_ESTABLISHED;
    /* Nothing was written before, so there is room. */
    if (send(connection->fd, answer, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) != length)
        vsock_cut_off(connection);
}

static void receive_shutdown(struct vsock_connection *connection, uint32_t flags)
{
    connection->guest_shutdown |= flags & VSOCK_SHUTDOWN_BOTH;
    if (connection->guest_shutdown == VSOCK_SHUTDOWN_BOTH) {
        /* 5.10.6.5: RST tells that the connection is no more. */
        connection->state = VSOCK_LEAVING;
        connection->owes_reset = true;
    }
    if (connection->guest_shutdown & VSOCK_SHUTDOWN_RECEIVE)
        shutdown(connection->fd, SHUT_RD);
    if (connection->guest_shutdown & VSOCK_SHUTDOWN_SEND && connection->ring.used == 0)
        shutdown(connection->fd, SHUT_WR);
}

static void receive_established(struct vsock_connection *connection,
                                const struct vsock_header *header, struct chain_cursor *payload)
{
    switch (header->op) {
    case VSOCK_OP_RW:
        vsock_receive_data(connection, header->length, payload);
        break;
    case VSOCK_OP_SHUTDOWN:
        receive_shutdown(connection, header->flags);
        break;
    case VSOCK_OP_CREDIT_REQUEST:
        connection->owes_credit = true;
        break;
    case VSOCK_OP_CREDIT_UPDATE:
        break; /* its header said it */
    default:
        vsock_cut_off(connection);
    }
}

void vsock_connection_receive(struct vsock_connection *connection,
                              const struct vsock_header *header, struct chain_cursor *payload)
{
    if (header->op == VSOCK_OP_RST) {
        connection->owes_reset = false;
        connection->state = VSOCK_LEAVING;
    } else if (connection->state == VSOCK_LEAVING) {
        return; /* our RST is on its way */
    } else if (!take_credit(connection, header)) {
        vsock_cut_off(connection);
    } else if (header->op == VSOCK_OP_RESPONSE) {
        receive_response(connection);
    } else if (connection->state == VSOCK_ESTABLISHED) {
        receive_established(connection, header, payload);
    } else {
        vsock_cut_off(connection);
    }
    vsock_connection_settle(connection);
}

/* ---- packets to the guest ------------------------------------------------- */

/* Whether input is wanted now. */
static bool may_read(const struct vsock_connection *connection)
{
    return connection->state == VSOCK_ESTABLISHED &&
           !(connection->host_shutdown & VSOCK_SHUTDOWN_SEND) &&
           !(connection->guest_shutdown & VSOCK_SHUTDOWN_RECEIVE) && credit(connection) > 0;
}

/* From the socket into the guest's buffer; 0 when there is nothing. */
static uint32_t read_payload(struct vsock_connection *connection,
                             const struct chain_cursor *payload)
{
    struct iovec segments[SEGMENTS_MAX];
    struct chain_cursor cursor = *payload;
    uint64_t most = chain_left(&cursor);
    ssize_t length;
    int count;

    if (most > credit(connection))
        most = credit(connection);
    if (most > PACKET_MAX)
        most = PACKET_MAX;
    count = chain_slice(&cursor, most, segments, SEGMENTS_MAX);
    /* In more pieces than that: the first ones do. */
    do
        length = readv(connection->fd, segments, count < 0 ? SEGMENTS_MAX : count);
    while (length < 0 && errno == EINTR);
    if (length > 0) {
        connection->readable = connection->hung_up || (uint64_t)length == most;
        connection->sent += (uint32_t)length;
        return (uint32_t)length;
    }
    connection->readable = false;
    /* The end, or an error that tells the same. */
    if (length == 0 || errno != EAGAIN)
        vsock_owe_shutdown(connection, connection->hung_up ? VSOCK_SHUTDOWN_BOTH
                                                           : VSOCK_SHUTDOWN_SEND);
    return 0;
}

/* The next thing owed, but for credit; VSOCK_OP_INVALID for none. */
static uint16_t take_owed(struct vsock_connection *connection, struct vsock_header *header)
{
    if (connection->owes_reset) {
        connection->owes_reset = false;
        return VSOCK_OP_RST;
    }
    if (connection->owes_request) {
        connection->owes_request = false;
        return VSOCK_OP_REQUEST;
    }
    if (connection->owes_response) {
        connection->owes_response = false;
        return VSOCK_OP_RESPONSE;
    }
    if (connection->owes_shutdown) {
        header->flags = connection->owes_shutdown;
        connection->owes_shutdown = 0;
        return VSOCK_OP_SHUTDOWN;
    }
    return VSOCK_OP_INVALID;
}

bool vsock_connection_packet(struct vsock_connection *connection, struct vsock_header *header,
                             struct chain_cursor *payload)
{
    *header = (struct vsock_header){
        .source_port = connection->host_port,
        .destination_port = connection->guest_port,
        .type = VSOCK_TYPE_STREAM,
        .buf_alloc = VSOCK_BUFFER,
        .fwd_cnt = connection->forwarded,
    };
    header->op = take_owed(connection, header);
    if (header->op == VSOCK_OP_INVALID && connection->readable && may_read(connection)) {
        header->length = read_payload(connection, payload);
        header->op = header->length > 0 ? VSOCK_OP_RW : take_owed(connection, header);
    }
    if (header->op == VSOCK_OP_INVALID && connection->owes_credit)
        header->op = VSOCK_OP_CREDIT_UPDATE;
    if (header->op == VSOCK_OP_INVALID)
        return false;
    connection->told = connection->forwarded;
    connection->owes_credit = false;
    return true;
}

/* ---- events of the host --------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Moves *AT over blanks, up to END; whether there were any. */
static bool skip_blanks(const char **at, const char *end)
{
    const char *start = *at;

    while (*at < end && is_blank(**at))
        (*at)++;
    return *at > start;
}

/*
 * "CONNECT <port>", in letters of any size and with any blanks around the words,
 * as Firecracker takes it: clients end lines by CRLF.  False for anything else.
 */
static bool parse_line(struct vsock_connection *connection)
{
    static const char command[] = "CONNECT";
    const char *at = connection->line, *end = at + connection->line_length, *digits;
    unsigned long long port = 0;

    skip_blanks(&at, end);
    if ((size_t)(end - at) < sizeof(command) - 1 ||
        strncasecmp(at, command, sizeof(command) - 1) != 0)
        return false;
    at += sizeof(command) - 1;
    if (!skip_blanks(&at, end))
        return false;
    for (digits = at; at < end && *at >= '0' && *at <= '9' && port <= UINT32_MAX; at++)
        port = port * 10 + (unsigned int)(*at - '0');
    if (at == digits || port > UINT32_MAX)
        return false;
    skip_blanks(&at, end);
    connection->guest_port = (uint32_t)port;
    return at == end;
}

/* Byte by byte: what follows the line is the guest's. */
static void read_line(struct vsock_connection *connection)
{
    char byte;

    for (;;) {
        ssize_t length = recv(connection->fd, &byte, 1, MSG_DONTWAIT);

        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (length <= 0 || (byte != '\n' && connection->line_length == sizeof(connection->line)))
            break;
        if (byte == '\n') {
            if (!parse_line(connection))
                break;
            connection->state = VSOCK_REQUESTED;
            connection->owes_request = true;
            connection->owner->named(connection->owner, connection);
            return;
        }
        connection->line[connection->line_length++] = byte;
    }
    vsock_connection_abandon(connection);
}

/*
 * The socket's peer is gone.  That is reported for ever, so the loop forgets
 * the socket; reading what is left never waits.
 */
static void peer_hung_up(struct vsock_connection *connection)
{
    event_loop_remove(connection->owner->loop, connection->fd);
    connection->hung_up = connection->readable = true;
    vsock_forwarded(connection, connection->ring.used);
    vsock_drop_ring(connection);
    if (connection->state == VSOCK_NAMING || connection->owes_request)
        vsock_connection_abandon(connection);
    else if (connection->state == VSOCK_REQUESTED)
        vsock_cut_off(connection);
    else if (connection->host_shutdown & VSOCK_SHUTDOWN_SEND ||
             connection->guest_shutdown & VSOCK_SHUTDOWN_RECEIVE)
        vsock_owe_shutdown(connection, VSOCK_SHUTDOWN_BOTH);
}

static void socket_event(void *context, uint32_t events)
{
    struct vsock_connection *connection = context;
    struct vsock_owner *owner = connection->owner;

    if (connection->state == VSOCK_OVER)
        return;
    if (events & EPOLLIN) {
        if (connection->state == VSOCK_NAMING)
            read_line(connection);
        else
            connection->readable = true;
    }
    if (events & EPOLLOUT && connection->ring.used > 0)
        vsock_flush_ring(connection);
    if (events & (EPOLLHUP | EPOLLERR) && connection->state != VSOCK_OVER)
        peer_hung_up(connection);
    vsock_connection_settle(connection);
    owner->serve(owner);
}

void vsock_connection_poll(struct vsock_connection *connection)
{
    bool input = connection->state == VSOCK_NAMING ||
                 (may_read(connection) && !connection->readable && !connection->queued);

    if (!connection->hung_up)
        event_loop_modify(connection->owner->loop, connection->fd,
                          (input ? (uint32_t)EPOLLIN : 0) |
                              (connection->ring.used > 0 ? (uint32_t)EPOLLOUT : 0));
}

static bool is_ready(const struct vsock_connection *connection)
{
    return connection->owes_reset ||
           (connection->known &&
            (connection->owes_request || connection->owes_response || connection->owes_shutdown ||
             connection->owes_credit || (connection->readable && may_read(connection))));
}

void vsock_connection_settle(struct vsock_connection *connection)
{
    struct vsock_owner *owner = connection->owner;

    if (connection->state == VSOCK_OVER)
        return;
    if (connection->state == VSOCK_LEAVING && !connection->owes_reset) {
        owner->forget(owner, connection);
        if (connection->ring.used == 0) {
            vsock_connection_abandon(connection);
            return;
        }
    }
    if (is_ready(connection))
        owner->ready(owner, connection);
    else
        vsock_connection_poll(connection);
}
