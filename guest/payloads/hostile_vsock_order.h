/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_VSOCK_ORDER_H
#define MOTE_PAYLOAD_HOSTILE_VSOCK_ORDER_H

/* Packets out of order: twice, after the end, of others, amid a reset (virtio 1.2, 5.10.6.4 to 5.10.6.6). */

#include "hostile_vsock.h"

static const char *echo_and_end(struct virtio *v)
{
    struct packet packet;

    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    EXPECT(echoes(v, 1) && echoes(v, 3000), "other bytes came back than were sent");
    packet = packet_of(OP_SHUTDOWN, PORT_ECHO, 0);
    packet.flags = 3;
    EXPECT(send_packet(v, &packet, 0) && hears(v, OP_RST, PORT_ECHO), "the end is not answered by a reset");
    EXPECT(say(v, OP_RW, PORT_ECHO, 5) && hears(v, OP_RST, PORT_ECHO), "data after the end is not reset");
    return NULL;
}

static const char *connected_twice(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    EXPECT(say(v, OP_REQUEST, PORT_ECHO, 0) && hears(v, OP_RST, PORT_ECHO), "a second request is not reset");
    EXPECT(say(v, OP_RW, PORT_ECHO, 5) && hears(v, OP_RST, PORT_ECHO), "the connection outlives its reset");
    EXPECT(connects(v, PORT_ECHO) && echoes(v, 100), "the ports cannot be had again");
    return NULL;
}

/* Both requests stand in the queue before the device looks. */
static const char *connected_twice_at_once(struct virtio *v)
{
    const struct packet *packet;

    begin_vsock(v, 32, 4096);
    *(struct packet *)SEND_AREA = packet_of(OP_REQUEST, PORT_ECHO, 0);
    for (uint16_t i = 0; i < 2; i++) {
        describe(i, SEND_AREA, sizeof(struct packet), 0, 0);
        offer(i);
    }
    notify(v);
    EXPECT(await(v, 2, WORK_MS), "the packets were not taken");
    stream.sent = 2;
    packet = next_packet(v, WORK_MS);
    if (packet && packet->operation == OP_RESPONSE)
        packet = next_packet(v, WORK_MS);
    EXPECT(packet && packet->operation == OP_RST, "the second request is not reset");
    EXPECT(hears_nothing(v), "more came than one reset");
    return NULL;
}

static const char *data_after_shutdown(struct virtio *v)
{
    struct packet packet;

    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_SINK), "no connection");
    packet = packet_of(OP_SHUTDOWN, PORT_SINK, 0);
    packet.flags = 2; /* no more is sent */
    EXPECT(send_packet(v, &packet, 0), "a packet was not taken");
    EXPECT(say(v, OP_RW, PORT_SINK, 5), "a packet was not taken");
    EXPECT(hears(v, OP_RST, PORT_SINK), "data came after its end, and is taken");
    return NULL;
}

static const char *no_data_after_receive_shutdown(struct virtio *v)
{
    struct packet packet;

    begin_vsock(v, 32, 4096);
    stream.room = 0;
    EXPECT(connects(v, PORT_SOURCE), "no connection");
    packet = packet_of(OP_SHUTDOWN, PORT_SOURCE, 0);
    packet.flags = 1; /* no more is received */
    packet.room = 65536;
    EXPECT(send_packet(v, &packet, 0), "a packet was not taken");
    while (next_packet(v, 10))
        ;
    EXPECT_IS(stream.total, 0, "data came that is not wanted any more");
    return NULL;
}

static const char *shutdown_of_unknown_flags(struct virtio *v)
{
    struct packet packet;

    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    packet = packet_of(OP_SHUTDOWN, PORT_ECHO, 0);
    packet.flags = 0xfffffffc;
    EXPECT(send_packet(v, &packet, 0) && hears_nothing(v), "unknown flags end a connection");
    EXPECT(echoes(v, 100), "unknown flags end a direction");
    return NULL;
}

static const char *reset_is_not_answered(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    EXPECT(say(v, OP_RST, PORT_ECHO, 0) && hears_nothing(v), "a reset is answered");
    EXPECT(say(v, OP_RST, PORT_ECHO, 0) && hears_nothing(v), "a reset of nothing is answered");
    EXPECT(say(v, OP_RW, PORT_ECHO, 5) && hears(v, OP_RST, PORT_ECHO), "data of no connection is taken");
    return NULL;
}

