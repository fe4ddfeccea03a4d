/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_EVENTS_H
#define MOTE_PAYLOAD_HOSTILE_EVENTS_H

/* Who interrupts and who notifies (virtio 1.2, 2.7.7 and 2.7.10), with indices that are far, past, or of the other side. */

#include "hostile_trial.h"

/* Agreed on, and the interrupt is wanted when the index passes EVENT. */
static void begin_events(struct virtio *v, uint16_t event)
{
    begin(v, RING_FEATURES);
    rings.avail.event = event;
}

static const char *event_passed_once(struct virtio *v)
{
    begin_events(v, 0);
    EXPECT(serves(v, 1) && interrupted(v), "no interrupt for the first buffer");
    for (unsigned int i = 0; i < 5; i++)
        EXPECT(serves(v, 1) && !interrupted(v), "an interrupt that nobody asked for");
    return NULL;
}

static const char *event_just_ahead(struct virtio *v)
{
    begin_events(v, 3);
    EXPECT(serves(v, 3) && !interrupted(v), "an interrupt too early");
    EXPECT(serves(v, 1) && interrupted(v), "no interrupt where it is due");
    return NULL;
}

static const char *event_far_ahead(struct virtio *v)
{
    begin_events(v, 30000);
    EXPECT(serves(v, 2 * QUEUE_SIZE), "it does not serve");
    EXPECT(!interrupted(v), "an interrupt too early");
    return NULL;
}

static const char *event_half_way_round(struct virtio *v)
{
    begin_events(v, 0x8000);
    EXPECT(serves(v, 3) && !interrupted(v), "an interrupt for an index far ahead");
    rings.avail.event = 0x8003;
    EXPECT(serves(v, 3) && !interrupted(v), "an interrupt for an index far behind");
    return NULL;
}

static const char *event_in_the_past(struct virtio *v)
{
    begin_events(v, 40);
    EXPECT(serves(v, 5), "it does not serve");
    rings.avail.event = 4; /* the index that was passed just now */
    EXPECT(serves(v, 3) && !interrupted(v), "an interrupt for an index of the past");
    rings.avail.event = UINT16_MAX;
    EXPECT(serves(v, 3) && !interrupted(v), "an interrupt for the last index of all");
    rings.avail.event = 11;
    EXPECT(serves(v, 1) && interrupted(v), "no interrupt where it is due");
    return NULL;
}

static const char *event_within_a_batch(struct virtio *v)
{
    begin_events(v, 7);
    requests(v, 0, 16);
    notify(v);
    EXPECT(await(v, 16, WORK_MS), "it does not serve");
    EXPECT(interrupted(v), "the index was passed within a batch, and no interrupt came");
    return NULL;
}

static const char *flags_beside_the_event(struct virtio *v)
{
    begin_events(v, 2);
    rings.avail.flags = UINT16_MAX; /* which means nothing then */
    EXPECT(serves(v, 2) && !interrupted(v), "an interrupt too early");
    EXPECT(serves(v, 1) && interrupted(v), "the flag counts beside the event index");
    return NULL;
}

static const char *flag_against_interrupts(struct virtio *v)
{
    begin(v, 0);
    rings.avail.flags = 1;
    EXPECT(serves(v, 3) && !interrupted(v), "an interrupt against the flag");
    rings.avail.flags = 0;
    EXPECT(serves(v, 1) && interrupted(v), "no interrupt without the flag");
    return NULL;
}

static const char *unknown_flags(struct virtio *v)
{
    begin(v, 0);
    rings.avail.flags = 0xfffe;
    EXPECT(serves(v, 1) && interrupted(v), "unknown flags keep the interrupt");
    return NULL;
}

static const char *device_event_poisoned(struct virtio *v)
{
    begin_events(v, 0);
    for (uint16_t i = 1; i <= 5; i++) {
        rings.used.event = (uint16_t)(0x7777 * i);
        EXPECT(serves(v, 1), "it does not serve");
        get_register(v, REG_INTERRUPT); /* it is through with the queue */
        EXPECT_IS(rings.used.event, i, "the device's event is not its own");
    }
    return NULL;
}

static const char *used_index_poisoned(struct virtio *v)
{
    static const uint16_t values[] = { 0x1234, 0xffff, 0x8000, 0x7fff };

    begin(v, 0);
    for (unsigned int i = 0; i < 4; i++) {
        rings.used.index = values[i];
        request(v);
        notify(v);
        EXPECT(await(v, (uint16_t)(i + 1), WORK_MS), "the device believes an index that is its own");
        EXPECT_IS(rings.used.ring[i].id, 0, "another buffer came back");
    }
    return NULL;
}

static const char *used_ring_poisoned(struct virtio *v)
{
    begin(v, 0);
    for (uint16_t i = 0; i < 4; i++) {
        for (unsigned int e = 0; e < QUEUE_SIZE; e++)
            rings.used.ring[e].id = rings.used.ring[e].length = UINT32_MAX;
        rings.used.flags = 0xffff;
        EXPECT(serves(v, 1), "it does not serve");
        EXPECT_IS(rings.used.ring[i].id, 0, "another buffer came back");
        EXPECT(rings.used.ring[i].length <= 513, "more was written than there was room");
        EXPECT_IS(rings.used.ring[i + 1].id, UINT32_MAX, "more came back than was offered");
    }
    return NULL;
}

/* Buffers that were given without a word; the next notification is for all. */
static const char *silent_buffers(struct virtio *v)
{
    begin(v, 0);
    requests(v, 0, 8);
    pass(QUIET_MS * 1000);
    requests(v, 8, 8);
    notify(v);
    EXPECT(await(v, 16, WORK_MS), "not all buffers came back");
    return NULL;
}

static const struct trial event_trials[] = {
    T(event_passed_once), T(event_just_ahead), T(event_far_ahead), T(event_half_way_round), T(event_in_the_past),
    T(event_within_a_batch), T(flags_beside_the_event), T(flag_against_interrupts), T(unknown_flags),
    T(device_event_poisoned), T(used_index_poisoned), T(used_ring_poisoned), T(silent_buffers),
};

/* The index goes round; on a device that is quick and has no rate. */
static const char *event_across_the_wrap(struct virtio *v)
{
    begin_events(v, 65534);
    for (uint32_t i = 0; i < 65520; i += 16) {
        requests(v, 0, 16);
        notify(v);
        EXPECT(await(v, (uint16_t)(i + 16), WORK_MS), "it does not serve");
    }
    EXPECT(!interrupted(v), "an interrupt too early");
    EXPECT(serves(v, 14) && !interrupted(v), "an interrupt an index too early");
    EXPECT(serves(v, 1) && interrupted(v), "no interrupt at the last index");
    EXPECT(serves(v, 2) && !interrupted(v), "an interrupt behind the wrap that nobody asked for");
    EXPECT_IS(rings.used.index, 1, "the index did not go round");
    rings.avail.event = 1;
    EXPECT(serves(v, 1) && interrupted(v), "no interrupt behind the wrap");
    return NULL;
}

static const struct trial wrap_trials[] = { T(event_across_the_wrap) };

#endif
