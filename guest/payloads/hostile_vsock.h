/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_VSOCK_H
#define MOTE_PAYLOAD_HOSTILE_VSOCK_H

/*
 * Streams (virtio 1.2, 5.10.6) by a driver that keeps to no rule, with a host that listens
 * (tests/hostile/host): on port 80 it sends back what it gets, on 81 it never
 * reads, on 82 it sends PLENTY bytes at once, on 83 it closes.  Nobody is at 84.
 */

#include "hostile_trial.h"

enum { PORT_ECHO = 80, PORT_SINK, PORT_SOURCE, PORT_CLOSED, PORT_NONE };
enum { OP_REQUEST = 1, OP_RESPONSE, OP_RST, OP_SHUTDOWN, OP_RW, OP_CREDIT_UPDATE, OP_CREDIT_REQUEST };
enum { VSOCK_RX_QUEUE, VSOCK_TX_QUEUE, VSOCK_EVENT_QUEUE };
#define GUEST_CID 3
#define HOST_CID 2
#define PLENTY (64u << 10)
#define RECEIVE_AREA (8ull << 20) /* 4 KiB for each buffer of the receive queue */
#define SEND_AREA (12ull << 20)
#define CREDIT_OF_HOST (128u << 10)

struct packet {
    uint64_t from, to;
    uint32_t from_port, to_port, length;
    uint16_t type, operation;
    uint32_t flags, room, forwarded;
} __attribute__((packed));

static struct {
    uint16_t sent, taken; /* packets of this start */
    uint32_t room, forwarded;
    uint32_t port; /* the guest's, another one for each connection */
    uint32_t total; /* bytes of data that came, with next_packet() */
    uint8_t data[4096]; /* of the packet that came last */
} stream = { .port = 1000 };

#define RX_RINGS (&others[VSOCK_RX_QUEUE].rings)
#define EVENT_RINGS (&others[VSOCK_EVENT_QUEUE].rings)

static void give_buffers(const struct virtio *v, unsigned int count, uint32_t size)
{
    for (unsigned int i = 0; i < count; i++) {
        describe_in(RX_RINGS, i, RECEIVE_AREA + 4096 * i, size, DESC_WRITE, 0);
        offer_in(RX_RINGS, (uint16_t)i);
    }
    kick_queue(v, VSOCK_RX_QUEUE);
}

/* All queues are up, COUNT buffers of SIZE bytes wait for packets. */
static void begin_vsock(const struct virtio *v, unsigned int count, uint32_t size)
{
    begin_all(v, 0);
    stream.sent = stream.taken = 0;
    stream.room = 1 << 20;
    stream.forwarded = stream.total = 0;
    stream.port++;
    if (count > 0)
        give_buffers(v, count, size);
}

static struct packet packet_of(uint16_t operation, uint32_t port, uint32_t length)
{
    return (struct packet){
        .from = GUEST_CID, .to = HOST_CID, .from_port = stream.port, .to_port = port, .length = length,
        .type = 1, .operation = operation, .room = stream.room, .forwarded = stream.forwarded,
    };
}

/* Header and CARRIED bytes behind it; false where it was not taken. */
static bool send_packet(const struct virtio *v, const struct packet *packet, uint32_t carried)
{
    *(struct packet *)SEND_AREA = *packet;
    describe(0, SEND_AREA, (uint32_t)sizeof(*packet) + carried, 0, 0);
    offer(0);
    notify(v);
    return await_in(v, &rings, ++stream.sent, WORK_MS);
}

static bool say(const struct virtio *v, uint16_t operation, uint32_t port, uint32_t length)
{
    struct packet packet = packet_of(operation, port, length);

    return send_packet(v, &packet, length);
}

/* The next packet of the host's, whose buffer goes back at once; NULL where none comes in time. */
static const struct packet *next_packet(const struct virtio *v, unsigned int milliseconds)
{
    static struct packet packet;
    uint64_t end = rdtsc() + milliseconds * TICKS_PER_MS;
    uint32_t head;

    while (RX_RINGS->used.index == stream.taken)
        if ((int64_t)(end - rdtsc()) < 0)
            return NULL;
    head = RX_RINGS->used.ring[stream.taken++ % QUEUE_SIZE].id;
    packet = *(const struct packet *)RX_RINGS->desc[head % QUEUE_SIZE].address;
    if (packet.operation == OP_RW) {
        stream.total += packet.length;
        for (uint32_t i = 0; i < packet.length && i < sizeof(stream.data); i++)
            stream.data[i] = ((const uint8_t *)RX_RINGS->desc[head % QUEUE_SIZE].address)[sizeof(packet) + i];
    }
    offer_in(RX_RINGS, (uint16_t)head);
    kick_queue(v, VSOCK_RX_QUEUE);
    return &packet;
}

/* Whether the next packet is OPERATION, from PORT to this connection's. */
static bool hears(const struct virtio *v, uint16_t operation, uint32_t port)
{
    const struct packet *packet = next_packet(v, WORK_MS);

    found.any = true;
    found.value = packet ? packet->operation : 0;
    if (!packet || packet->operation != operation || packet->from_port != port || packet->to_port != stream.port ||
        packet->from != HOST_CID || packet->to != GUEST_CID || packet->type != 1)
        return false;
    found.any = false;
    return true;
}

static bool hears_nothing(const struct virtio *v)
{
    const struct packet *packet = next_packet(v, 10);

    found.any = packet != NULL;
    found.value = packet ? packet->operation : 0;
    return !packet;
}

static bool connects(const struct virtio *v, uint32_t port)
{
    return say(v, OP_REQUEST, port, 0) && hears(v, OP_RESPONSE, port);
}

/* Bytes out, the same bytes back. */
static bool echoes(const struct virtio *v, uint32_t length)
{
    uint8_t *bytes = (uint8_t *)SEND_AREA + sizeof(struct packet);
    uint32_t before = stream.total;

    for (uint32_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 11 + length);
    if (!say(v, OP_RW, PORT_ECHO, length))
        return false;
    while (stream.total - before < length) {
        const struct packet *packet = next_packet(v, WORK_MS);
        uint32_t end = stream.total - before;

        if (!packet)
            return false;
        if (packet->operation != OP_RW)
            continue;
        for (uint32_t i = 0; i < packet->length; i++)
            if (stream.data[i] != (uint8_t)((end - packet->length + i) * 11 + length))
                return false;
    }
    stream.forwarded = stream.total;
    return true;
}

#endif
