/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_VSOCK_INTERNAL_H
#define MOTE_VIRTIO_VSOCK_INTERNAL_H

/*
 * The socket device's parts among themselves:
 *
 *   vsock_host.c        what the supervisor keeps for it
 *   vsock_queues.c      packets: which are due to the guest, and whose the guest's are
 *   vsock_connection.c  one stream; vsock_output.c what it holds for the host
 *   vsock_table.c       all streams, by their ports and by whose turn it is
 *   vsock.c             clients of the host, life
 */

#include "devices/backend/unix_listener.h"
#include "devices/rate_limit.h"
#include "devices/virtio/vsock.h"
#include "devices/virtio/vsock_table.h"
#include "vmm/base/timer.h"

#define VSOCK_QUEUE_SIZE 256
#define VSOCK_RESETS_MAX 64

/*
 * Connections of the guest's that the host is asked for: each costs the process that
 * supervises this one a socket and a look-up, outside of what the VM is accounted for.
 * More in a second are refused here.
 */
#define VSOCK_CONNECTS_IN_A_SECOND 1000
#define VSOCK_CONNECTS_AT_ONCE 1024

/* Clients of the host that have not said CONNECT yet, and how long they may take. */
#define VSOCK_NAMING_MAX 128
#define VSOCK_NAMING_SECONDS 10

struct vsock {
    struct virtio_device virtio;
    struct vsock_owner owner;
    const struct vsock_options *options;
    uint8_t config[8];
    struct unix_listener listener;
    int reaper_fd; /* rings when there are dead connections */
    struct timer naming; /* while a client has not said CONNECT */
    bool naming_timed;
    struct token_bucket connects; /* of the guest's */
    struct log_limit misdirected;

    bool active;
    bool event_owed;     /* a transport reset, for the event queue */
    bool guest_waits;    /* its packets, for room in RESETS */
    struct vsock_table table;
    size_t first_reset, resets_used;
    struct vsock_header resets[VSOCK_RESETS_MAX];
    struct iovec segments[VSOCK_QUEUE_SIZE];
};

/* CLOCK_MONOTONIC, ns. */
uint64_t vsock_now(void);

/* Gives the guest what is due, as far as its buffers go. */
void vsock_serve_guest(struct vsock *vsock);
/* Takes the guest's packets. */
void vsock_serve_host(struct vsock *vsock);
/* Tells the guest of a transport reset that it is owed. */
void vsock_serve_event(struct vsock *vsock);

#endif
