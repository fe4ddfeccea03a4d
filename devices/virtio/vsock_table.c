/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock_table.h"

#define HOST_PORT_FIRST 0x40000000u /* ports that clients of the host get, up from here */

void vsock_table_init(struct vsock_table *table)
{
    *table = (struct vsock_table){ .count = 0 };
    TAILQ_INIT(&table->living);
    TAILQ_INIT(&table->dead);
    TAILQ_INIT(&table->queue);
}

void vsock_table_add(struct vsock_table *table, struct vsock_connection *connection)
{
    TAILQ_INSERT_TAIL(&table->living, connection, in_list);
    table->count++;
}

static struct vsock_bucket *bucket_of(struct vsock_table *table, uint32_t guest_port,
                                      uint32_t host_port)
{
    return &table->buckets[(guest_port * 31 + host_port) % VSOCK_BUCKETS];
}

struct vsock_connection *vsock_table_find(struct vsock_table *table, uint32_t guest_port,
                                          uint32_t host_port)
{
    struct vsock_connection *connection;

    LIST_FOREACH(connection, bucket_of(table, guest_port, host_port), in_bucket)
        if (connection->guest_port == guest_port && connection->host_port == host_port)
            return connection;
    return NULL;
}

void vsock_table_enter(struct vsock_table *table, struct vsock_connection *connection)
{
    LIST_INSERT_HEAD(bucket_of(table, connection->guest_port, connection->host_port), connection,
                     in_bucket);
    connection->known = true;
}

void vsock_table_enter_named(struct vsock_table *table, struct vsock_connection *connection)
{
    /* There are far more ports than connections. */
    do {
        table->next_host_port = (table->next_host_port + 1) % HOST_PORT_FIRST;
        connection->host_port = HOST_PORT_FIRST + table->next_host_port;
    } while (vsock_table_find(table, connection->guest_port, connection->host_port));
    vsock_table_enter(table, connection);
}

void vsock_table_queue(struct vsock_table *table, struct vsock_connection *connection)
{
    if (connection->queued)
        return;
    TAILQ_INSERT_TAIL(&table->queue, connection, in_queue);
    connection->queued = true;
}

void vsock_table_dequeue(struct vsock_table *table, struct vsock_connection *connection)
{
    if (connection->queued)
        TAILQ_REMOVE(&table->queue, connection, in_queue);
    connection->queued = false;
}

void vsock_table_forget(struct vsock_table *table, struct vsock_connection *connection)
{
    vsock_table_dequeue(table, connection);
    if (connection->known)
        LIST_REMOVE(connection, in_bucket);
    connection->known = false;
}

void vsock_table_kill(struct vsock_table *table, struct vsock_connection *connection)
{
    vsock_table_forget(table, connection);
    TAILQ_REMOVE(&table->living, connection, in_list);
    table->count--;
    TAILQ_INSERT_TAIL(&table->dead, connection, in_list);
}

void vsock_table_bury(struct vsock_table *table)
{
    struct vsock_connection *connection;

    while ((connection = TAILQ_FIRST(&table->dead))) {
        TAILQ_REMOVE(&table->dead, connection, in_list);
        vsock_connection_free(connection);
    }
}
