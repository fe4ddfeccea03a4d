/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_VSOCK_CREDIT_H
#define MOTE_PAYLOAD_HOSTILE_VSOCK_CREDIT_H

/* Credit that is exceeded, taken back or made up, and buffers that hardly take a packet (virtio 1.2, 5.10.6.3). */

#include "hostile_vsock.h"

static const char *credit_overflow(struct virtio *v)
{
    uint32_t sent = 0;

    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_SINK), "no connection");
    /* Against all credit: what the socket's buffers take is forwarded, the ring holds so much, then it ends. */
    for (; sent < 8 << 20; sent += 65536) {
        const struct packet *packet;

        EXPECT(say(v, OP_RW, PORT_SINK, 65536), "a packet was not taken");
        packet = next_packet(v, 0);
        if (packet && packet->operation == OP_RST)
            break;
    }
    EXPECT(sent < 8 << 20, "a guest that sends without credit is not cut off");
    EXPECT(sent >= CREDIT_OF_HOST - 65536, "it was cut off within its credit");
    EXPECT(say(v, OP_RW, PORT_SINK, 5), "a packet was not taken");
    EXPECT(hears(v, OP_RST, PORT_SINK), "the connection outlives its reset");
    return NULL;
}

static const char *more_than_all_credit_at_once(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_SINK), "no connection");
    EXPECT(say(v, OP_RW, PORT_SINK, CREDIT_OF_HOST + 1), "the packet was not taken");
    EXPECT(hears(v, OP_RST, PORT_SINK), "a packet beyond the credit is taken");
    return NULL;
}

static const char *no_credit_for_the_host(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    stream.room = 0;
    EXPECT(connects(v, PORT_SOURCE), "no connection");
    EXPECT(hears_nothing(v), "data came without credit");
    stream.room = 1000;
    EXPECT(say(v, OP_CREDIT_UPDATE, PORT_SOURCE, 0), "a packet was not taken");
    EXPECT(hears(v, OP_RW, PORT_SOURCE), "no data although there is credit");
    while (stream.total < 1000 && next_packet(v, WORK_MS))
        ;
    EXPECT(hears_nothing(v), "data came without credit");
    EXPECT_IS(stream.total, 1000, "other than the credit came");
    return NULL;
}

static const char *credit_taken_back(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    stream.room = 5000;
    EXPECT(connects(v, PORT_SOURCE), "no connection");
    while (stream.total < 5000 && next_packet(v, WORK_MS))
        ;
    EXPECT(hears_nothing(v), "data came without credit");
    EXPECT_IS(stream.total, 5000, "other than the credit came");
    stream.room = 10; /* less than is on its way: no room, not four billion bytes of it */
    EXPECT(say(v, OP_CREDIT_UPDATE, PORT_SOURCE, 0) && hears_nothing(v), "data came without credit");
    stream.room = 0;
    stream.forwarded = 5000;
    EXPECT(say(v, OP_CREDIT_UPDATE, PORT_SOURCE, 0) && hears_nothing(v), "data came without credit");
    stream.room = 77;
    EXPECT(say(v, OP_CREDIT_UPDATE, PORT_SOURCE, 0) && hears(v, OP_RW, PORT_SOURCE), "no data with credit");
    while (stream.total < 5077 && next_packet(v, WORK_MS))
        ;
    EXPECT_IS(stream.total, 5077, "other than the credit came");
    return NULL;
}

static const char *more_forwarded_than_came(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO) && echoes(v, 100), "no connection");
    stream.forwarded = 101;
    EXPECT(say(v, OP_CREDIT_UPDATE, PORT_ECHO, 0), "a packet was not taken");
    EXPECT(hears(v, OP_RST, PORT_ECHO), "a guest that forwarded what never came is believed");
    return NULL;
}

static const char *forwarded_half_way_round(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    stream.forwarded = 0x80000000;
    EXPECT(say(v, OP_RW, PORT_ECHO, 5) && hears(v, OP_RST, PORT_ECHO), "a counter far behind is believed");
    return NULL;
}

static const char *all_data_with_unbounded_credit(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    stream.room = UINT32_MAX;
    EXPECT(connects(v, PORT_SOURCE), "no connection");
    while (stream.total < PLENTY && next_packet(v, WORK_MS))
        ;
    EXPECT_IS(stream.total, PLENTY, "not all came");
    return NULL;
}