/* Each ends the connection by a reset. */
static const char *cut_off_by(struct virtio *v, uint16_t operation)
{
    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    EXPECT(say(v, operation, PORT_ECHO, 0) && hears(v, OP_RST, PORT_ECHO), "it is not reset");
    EXPECT(say(v, OP_CREDIT_REQUEST, PORT_ECHO, 0) && hears(v, OP_RST, PORT_ECHO), "it lives on");
    return NULL;
}
static const char *response_again(struct virtio *v) { return cut_off_by(v, OP_RESPONSE); }
static const char *operation_0(struct virtio *v) { return cut_off_by(v, 0); }
static const char *operation_8(struct virtio *v) { return cut_off_by(v, 8); }
static const char *operation_65535(struct virtio *v) { return cut_off_by(v, UINT16_MAX); }

static const char *empty_data(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    for (unsigned int i = 0; i < 20; i++)
        EXPECT(say(v, OP_RW, PORT_ECHO, 0), "a packet was not taken");
    EXPECT(hears_nothing(v), "no data is answered");
    EXPECT(echoes(v, 10), "the connection is gone");
    return NULL;
}

static const char *another_source(struct virtio *v)
{
    static const uint64_t sources[] = { 0, 1, 2, 4, UINT32_MAX, 1ull << 32 | GUEST_CID, UINT64_MAX };
    struct packet packet;

    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    for (unsigned int i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        packet = packet_of(OP_RST, PORT_ECHO, 0);
        packet.from = sources[i];
        EXPECT(send_packet(v, &packet, 0), "a packet was not taken");
    }
    EXPECT(hears_nothing(v) && echoes(v, 50), "a packet of another source counts");
    return NULL;
}

static const char *another_destination(struct virtio *v)
{
    static const uint64_t destinations[] = { 0, 1, 3, 77, UINT32_MAX, 1ull << 32 | HOST_CID };
    struct packet packet;

    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    for (unsigned int i = 0; i < sizeof(destinations) / sizeof(destinations[0]); i++) {
        const struct packet *answer;

        packet = packet_of(OP_REQUEST, PORT_ECHO, 0);
        packet.to = destinations[i];
        EXPECT(send_packet(v, &packet, 0), "a packet was not taken");
        answer = next_packet(v, WORK_MS);
        EXPECT(answer && answer->operation == OP_RST && answer->from == destinations[i],
               "a packet to elsewhere is not reset in that one's name");
    }
    EXPECT(echoes(v, 50), "the connection is gone");
    return NULL;
}

static const char *another_type(struct virtio *v)
{
    struct packet packet;
    const struct packet *answer;

    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO), "no connection");
    packet = packet_of(OP_RW, PORT_ECHO, 0);
    packet.type = 2;
    EXPECT(send_packet(v, &packet, 0), "a packet was not taken");
    answer = next_packet(v, WORK_MS);
    EXPECT(answer && answer->operation == OP_RST && answer->type == 2, "a packet of another type is not reset");
    EXPECT(echoes(v, 50), "the connection is gone");
    return NULL;
}

static const char *nobody_listens(struct virtio *v)
{
    begin_vsock(v, 32, 4096);
    for (unsigned int i = 0; i < 5; i++)
        EXPECT(say(v, OP_REQUEST, PORT_NONE, 0) && hears(v, OP_RST, PORT_NONE), "no reset");
    return NULL;
}

static const char *closed_at_once(struct virtio *v)
{
    const struct packet *packet;

    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_CLOSED), "no connection");
    do
        packet = next_packet(v, WORK_MS);
    while (packet && packet->operation != OP_SHUTDOWN && packet->operation != OP_RST);
    EXPECT(packet, "the guest does not hear of the end");
    say(v, OP_RW, PORT_CLOSED, 1000);
    EXPECT(!gave_up(v), "it gave up");
    return NULL;
}

