/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_NET_H
#define MOTE_PAYLOAD_HOSTILE_NET_H

/*
 * The network on a tap of two pairs with all offloads, into which the host sends
 * frames when it is asked to; and receive buffers that are hardly any (virtio 1.2, 5.1.6.3).
 */

#include "hostile_host.h"

enum { NET_RX, NET_TX, NET_CONTROL = 4 };
#define NET_CSUM (1ull << 0)
#define NET_HOST_TSO (3ull << 11)
#define NET_MRG (1ull << 15)
#define NET_CTRL (1ull << 17)
#define NET_MQ (1ull << 22)
#define NET_USO (1ull << 56)
#define NET_ALL (NET_CSUM | NET_HOST_TSO | NET_MRG | NET_CTRL | NET_MQ | NET_USO | 15ull << 11)
#define NET_HEADER 12
/* Ethernet, IP and UDP in front of a datagram's bytes. */
#define FRAME_OVERHEAD (NET_HEADER + 14 + 20 + 8)
#define NET_AREA (8ull << 20) /* 4 KiB for each receive buffer */
#define NET_OUT (16ull << 20)
#define NET_RINGS (&others[NET_RX].rings)
#define CONTROL_RINGS (&others[NET_CONTROL].rings)

static void give_net_buffers(const struct virtio *v, unsigned int count, uint32_t size)
{
    for (unsigned int i = 0; i < count; i++) {
        describe_in(NET_RINGS, i, NET_AREA + 4096 * i, size, DESC_WRITE, 0);
        offer_in(NET_RINGS, (uint16_t)i);
    }
    kick_queue(v, NET_RX);
}

static uint16_t buffers_in_header(uint16_t used) /* the frame that begins there */
{
    return *(uint16_t *)(NET_RINGS->desc[NET_RINGS->used.ring[used % QUEUE_SIZE].id].address + 10);
}

static uint32_t bytes_of(uint16_t first, uint16_t count)
{
    uint32_t bytes = 0;

    for (uint16_t i = 0; i < count; i++)
        bytes += NET_RINGS->used.ring[(first + i) % QUEUE_SIZE].length;
    return bytes;
}

static const char *buffers_of(struct virtio *v, uint64_t features, uint32_t size, uint16_t flags)
{
    begin_all(v, features);
    for (uint16_t i = 0; i < QUEUE_SIZE; i++) {
        describe_in(NET_RINGS, i, NET_AREA + i, size, flags, 0);
        offer_in(NET_RINGS, i);
    }
    kick_queue(v, NET_RX);
    EXPECT(gives_up(v), "a buffer without room for the header is used");
    EXPECT_IS(NET_RINGS->used.index, 0, "a buffer came back");
    return NULL;
}
static const char *mergeable_buffers_of_one_byte(struct virtio *v) { return buffers_of(v, NET_ALL, 1, DESC_WRITE); }
static const char *single_buffers_of_one_byte(struct virtio *v) { return buffers_of(v, 0, 1, DESC_WRITE); }
static const char *mergeable_buffers_of_11_bytes(struct virtio *v) { return buffers_of(v, NET_ALL, 11, DESC_WRITE); }
static const char *mergeable_buffers_of_nothing(struct virtio *v) { return buffers_of(v, NET_ALL, 0, DESC_WRITE); }
static const char *receive_buffers_to_be_read(struct virtio *v) { return buffers_of(v, NET_ALL, 2000, 0); }

/* A datagram of 20 bytes over buffers of SIZE. */
static const char *frame_over(struct virtio *v, uint32_t size)
{
    uint32_t total = FRAME_OVERHEAD + 20;
    uint16_t wanted = (uint16_t)((total + size - 1) / size);

    begin_all(v, NET_MRG);
    give_net_buffers(v, 32, size);
    EXPECT(host_does("frames 1 20"), "the host could not send");
    EXPECT(await_in(v, NET_RINGS, wanted, WORK_MS), "the frame did not come in so many buffers");
    EXPECT_IS(buffers_in_header(0), wanted, "the header tells of another number of buffers");
    EXPECT_IS(bytes_of(0, wanted), total, "the buffers tell of another length");
    return NULL;
}
static const char *frame_over_buffers_of_a_header(struct virtio *v) { return frame_over(v, NET_HEADER); }
static const char *frame_over_buffers_of_13_bytes(struct virtio *v) { return frame_over(v, 13); }
static const char *frame_in_one_buffer(struct virtio *v) { return frame_over(v, 2048); }