/* The answer is one: what is owed does not pile up. */
static const char *credit_requests_without_buffers(struct virtio *v)
{
    const struct packet *packet;

    begin_vsock(v, 1, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    RX_RINGS->avail.index--; /* the only buffer, which went back, is gone again */
    for (unsigned int i = 0; i < 200; i++)
        EXPECT(say(v, OP_CREDIT_REQUEST, PORT_ECHO, 0), "a packet was not taken");
    begin_vsock(v, 0, 0);
    EXPECT_IS(status_of(v), RUNNING, "it gave up");
    give_buffers(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    for (unsigned int i = 0; i < 30; i++)
        EXPECT(say(v, OP_CREDIT_REQUEST, PORT_ECHO, 0), "a packet was not taken");
    for (unsigned int i = 0; (packet = next_packet(v, i == 0 ? WORK_MS : 10)); i++) {
        EXPECT_IS(packet->operation, OP_CREDIT_UPDATE, "another answer");
        EXPECT_IS(packet->room, CREDIT_OF_HOST, "another credit");
        EXPECT(i < 30, "more answers than requests");
    }
    return NULL;
}

/* Packets of no connection, more than resets can wait: the guest's packets wait then, none is lost. */
static const char *resets_without_buffers(struct virtio *v)
{
    uint16_t heard = 0, asked = 100;

    begin_vsock(v, 0, 0);
    *(struct packet *)SEND_AREA = packet_of(OP_RW, PORT_NONE, 0);
    for (uint16_t i = 0; i < QUEUE_SIZE; i++) {
        describe(i, SEND_AREA, sizeof(struct packet), 0, 0);
        offer(i);
    }
    notify(v);
    await(v, QUEUE_SIZE, WORK_MS);
    for (uint16_t i = QUEUE_SIZE; i < asked; i++)
        offer((uint16_t)(i - QUEUE_SIZE));
    notify(v);
    pass(QUIET_MS * 1000);
    EXPECT(rings.used.index < asked, "packets are taken whose answer has no place");
    give_buffers(v, 32, 4096);
    while (next_packet(v, heard < asked ? WORK_MS : 10))
        heard++;
    EXPECT_IS(heard, asked, "not as many resets as packets");
    return NULL;
}

static const char *length_beyond_the_buffer(struct virtio *v)
{
    struct packet packet;

    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    packet = packet_of(OP_RW, PORT_ECHO, 101);
    send_packet(v, &packet, 100);
    EXPECT(gives_up(v), "a packet shorter than it says is taken");
    return NULL;
}

static const char *buffer_of_a_header_alone(struct virtio *v)
{
    begin_vsock(v, 1, sizeof(struct packet));
    say(v, OP_REQUEST, PORT_ECHO, 0);
    EXPECT(gives_up(v), "a buffer that takes no data is used");
    return NULL;
}

static const char *buffer_to_be_read(struct virtio *v)
{
    begin_vsock(v, 1, 4096);
    set_register(v, REG_STATUS, 0);
    begin_vsock(v, 0, 0);
    describe_in(RX_RINGS, 0, RECEIVE_AREA, 4096, 0, 0);
    offer_in(RX_RINGS, 0);
    kick_queue(v, VSOCK_RX_QUEUE);
    say(v, OP_REQUEST, PORT_ECHO, 0);
    EXPECT(gives_up(v), "a buffer that is to be read is written to");
    return NULL;
}

/* A byte of data in each. */
static const char *buffers_with_room_for_a_byte(struct virtio *v)
{
    begin_vsock(v, 32, sizeof(struct packet) + 1);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    EXPECT(echoes(v, 300), "other bytes came back than were sent");
    return NULL;
}

/* Nothing happened, so nothing is told, however many buffers wait. */
static const char *event_queue_flood(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    for (uint16_t i = 0; i < QUEUE_SIZE; i++) {
        describe_in(EVENT_RINGS, i, BUFFER(3), i % 8, i % 2 ? DESC_WRITE : 0, 0);
        offer_in(EVENT_RINGS, i);
    }
    for (unsigned int i = 0; i < 300; i++)
        kick_queue(v, VSOCK_EVENT_QUEUE);
    EXPECT(connects(v, PORT_ECHO) && echoes(v, 100), "the flood keeps it from its work");
    EXPECT_IS(EVENT_RINGS->used.index, 0, "an event that did not happen");
    return NULL;
}

static const struct trial vsock_credit_trials[] = {
    T(credit_overflow), T(more_than_all_credit_at_once), T(no_credit_for_the_host), T(credit_taken_back),
    T(more_forwarded_than_came), T(forwarded_half_way_round), T(all_data_with_unbounded_credit),
    T(credit_requests_without_buffers), T(resets_without_buffers), T(length_beyond_the_buffer),
    T(buffer_of_a_header_alone), T(buffer_to_be_read), T(buffers_with_room_for_a_byte), T(event_queue_flood),
};

#endif