/* Their other ends hear of it; the device has room for as many again. */
static const char *reset_with_connections(struct virtio *v)
{
    for (unsigned int i = 0; i < 5; i++) {
        begin_vsock(v, 32, 4096);
        for (unsigned int c = 0; c < 6; c++) {
            uint32_t port = c % 2 ? PORT_ECHO : PORT_SINK;
            const struct packet *packet;

            stream.port++;
            EXPECT(say(v, OP_REQUEST, port, 0), "a packet was not taken");
            do /* data of those before comes between */
                packet = next_packet(v, WORK_MS);
            while (packet && packet->to_port != stream.port);
            EXPECT(packet && packet->operation == OP_RESPONSE, "no connection");
            EXPECT(say(v, OP_RW, port, 3000), "a packet was not taken");
        }
    }
    return NULL;
}

/* Data is on its way into the guest; after a reset none of it comes. */
static const char *reset_amid_data(struct virtio *v)
{
    for (unsigned int i = 0; i < 5; i++) {
        begin_vsock(v, 16, 2048);
        EXPECT(connects(v, PORT_SOURCE), "no connection");
        set_register(v, REG_STATUS, 0);
        RX_RINGS->used.index = 0x5a5a;
        clear((void *)RECEIVE_AREA, 4096 * 16);
        pass(500);
        EXPECT_IS(RX_RINGS->used.index, 0x5a5a, "the used ring was written to after a reset");
        for (unsigned int b = 0; b < 16; b++)
            EXPECT_IS(*(volatile uint64_t *)(RECEIVE_AREA + 4096 * b), 0, "a buffer was written to after a reset");
    }
    return NULL;
}

/* Headers and data that the other processor changes while they are read. */
static void keeps_changing_packet(struct virtio *v)
{
    volatile uint32_t *words = (volatile uint32_t *)SEND_AREA;
    uint32_t state = 7;

    (void)v;
    while (!other_cpu.stop) {
        words[any(&state) % 11] = any(&state);
        words[6] = any(&state) % 2 ? 16 : any(&state);
    }
}

static const char *packet_changed_in_flight(struct virtio *v)
{
    for (unsigned int i = 0; i < 5; i++) {
        begin_vsock(v, 32, 4096);
        EXPECT(connects(v, PORT_ECHO), "no connection");
        other_begins(v, keeps_changing_packet);
        for (unsigned int n = 0; n < 50 && !gave_up(v); n++) {
            say(v, OP_RW, PORT_ECHO, 16);
            next_packet(v, 0);
        }
        other_stops();
    }
    begin_vsock(v, 32, 4096);
    EXPECT(connects(v, PORT_ECHO) && echoes(v, 100), "no connection afterwards");
    return NULL;
}



/* More requests than the device asks the host for in a second: each has its answer, and the next ones are asked for again. */
static const char *flood_of_requests(struct virtio *v)
{
    uint16_t asked = 0;
    uint32_t heard = 0;

    begin_vsock(v, 32, 4096);
    for (unsigned int i = 0; i < 75; i++) {
        *(struct packet *)SEND_AREA = packet_of(OP_REQUEST, PORT_NONE, 0);
        for (uint16_t n = 0; n < 20; n++) {
            describe(n, SEND_AREA, sizeof(struct packet), 0, 0);
            offer(n);
        }
        notify(v);
        asked += 20;
        while (heard < asked) {
            const struct packet *packet = next_packet(v, WORK_MS);

            EXPECT(packet, "a request has no answer");
            EXPECT_IS(packet->operation, OP_RST, "another answer than a reset");
            heard++;
        }
    }
    EXPECT(await(v, asked, WORK_MS) && hears_nothing(v), "more answers than requests");
    stream.sent = asked;
    pass(1200 * 1000);
    EXPECT(connects(v, PORT_ECHO) && echoes(v, 10), "no connection after a flood of requests");
    return NULL;
}

static const struct trial vsock_order_trials[] = {
    T(echo_and_end), T(connected_twice), T(connected_twice_at_once), T(data_after_shutdown),
    T(no_data_after_receive_shutdown), T(shutdown_of_unknown_flags), T(reset_is_not_answered), T(response_again),
    T(operation_0), T(operation_8), T(operation_65535), T(empty_data), T(another_source), T(another_destination),
    T(another_type), T(nobody_listens), T(closed_at_once), T(reset_with_connections), T(reset_amid_data),
    T(packet_changed_in_flight), T(flood_of_requests),
};

#endif
