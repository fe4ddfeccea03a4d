/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_NET_CONTROL_H
#define MOTE_PAYLOAD_HOSTILE_NET_CONTROL_H

/* The control queue, with commands and acknowledgements that cannot be (virtio 1.2, 5.1.6.5). */

#include "hostile_net.h"

#define ACK (*(volatile uint8_t *)buffers[4])

/* CLASS, COMMAND and a number of pairs, of which LENGTH bytes are given; the acknowledgement, or 0xff. */
static uint8_t control_answer(const struct virtio *v, uint8_t class, uint8_t command, uint16_t pairs, uint32_t length)
{
    buffers[3][0] = class;
    buffers[3][1] = command;
    *(uint16_t *)(buffers[3] + 2) = pairs;
    ACK = 0xee;
    describe_in(CONTROL_RINGS, 0, BUFFER(3), length, DESC_NEXT, 1);
    describe_in(CONTROL_RINGS, 1, BUFFER(4), 1, DESC_WRITE, 0);
    offer_in(CONTROL_RINGS, 0);
    kick_queue(v, NET_CONTROL);
    return await_in(v, CONTROL_RINGS, CONTROL_RINGS->avail.index, WORK_MS) ? ACK : 0xff;
}

static const char *pairs_of_all_numbers(struct virtio *v)
{
    static const uint16_t bad[] = { 0, 3, 4, 256, 0x8000, 65535 };

    begin_all(v, NET_ALL);
    EXPECT_IS(control_answer(v, 4, 0, 2, 4), 0, "two pairs");
    EXPECT_IS(CONTROL_RINGS->used.ring[0].length, 1, "another used length");
    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        EXPECT_IS(control_answer(v, 4, 0, bad[i], 4), 1, "a number of pairs that there is not");
    EXPECT_IS(control_answer(v, 4, 0, 1, 4), 0, "one pair");
    EXPECT_IS(control_answer(v, 4, 0, 1, 3), 1, "half a number");
    EXPECT_IS(control_answer(v, 4, 0, 1, 2), 1, "no number");
    EXPECT_IS(control_answer(v, 4, 1, 1, 4), 1, "an unknown command");
    EXPECT_IS(control_answer(v, 0, 0, 1, 4), 1, "a class that was not agreed on");
    EXPECT_IS(control_answer(v, 0xff, 0xff, 1, 4), 1, "an unknown class");
    EXPECT_IS(control_answer(v, 4, 0, 2, 4096), 0, "more bytes than a number has");
    return NULL;
}

static const char *control_refused(struct virtio *v, uint32_t length, uint64_t acknowledgement, uint32_t ack_length, uint16_t flags)
{
    begin_all(v, NET_ALL);
    buffers[3][0] = 4;
    buffers[3][1] = 0;
    *(uint16_t *)(buffers[3] + 2) = 2;
    describe_in(CONTROL_RINGS, 0, BUFFER(3), length, DESC_NEXT, 1);
    describe_in(CONTROL_RINGS, 1, acknowledgement, ack_length, flags, 0);
    offer_in(CONTROL_RINGS, 0);
    kick_queue(v, NET_CONTROL);
    EXPECT(gives_up(v), "it is not refused");
    EXPECT_IS(CONTROL_RINGS->used.index, 0, "the command came back");
    return NULL;
}
static const char *acknowledgement_to_be_read(struct virtio *v) { return control_refused(v, 4, BUFFER(4), 1, 0); }
static const char *acknowledgement_of_nothing(struct virtio *v) { return control_refused(v, 4, BUFFER(4), 0, DESC_WRITE); }
static const char *acknowledgement_outside_ram(struct virtio *v) { return control_refused(v, 4, 1ull << 40, 1, DESC_WRITE); }
static const char *acknowledgement_in_a_device(struct virtio *v) { return control_refused(v, 4, 0xd0000000, 1, DESC_WRITE); }
static const char *acknowledgement_across_the_end(struct virtio *v) { return control_refused(v, 4, (32ull << 20) - 1, 2, DESC_WRITE); }
static const char *command_of_a_byte(struct virtio *v) { return control_refused(v, 1, BUFFER(4), 1, DESC_WRITE); }
static const char *command_of_nothing(struct virtio *v) { return control_refused(v, 0, BUFFER(4), 1, DESC_WRITE); }

