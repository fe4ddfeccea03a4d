/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_VSOCK_H
#define MOTE_VIRTIO_VSOCK_H

/* The vsock device's options, and its packets as guest and host share them (virtio 1.2, 5.10). */

#include <stdint.h>

#include "devices/virtio/device.h"

#define VSOCK_CID_HOST 2u
#define VSOCK_CID_MIN 3u
#define VSOCK_CONNECTIONS_MAX 1024

#define VSOCK_F_STREAM (1ull << 0)

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES };

#define VSOCK_TYPE_STREAM 1u

/* 5.10.6 */
enum {
    VSOCK_OP_INVALID,
    VSOCK_OP_REQUEST,
    VSOCK_OP_RESPONSE,
    VSOCK_OP_RST,
    VSOCK_OP_SHUTDOWN,
    VSOCK_OP_RW,
    VSOCK_OP_CREDIT_UPDATE,
    VSOCK_OP_CREDIT_REQUEST,
};

/* Flags of SHUTDOWN: what the sender of the packet will not do any more (5.10.6.5). */
#define VSOCK_SHUTDOWN_RECEIVE 1u
#define VSOCK_SHUTDOWN_SEND 2u
#define VSOCK_SHUTDOWN_BOTH 3u

/* Little-endian, as this host is. */
struct vsock_header {
    uint64_t source_cid;
    uint64_t destination_cid;
    uint32_t source_port;
    uint32_t destination_port;
    uint32_t length;
    uint16_t type;
    uint16_t op;
    uint32_t flags;
    uint32_t buf_alloc;
    uint32_t fwd_cnt;
} __attribute__((packed));
_Static_assert(sizeof(struct vsock_header) == 44, "virtio 1.2, 5.10.6");

struct vsock_options {
    uint64_t cid;
    const char *path; /* NULL: no clients of the host, and the guest's connections are handed over */
    int handoff; /* where to, see socket_handoff.h; the user's, stays open; -1 with a path */
    /* Opened for a monitor in its jail, by the supervisor; NULL: the device does it itself. */
    struct unix_listener *listener;
    struct socket_broker *broker;
};

/* What a guest's connection appends to the path at most: "_" and a port. */
#define VSOCK_PATH_SUFFIX (sizeof("_4294967295") - 1)

/*
 * In the supervisor, around each monitor: opens, into what it was given, what a jailed one could neither open nor remove, and closes it.
 * LOOP is the supervisor's.  Without it the device opens all itself.
 */
int virtio_vsock_open_host(struct vsock_options *vsock, struct event_loop *loop, struct error *error);
void virtio_vsock_close_host(struct vsock_options *vsock);

extern const struct virtio_device_class virtio_vsock_class;

#endif
