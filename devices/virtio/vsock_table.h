/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VSOCK_TABLE_H
#define MOTE_VSOCK_TABLE_H

/*
 * A vsock device's connections: the living and the dead ones, those that the
 * guest knows by their two ports, and the queue of those with something for it.
 */

#include "devices/virtio/vsock_connection.h"

#define VSOCK_BUCKETS 256

LIST_HEAD(vsock_bucket, vsock_connection);
TAILQ_HEAD(vsock_list, vsock_connection);

struct vsock_table {
    uint32_t next_host_port;
    size_t count; /* of LIVING */
    struct vsock_list living;
    struct vsock_list dead;  /* freed by vsock_table_bury() */
    struct vsock_list queue; /* with something for the guest */
    struct vsock_bucket buckets[VSOCK_BUCKETS];
};

void vsock_table_init(struct vsock_table *table);

/* Makes it one of the living. */
void vsock_table_add(struct vsock_table *table, struct vsock_connection *connection);

/* The guest knows it by its two ports; or by its guest_port and a host_port that is found here. */
void vsock_table_enter(struct vsock_table *table, struct vsock_connection *connection);
void vsock_table_enter_named(struct vsock_table *table, struct vsock_connection *connection);
struct vsock_connection *vsock_table_find(struct vsock_table *table, uint32_t guest_port,
                                          uint32_t host_port);

/* To the end of the queue, unless it is in it; and out of it. */
void vsock_table_queue(struct vsock_table *table, struct vsock_connection *connection);
void vsock_table_dequeue(struct vsock_table *table, struct vsock_connection *connection);

/* The guest does not know it any more, and there is nothing for the guest. */
void vsock_table_forget(struct vsock_table *table, struct vsock_connection *connection);

/* Forgets it and puts it among the dead. */
void vsock_table_kill(struct vsock_table *table, struct vsock_connection *connection);

/* Frees the dead.  On the loop's thread, or while the loop does not run. */
void vsock_table_bury(struct vsock_table *table);

#endif
