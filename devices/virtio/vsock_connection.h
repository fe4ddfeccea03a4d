/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VSOCK_CONNECTION_H
#define MOTE_VSOCK_CONNECTION_H

/*
 * One stream between a port of the guest and a unix socket of the host.
 *
 * To the host.  A packet's bytes go from the guest's buffer straight into the
 * socket.  What the socket does not take is copied into a ring of
 * VSOCK_BUFFER bytes, which is all that the guest may have on its way: so much
 * credit it gets (buf_alloc), and a guest that sends more is cut off.  The ring
 * exists only while it holds something.
 *
 * To the guest.  The owner asks for a packet whenever it has a buffer of the
 * guest's, and bytes go from the socket straight into that.  A socket is polled
 * for input only while the guest would take what comes: else its peer waits.
 *
 * Ends.  Each direction ends by itself: end of file on the socket becomes
 * SHUTDOWN(send), a SHUTDOWN(send) of the guest becomes shutdown(2) once the
 * ring is empty.  A connection leaves the owner's table (`known` turns false)
 * by RST of either side; what is then still in the ring is written in the
 * background, and after that the connection is over.
 *
 * A connection that is over is freed by the owner, on the loop's thread only:
 * another thread may not be sure that its handler is not about to run.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "devices/backend/byte_ring.h"
#include "devices/virtio/vsock.h"

#define VSOCK_BUFFER (128u << 10)

struct vsock_connection;

/* What a connection needs of its owner, the device. */
struct vsock_owner {
    struct event_loop *loop;
    pthread_mutex_t *lock;
    /* The host's client asks for guest_port: finds a host_port and enters both in the table. */
    void (*named)(struct vsock_owner *owner, struct vsock_connection *connection);
    /* There is something for the guest: queue it for vsock_connection_packet(). */
    void (*ready)(struct vsock_owner *owner, struct vsock_connection *connection);
    /* Out of the table: the ports are free for others. */
    void (*forget)(struct vsock_owner *owner, struct vsock_connection *connection);
    /* It is over: forget it, and free it once no handler can be about to run. */
    void (*over)(struct vsock_owner *owner, struct vsock_connection *connection);
    /* An event of the host's was handled: serve what is queued. */
    void (*serve)(struct vsock_owner *owner);
};

enum vsock_state {
    VSOCK_NAMING,      /* the host's client has not said CONNECT yet */
    VSOCK_REQUESTED,   /* REQUEST is on its way to the guest, or sent */
    VSOCK_ESTABLISHED,
    VSOCK_LEAVING,     /* the guest is done, but for a RST we owe; the ring is still written */
    VSOCK_OVER,
};

struct vsock_connection {
    struct vsock_owner *owner;
    enum vsock_state state;
    uint32_t guest_port;
    uint32_t host_port;
    int fd;

    /* The owner's: its table of ports, the list of all, and the queue for the guest. */
    bool known;
    bool queued;
    LIST_ENTRY(vsock_connection) in_bucket;
    TAILQ_ENTRY(vsock_connection) in_list;
    TAILQ_ENTRY(vsock_connection) in_queue;

    /* Packets owed to the guest, sent before any data. */
    bool owes_request;
    bool owes_response;
    bool owes_credit;
    bool owes_reset;
    uint32_t owes_shutdown;

    /* Credit of the guest's (5.10.6.3); counters are modulo 2^32. */
    uint32_t received;  /* bytes that the guest sent */
    uint32_t forwarded; /* of these, those that left for the host */
    uint32_t told;      /* FORWARDED in the last packet to the guest */
    /* Our credit at the guest's. */
    uint32_t sent;
    uint32_t peer_alloc;
    uint32_t peer_forwarded;

    uint32_t guest_shutdown; /* flags that the guest sent */
    uint32_t host_shutdown;  /* flags that we sent, or owe */
    bool readable;           /* the socket has something, or its end, for all we know */
    bool hung_up;            /* the socket's peer is gone; not in the loop any more */
    struct byte_ring ring;   /* bytes NULL while empty */
    char line[32];           /* what the host's client said so far: "CONNECT 4294967295" */
    uint8_t line_length;
    uint64_t accepted;       /* when that client came, ns */
};

/*
 * FD becomes the connection's on success: a client's, who has to name a port
 * yet, or one that was connected for a guest's REQUEST, a struct vsock_header.
 * It does not block, and SIGPIPE is ignored.
 * NULL: no memory, or the loop refused.
 */
struct vsock_connection *vsock_connection_of_host(struct vsock_owner *owner, int fd);
struct vsock_connection *vsock_connection_of_guest(struct vsock_owner *owner, int fd,
                                                   const struct vsock_header *request);
/* On the loop's thread, or while the loop does not run. */
void vsock_connection_free(struct vsock_connection *connection);

/* A packet of the guest's for this connection; PAYLOAD holds header->length bytes. */
void vsock_connection_receive(struct vsock_connection *connection,
                              const struct vsock_header *header, struct chain_cursor *payload);

/*
 * The next packet for the guest: fills HEADER, and for data the buffer at
 * PAYLOAD.  False: there is nothing, and the connection tells when there is.
 */
bool vsock_connection_packet(struct vsock_connection *connection, struct vsock_header *header,
                             struct chain_cursor *payload);

/* After a packet or an event: queues it again, polls its socket or ends it, as is due. */
void vsock_connection_settle(struct vsock_connection *connection);

/* Sets what the socket is polled for, after the owner's QUEUED changed. */
void vsock_connection_poll(struct vsock_connection *connection);

/* Ends it without a word to the guest.  Any thread. */
void vsock_connection_abandon(struct vsock_connection *connection);

#endif