/* Each buffer is 32 descriptors of a byte. */
static const char *frame_over_descriptors_of_a_byte(struct virtio *v)
{
    begin_all(v, NET_MRG);
    for (uint16_t i = 0; i < QUEUE_SIZE; i++)
        describe_in(NET_RINGS, i, NET_AREA + i, 1, (uint16_t)(DESC_WRITE | (i % 32 == 31 ? 0 : DESC_NEXT)),
                    (uint16_t)(i + 1));
    offer_in(NET_RINGS, 0);
    offer_in(NET_RINGS, 32);
    kick_queue(v, NET_RX);
    EXPECT(host_does("frames 1 2"), "the host could not send");
    EXPECT(await_in(v, NET_RINGS, 2, WORK_MS), "the frame did not come in two buffers");
    EXPECT_IS(bytes_of(0, 2), FRAME_OVERHEAD + 2, "the buffers tell of another length");
    EXPECT_IS(*(uint16_t *)(NET_AREA + 10), 2, "the header tells of another number of buffers");
    EXPECT_IS(*(uint16_t *)(NET_AREA + NET_HEADER + 12), 8, "the bytes are in another order");
    return NULL;
}

/* A frame that all buffers together cannot take is dropped; the next one is not. */
static const char *frame_larger_than_all(struct virtio *v, uint64_t features, uint32_t size)
{
    agree(v, features);
    set_up(v, NET_TX, &rings);
    set_register(v, REG_QUEUE_SEL, NET_RX);
    offer_queue(v, 4, (uint64_t)NET_RINGS->desc, (uint64_t)&NET_RINGS->avail, (uint64_t)&NET_RINGS->used);
    drive(v);
    for (uint16_t i = 0; i < 4; i++) {
        describe_in(NET_RINGS, i, NET_AREA + 4096 * i, size, DESC_WRITE, 0);
        NET_RINGS->avail.ring[i] = i;
    }
    NET_RINGS->avail.index = 4;
    kick_queue(v, NET_RX);
    EXPECT(host_does("frames 3 1000"), "the host could not send");
    pass(QUIET_MS * 1000);
    EXPECT_IS(NET_RINGS->used.index, 0, "a part of a frame came");
    EXPECT(host_does("frames 1 20"), "the host could not send");
    EXPECT(await_in(v, NET_RINGS, features ? 3 : 1, WORK_MS), "the frame behind it did not come");
    EXPECT(!gave_up(v), "it gave up");
    return NULL;
}
static const char *frame_larger_than_all_buffers(struct virtio *v) { return frame_larger_than_all(v, NET_MRG, 30); }
static const char *frame_larger_than_its_buffer(struct virtio *v) { return frame_larger_than_all(v, 0, 100); }

static const char *number_of_buffers_without_merging(struct virtio *v)
{
    begin_all(v, 0);
    give_net_buffers(v, 4, 2048);
    EXPECT(host_does("frames 2 100"), "the host could not send");
    EXPECT(await_in(v, NET_RINGS, 2, WORK_MS), "the frames did not come");
    EXPECT_IS(buffers_in_header(0), 1, "not one buffer");
    EXPECT_IS(NET_RINGS->used.ring[0].length, FRAME_OVERHEAD + 100, "another length");
    return NULL;
}

/* Buffers come one by one while frames wait. */
static const char *buffers_dripped(struct virtio *v)
{
    begin_all(v, NET_MRG);
    EXPECT(host_does("frames 4 500"), "the host could not send");
    for (uint16_t i = 0; i < 48; i++) {
        describe_in(NET_RINGS, i, NET_AREA + 4096 * i, 50, DESC_WRITE, 0);
        offer_in(NET_RINGS, i);
        kick_queue(v, NET_RX);
    }
    EXPECT(await_in(v, NET_RINGS, 48, WORK_MS), "the frames did not come in 12 buffers each");
    for (uint16_t i = 0; i < 48; i += 12)
        EXPECT_IS(buffers_in_header(i), 12, "the header tells of another number of buffers");
    return NULL;
}

static const char *reset_amid_frames(struct virtio *v)
{
    uint8_t answer;

    ask_host("frames 2000 200");
    do {
        begin_all(v, NET_MRG);
        give_net_buffers(v, QUEUE_SIZE, 2048);
        pass(200);
        set_register(v, REG_STATUS, 0);
        NET_RINGS->used.index = 0x5a5a;
        for (unsigned int i = 0; i < QUEUE_SIZE; i++)
            *(volatile uint64_t *)(NET_AREA + 4096 * i) = 0x5a;
        pass(200);
        EXPECT_IS(NET_RINGS->used.index, 0x5a5a, "the used ring was written to after a reset");
        for (unsigned int i = 0; i < QUEUE_SIZE; i++)
            EXPECT_IS(*(volatile uint64_t *)(NET_AREA + 4096 * i), 0x5a, "a buffer was written to after a reset");
    } while (!(answer = host_answer()));
    EXPECT_IS(answer, 'y', "the host could not send");
    return NULL;
}

