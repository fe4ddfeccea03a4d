/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_NET_SEND_H
#define MOTE_PAYLOAD_HOSTILE_NET_SEND_H

/* Frames whose headers ask for the absurd (virtio 1.2, 5.1.6.2). */

#include "hostile_net.h"

struct net_header {
    uint8_t flags, gso_type;
    uint16_t header_length, gso_size, checksum_start, checksum_offset, buffers;
};

/* A frame of LENGTH bytes, TCP over IPv4 by its looks. */
static void send_frame(const struct virtio *v, struct net_header header, uint32_t length)
{
    uint8_t *frame = (uint8_t *)NET_OUT + NET_HEADER;

    clear(frame, length > 14 ? length : 14);
    *(struct net_header *)NET_OUT = header;
    for (unsigned int i = 0; i < 6; i++)
        frame[i] = 0xff;
    frame[6] = 2;
    frame[12] = 8;
    frame[14] = 0x45;
    frame[16] = (uint8_t)((length - 14) >> 8);
    frame[17] = (uint8_t)(length - 14);
    frame[22] = 64;
    frame[23] = 6;
    frame[46] = 0x50;
    describe(0, NET_OUT, NET_HEADER + length, 0, 0);
    offer(0);
    notify(v);
}

/* Whatever the host's kernel says to it: the buffer comes back, and the device goes on. */
static const char *returned(struct virtio *v, struct net_header header, uint32_t length)
{
    for (unsigned int i = 0; i < 3; i++) {
        send_frame(v, header, length);
        EXPECT(await(v, rings.avail.index, WORK_MS), "the frame did not come back");
    }
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *absurd_segment_sizes(struct virtio *v)
{
    static const uint8_t types[] = { 1, 4, 0x81, 0x84, 5 };
    static const uint16_t sizes[] = { 0, 1, 2, 7, 1448, 32767, 65535 };
    const char *failure;

    begin_all(v, NET_ALL);
    for (unsigned int t = 0; t < sizeof(types); t++) {
        uint64_t needed = types[t] == 5 ? NET_USO : types[t] & 0x80 ? 3ull << 11 | 1ull << 13 : 3ull << 11;

        if ((features_of(v) & needed) != needed)
            continue;
        for (unsigned int s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            struct net_header header = { 1, types[t], 54, sizes[s], 34, 16, 0 };

            if ((failure = returned(v, header, 4000)))
                return failure;
        }
    }
    return NULL;
}

static const char *segments_of_a_byte_each(struct virtio *v)
{
    begin_all(v, NET_ALL);
    return returned(v, (struct net_header){ 1, 1, 54, 1, 34, 16, 0 }, 60000);
}

static const char *absurd_header_lengths(struct virtio *v)
{
    static const uint16_t lengths[] = { 0, 1, 13, 4001, 65535 };
    const char *failure;

    begin_all(v, NET_ALL);
    for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        if ((failure = returned(v, (struct net_header){ 1, 1, lengths[i], 1000, 34, 16, 0 }, 4000)))
            return failure;
    return NULL;
}

static const char *absurd_checksums(struct virtio *v)
{
    static const uint16_t places[][2] = { { 0, 0 }, { 65535, 0 }, { 0, 65535 }, { 65535, 65535 }, { 99, 0 }, { 98, 0 }, { 97, 65535 } };
    const char *failure;

    begin_all(v, NET_ALL);
    for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if ((failure = returned(v, (struct net_header){ 0xff, 0, 0, 0, places[i][0], places[i][1], 0xffff }, 100)))
            return failure;
    return NULL;
}

/* Offloads that were not agreed on, and those that do not exist. */
static const char *offloads_without_agreement(struct virtio *v)
{
    static const uint8_t types[] = { 1, 2, 3, 4, 5, 6, 0x7f, 0x80, 0x81, 0xff };

    for (unsigned int i = 0; i < sizeof(types); i++) {
        begin_all(v, NET_MRG);
        send_frame(v, (struct net_header){ 0, types[i], 54, 1000, 0, 0, 0 }, 4000);
        EXPECT_IS(gives_up(v) ? 0 : types[i], 0, "an offload that was not agreed on is used");
        EXPECT_IS(rings.used.index, 0, "the frame was taken");
    }
    return NULL;
}

static const char *unknown_segment_types(struct virtio *v)
{
    static const uint8_t types[] = { 2, 6, 7, 0x7f, 0x80, 0x82, 0x85, 0xff };

    for (unsigned int i = 0; i < sizeof(types); i++) {
        begin_all(v, NET_ALL);
        send_frame(v, (struct net_header){ 1, types[i], 54, 1000, 34, 16, 0 }, 4000);
        EXPECT_IS(gives_up(v) ? 0 : types[i], 0, "a type that does not exist is used");
    }
    return NULL;
}

static const char *frames_of_all_short_lengths(struct virtio *v)
{
    begin_all(v, 0);
    for (uint32_t length = 0; length < 20; length++) {
        describe(0, NET_OUT, NET_HEADER + length, 0, 0);
        clear((void *)NET_OUT, NET_HEADER);
        offer(0);
        notify(v);
        EXPECT(await(v, rings.avail.index, WORK_MS), "the frame did not come back");
    }
    return NULL;
}

static const char *frames_that_are_too_long(struct virtio *v)
{
    begin_all(v, NET_ALL);
    for (uint32_t length = 65590; length < 65700; length += 10) {
        clear((void *)NET_OUT, NET_HEADER);
        describe(0, NET_OUT, NET_HEADER + length, 0, 0);
        offer(0);
        notify(v);
        EXPECT(await(v, rings.avail.index, WORK_MS), "the frame did not come back");
    }
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *header_of_a_byte_each(struct virtio *v)
{
    begin_all(v, 0);
    clear((void *)NET_OUT, 200);
    for (uint16_t i = 0; i < 40; i++)
        describe(i, NET_OUT + i, 1, DESC_NEXT, (uint16_t)(i + 1));
    describe(40, NET_OUT + 40, 60, 0, 0);
    offer(0);
    notify(v);
    EXPECT(await(v, 1, WORK_MS), "the frame did not come back");
    return NULL;
}

static const char *header_that_is_short(struct virtio *v)
{
    for (uint32_t length = 0; length < NET_HEADER; length++) {
        begin_all(v, 0);
        describe(0, NET_OUT, length, 0, 0);
        offer(0);
        notify(v);
        EXPECT(gives_up(v), "a frame without a header is taken");
    }
    return NULL;
}

static const char *frame_to_be_written(struct virtio *v)
{
    begin_all(v, 0);
    describe(0, NET_OUT, 100, DESC_NEXT, 1);
    describe(1, NET_OUT + 100, 100, DESC_WRITE, 0);
    offer(0);
    notify(v);
    EXPECT(gives_up(v), "a frame that the device should write is sent");
    return NULL;
}

static void keeps_changing_header(struct virtio *v)
{
    volatile uint32_t *words = (volatile uint32_t *)NET_OUT;
    uint32_t state = 11;

    (void)v;
    while (!other_cpu.stop)
        words[any(&state) % 3] = any(&state);
}

static const char *header_changed_in_flight(struct virtio *v)
{
    for (unsigned int n = 0; n < 30; n++) {
        begin_all(v, NET_ALL);
        clear((void *)NET_OUT, 200);
        if (n == 0)
            other_begins(v, keeps_changing_header);
        for (unsigned int i = 0; i < 10 && !gave_up(v); i++) {
            describe(0, NET_OUT, NET_HEADER + 100, 0, 0);
            offer(0);
            notify(v);
            await_in(v, &rings, rings.avail.index, WORK_MS);
        }
    }
    other_stops();
    begin_all(v, NET_ALL);
    EXPECT(serves(v, 3), "it no longer serves");
    return NULL;
}

static const struct trial net_send_trials[] = {
    T(absurd_segment_sizes), T(segments_of_a_byte_each), T(absurd_header_lengths), T(absurd_checksums),
    T(offloads_without_agreement), T(unknown_segment_types), T(frames_of_all_short_lengths),
    T(frames_that_are_too_long), T(header_of_a_byte_each), T(header_that_is_short), T(frame_to_be_written),
    T(header_changed_in_flight),
};

#endif