static const char *acknowledgement_over_its_command(struct virtio *v)
{
    begin_all(v, NET_ALL);
    *(uint32_t *)buffers[3] = 4 | 2u << 16;
    describe_in(CONTROL_RINGS, 0, BUFFER(3), 4, DESC_NEXT, 1);
    describe_in(CONTROL_RINGS, 1, BUFFER(3), 4, DESC_WRITE, 0);
    offer_in(CONTROL_RINGS, 0);
    kick_queue(v, NET_CONTROL);
    EXPECT(await_in(v, CONTROL_RINGS, 1, WORK_MS), "it did not come back");
    EXPECT_IS(buffers[3][0], 0, "two pairs are refused");
    EXPECT_IS(buffers[3][2], 2, "more than the acknowledgement was written");
    return NULL;
}

static const char *acknowledgement_over_the_used_ring(struct virtio *v)
{
    begin_all(v, NET_ALL);
    *(uint32_t *)buffers[3] = 4 | 2u << 16;
    describe_in(CONTROL_RINGS, 0, BUFFER(3), 4, DESC_NEXT, 1);
    describe_in(CONTROL_RINGS, 1, (uint64_t)&CONTROL_RINGS->used, sizeof(CONTROL_RINGS->used), DESC_WRITE, 0);
    offer_in(CONTROL_RINGS, 0);
    kick_queue(v, NET_CONTROL);
    EXPECT(await_in(v, CONTROL_RINGS, 1, WORK_MS), "it did not come back");
    return NULL;
}

/* Without MQ the queue of the control has another number, and no command. */
static const char *control_without_pairs(struct virtio *v)
{
    begin_all(v, NET_CTRL);
    *(uint32_t *)buffers[3] = 4 | 2u << 16;
    ACK = 0xee;
    describe_in(&others[2].rings, 0, BUFFER(3), 4, DESC_NEXT, 1);
    describe_in(&others[2].rings, 1, BUFFER(4), 1, DESC_WRITE, 0);
    offer_in(&others[2].rings, 0);
    kick_queue(v, 2);
    EXPECT(await_in(v, &others[2].rings, 1, WORK_MS), "it did not come back");
    EXPECT_IS(ACK, 1, "pairs were set that were not agreed on");
    return NULL;
}

static void keeps_setting_pairs(struct virtio *v)
{
    for (uint16_t n = 0; !other_cpu.stop; n++)
        control_answer(v, 4, 0, (uint16_t)(n % 2 + 1), 4);
}

static const char *pairs_set_amid_frames(struct virtio *v)
{
    const char *failure = NULL;
    uint8_t answer;
    uint16_t count = 0;

    begin_all(v, NET_ALL);
    give_net_buffers(v, QUEUE_SIZE, 2048);
    ask_host("frames 500 200");
    other_begins(v, keeps_setting_pairs);
    while (!(answer = host_answer()) && !failure) {
        request(v);
        notify(v);
        if (!await_in(v, &rings, ++count, WORK_MS))
            failure = "a frame did not come back";
    }
    while (!answer)
        answer = host_answer();
    other_stops();
    EXPECT(!failure, failure);
    EXPECT_IS(answer, 'y', "the host could not send");
    EXPECT(!gave_up(v), "it gave up");
    return NULL;
}

static const struct trial net_control_trials[] = {
    T(pairs_of_all_numbers), T(acknowledgement_to_be_read), T(acknowledgement_of_nothing),
    T(acknowledgement_outside_ram), T(acknowledgement_in_a_device), T(acknowledgement_across_the_end),
    T(command_of_a_byte), T(command_of_nothing), T(acknowledgement_over_its_command),
    T(acknowledgement_over_the_used_ring), T(control_without_pairs), T(pairs_set_amid_frames),
};

#endif