/* Those of the first start, which the device has looked at, are not for the frames of the second. */
static const char *buffers_of_the_last_start(struct virtio *v)
{
    const volatile uint8_t *old = (const volatile uint8_t *)NET_AREA;
    uint64_t place = NET_AREA + 4096 * QUEUE_SIZE;

    begin_all(v, NET_MRG);
    give_net_buffers(v, 8, 2048);
    pass(QUIET_MS * 1000);
    begin_all(v, NET_MRG);
    clear((void *)NET_AREA, 2048);
    describe_in(NET_RINGS, 5, place, 2048, DESC_WRITE, 0);
    offer_in(NET_RINGS, 5);
    kick_queue(v, NET_RX);
    EXPECT(host_does("frames 1 100"), "the host could not send");
    EXPECT(await_in(v, NET_RINGS, 1, WORK_MS), "the frame did not come");
    EXPECT_IS(NET_RINGS->used.ring[0].id, 5, "another buffer came back");
    EXPECT_IS(*(volatile uint8_t *)(place + FRAME_OVERHEAD), 0x33, "the frame is not in its buffer");
    for (unsigned int i = 0; i < 2048; i++)
        EXPECT_IS(old[i], 0, "a buffer of the last start was written to");
    return NULL;
}

static void keeps_changing_receive_buffers(struct virtio *v)
{
    uint32_t state = 9;

    (void)v;
    while (!other_cpu.stop) {
        unsigned int i = any(&state) % QUEUE_SIZE;

        NET_RINGS->desc[i].length = any(&state) % 3 ? 2048 : any(&state) % 4096;
        NET_RINGS->desc[i].flags = any(&state) % 4 ? DESC_WRITE : any(&state) & 7;
        NET_RINGS->desc[i].next = (uint16_t)(any(&state) % 80);
    }
}

static const char *receive_buffers_changed_in_flight(struct virtio *v)
{
    volatile uint64_t *beside = (volatile uint64_t *)(NET_AREA + 4096 * QUEUE_SIZE);
    uint8_t answer;

    *beside = 0x77;
    begin_all(v, NET_MRG);
    ask_host("frames 1000 200");
    other_begins(v, keeps_changing_receive_buffers);
    do {
        if (!gave_up(v) && NET_RINGS->used.index != NET_RINGS->avail.index)
            continue;
        begin_all(v, NET_MRG);
        give_net_buffers(v, QUEUE_SIZE, 2048);
        pass(100);
    } while (!(answer = host_answer()));
    other_stops();
    EXPECT_IS(answer, 'y', "the host could not send");
    EXPECT_IS(*beside, 0x77, "a page was written to that no descriptor named");
    return NULL;
}

/* Each without all that it needs (5.1.3.1). */
static const char *features_without_what_they_need(struct virtio *v)
{
    static const uint8_t needy[] = { 7, 8, 9, 10, 11, 12, 13, 14, 22, 54, 55, 56 };
    uint64_t offered = features_of(v);

    for (unsigned int i = 0; i < sizeof(needy); i++) {
        if (!(offered & 1ull << needy[i]))
            continue;
        set_register(v, REG_STATUS, 0);
        EXPECT_IS(agree_exactly(v, (uint64_t)FEATURE_VERSION_1 << 32 | 1ull << needy[i]) ? needy[i] : 0, 0,
                  "a feature is taken without what it needs");
    }
    EXPECT(agree(v, UINT64_MAX), "all features together are refused");
    return NULL;
}

static const struct trial net_receive_trials[] = {
    T(mergeable_buffers_of_one_byte), T(single_buffers_of_one_byte), T(mergeable_buffers_of_11_bytes),
    T(mergeable_buffers_of_nothing), T(receive_buffers_to_be_read), T(frame_over_buffers_of_a_header),
    T(frame_over_buffers_of_13_bytes), T(frame_in_one_buffer), T(frame_over_descriptors_of_a_byte),
    T(frame_larger_than_all_buffers), T(frame_larger_than_its_buffer), T(number_of_buffers_without_merging),
    T(buffers_dripped), T(reset_amid_frames), T(receive_buffers_changed_in_flight),
    T(features_without_what_they_need), T(buffers_of_the_last_start),
};

#endif
