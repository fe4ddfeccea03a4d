/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_RACES_H
#define MOTE_PAYLOAD_HOSTILE_RACES_H

/*
 * Two processors at one device.  Where the other one breaks no rule that binds
 * the device's answers, each request must still be answered exactly once; where
 * it does, nothing outside of what was offered may be written.
 */

#include "hostile_trial.h"

#define CANARY_SIZE 4096
static uint8_t canary[CANARY_SIZE] __attribute__((aligned(4096)));

static void plant_canary(void)
{
    for (unsigned int i = 0; i < CANARY_SIZE; i++)
        canary[i] = (uint8_t)(i * 7 + 1);
}

static bool canary_lives(void)
{
    for (unsigned int i = 0; i < CANARY_SIZE; i++)
        if (canary[i] != (uint8_t)(i * 7 + 1))
            return false;
    return true;
}

static bool goes_on(uint64_t end) { return (int64_t)(end - rdtsc()) > 0; }
static uint64_t race_end(void) { return rdtsc() + RACE_MS * TICKS_PER_MS; }

/* ---- what the other processor does ---- */

static uint32_t other_random = 1;

static void keeps_kicking(struct virtio *v)
{
    while (!other_cpu.stop)
        notify(v);
}

static void keeps_resetting(struct virtio *v)
{
    while (!other_cpu.stop) {
        set_register(v, REG_STATUS, 0);
        pass(any(&other_random) % 100);
    }
}

static void keeps_starting(struct virtio *v)
{
    while (!other_cpu.stop) {
        set_register(v, REG_STATUS, 0);
        agree_exactly(v, (uint64_t)FEATURE_VERSION_1 << 32);
        set_up(v, v->queue, &rings);
        drive(v);
    }
}

/* Addresses, lengths and flags of any kind, but never the canary's. */
static struct descriptor wild_descriptor(void)
{
    static const uint64_t addresses[] = { 1ull << 40, UINT64_MAX - 7, 0xd0000000, 0xfec00000, 4 << 20 };
    static const uint32_t lengths[] = { 0, 1, 16, 64, 512, 4096 };
    uint32_t choice = any(&other_random);

    return (struct descriptor){
        .address = choice & 8 ? BUFFER(choice >> 4 & 3) : addresses[(choice >> 4) % 5],
        .length = choice & 0x10000 ? any(&other_random) : lengths[(choice >> 17) % 6],
        .flags = choice & 7,
        .next = (uint16_t)(choice & 0x400000 ? any(&other_random) : choice >> 24 & 3),
    };
}

static void keeps_changing_descriptors(struct virtio *v)
{
    struct descriptor good[48];

    (void)v;
    for (unsigned int i = 0; i < 48; i++)
        good[i] = rings.desc[i];
    while (!other_cpu.stop) {
        unsigned int i = any(&other_random) % 48;

        rings.desc[i] = wild_descriptor();
        rings.desc[i] = good[i];
    }
}

static void keeps_changing_table(struct virtio *v)
{
    struct descriptor good[3];

    (void)v;
    for (unsigned int i = 0; i < 3; i++)
        good[i] = rings.desc[i];
    while (!other_cpu.stop) {
        unsigned int i = any(&other_random) % 3;

        table[i] = wild_descriptor();
        pass(any(&other_random) % 4);
        table[i] = good[i];
        rings.desc[0].length = any(&other_random) % 4 ? 48 : any(&other_random) % 100;
    }
}

static void keeps_changing_available(struct virtio *v)
{
    (void)v;
    while (!other_cpu.stop) {
        uint16_t index = rings.avail.index;

        rings.avail.index = (uint16_t)any(&other_random);
        rings.avail.ring[any(&other_random) % QUEUE_SIZE] = (uint16_t)(any(&other_random) % 80);
        pass(any(&other_random) % 4);
        rings.avail.index = index;
        rings.avail.ring[any(&other_random) % QUEUE_SIZE] = 0;
    }
}

static void keeps_changing_used(struct virtio *v)
{
    (void)v;
    while (!other_cpu.stop) {
        rings.used.index = (uint16_t)any(&other_random);
        rings.used.flags = (uint16_t)any(&other_random);
        rings.used.ring[any(&other_random) % QUEUE_SIZE].id = any(&other_random);
    }
}

static void keeps_changing_events(struct virtio *v)
{
    (void)v;
    while (!other_cpu.stop) {
        rings.avail.event = (uint16_t)any(&other_random);
        rings.avail.flags = (uint16_t)any(&other_random);
        rings.used.event = (uint16_t)any(&other_random);
    }
}

static void keeps_setting_up(struct virtio *v)
{
    while (!other_cpu.stop) {
        uint32_t value = any(&other_random);

        set_register(v, REG_QUEUE_SEL, value % 9);
        set_register(v, REG_QUEUE_SIZE, 1u << value % 12);
        set_address(v, REG_DESC, value & ~15u);
        set_address(v, REG_USED, value & ~15u);
        set_register(v, REG_QUEUE_READY, value & 1);
        set_register(v, REG_DRIVER_FEATURES_SEL, value & 1);
        set_register(v, REG_DRIVER_FEATURES, value);
    }
}

static void keeps_acknowledging(struct virtio *v)
{
    while (!other_cpu.stop)
        set_register(v, REG_ACK, get_register(v, REG_INTERRUPT) | any(&other_random));
}

static void keeps_writing_status(struct virtio *v)
{
    static const uint8_t values[] = { 0xf, 0x7, 0x1, 0x4f, 0xb, 0x3 };

    while (!other_cpu.stop)
        set_register(v, REG_STATUS, values[any(&other_random) % sizeof(values)]);
}

static void keeps_at_the_configuration(struct virtio *v)
{
    while (!other_cpu.stop) {
        uint64_t offset = REG_CONFIG + any(&other_random) % 80;

        read64(v->base + offset);
        write8(v->base + offset, (uint8_t)any(&other_random));
        write32(v->base + offset, any(&other_random));
    }
}

static void keeps_reading_all(struct virtio *v)
{
    while (!other_cpu.stop)
        for (uint64_t offset = 0; offset < REG_CONFIG && !other_cpu.stop; offset += 4)
            get_register(v, offset);
}

/* ---- beside each of these, every request is answered once ---- */

#define SERVED 40
static const char *served_beside(struct virtio *v, void (*job)(struct virtio *), uint64_t features)
{
    const char *failure = NULL;

    begin(v, features);
    other_begins(v, job);
    for (uint16_t i = 1; i <= SERVED && !failure; i++) {
        request(v);
        notify(v);
        if (!await_in(v, &rings, i, WORK_MS))
            failure = gave_up(v) ? "it gave up" : "a request was not answered once";
    }
    other_stops();
    EXPECT(!failure, failure);
    pass(200);
    EXPECT_IS(rings.used.index, SERVED, "more was answered than asked");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}
static const char *kicks_of_both(struct virtio *v) { return served_beside(v, keeps_kicking, 0); }
static const char *kicks_of_both_with_events(struct virtio *v) { return served_beside(v, keeps_kicking, RING_FEATURES); }
static const char *set_up_beside_service(struct virtio *v) { return served_beside(v, keeps_setting_up, 0); }
static const char *status_beside_service(struct virtio *v) { return served_beside(v, keeps_writing_status, 0); }
static const char *configuration_beside_service(struct virtio *v) { return served_beside(v, keeps_at_the_configuration, 0); }
static const char *registers_read_beside_service(struct virtio *v) { return served_beside(v, keeps_reading_all, 0); }
static const char *events_beside_service(struct virtio *v) { return served_beside(v, keeps_changing_events, RING_FEATURES); }

static const char *acknowledged_beside_service(struct virtio *v)
{
    const char *failure = served_beside(v, keeps_acknowledging, 0);

    EXPECT(!failure, failure);
    set_register(v, REG_ACK, UINT32_MAX);
    EXPECT_IS(get_register(v, REG_INTERRUPT), 0, "an interrupt stays although all was acknowledged");
    EXPECT(serves(v, 1) && interrupted(v), "no interrupt afterwards");
    return NULL;
}

/* The device's index is its own: what stood in the used ring meanwhile counts for nothing. */
static const char *used_ring_beside_service(struct virtio *v)
{
    begin(v, 0);
    other_begins(v, keeps_changing_used);
    for (unsigned int i = 0; i < 12; i++) {
        requests(v, i, 1);
        notify(v);
        pass(100);
    }
    other_stops();
    for (unsigned int i = 0; i < 100 && !gave_up(v); i++)
        pass(50);
    rings.used.index = 0xdead;
    requests(v, 15, 1);
    notify(v);
    EXPECT(await(v, 13, WORK_MS), "its index followed what another wrote there");
    return NULL;
}

/* ---- beside these, nothing else is written than what was offered ---- */

static const char *survives_beside(struct virtio *v, void (*job)(struct virtio *), uint64_t features)
{
    uint64_t end = race_end();

    plant_canary();
    begin(v, features);
    requests(v, 0, 16);
    if (features)
        describe(0, TABLE, 48, DESC_INDIRECT, 0);
    other_begins(v, job);
    while (goes_on(end)) {
        for (uint16_t i = 0; i < (features ? 1 : 16); i++)
            offer((uint16_t)(3 * i));
        notify(v);
        pass(20);
        if (!gave_up(v) && (uint16_t)(rings.avail.index - rings.used.index) < 8)
            continue;
        set_register(v, REG_STATUS, 0);
        clear(&rings.used, sizeof(rings.used));
        rings.avail.index = 0;
        agree_exactly(v, features | (uint64_t)FEATURE_VERSION_1 << 32);
        offer_own_queue(v);
        drive(v);
    }
    other_stops();
    set_register(v, REG_STATUS, 0);
    EXPECT(canary_lives(), "a page was written to that no descriptor named");
    return NULL;
}
static const char *descriptors_changed_in_flight(struct virtio *v) { return survives_beside(v, keeps_changing_descriptors, 0); }
static const char *table_changed_in_flight(struct virtio *v) { return survives_beside(v, keeps_changing_table, FEATURE_INDIRECT); }
static const char *available_changed_in_flight(struct virtio *v) { return survives_beside(v, keeps_changing_available, 0); }
static const char *resets_of_the_other(struct virtio *v) { return survives_beside(v, keeps_resetting, 0); }
static const char *starts_of_the_other(struct virtio *v) { return survives_beside(v, keeps_starting, 0); }

/* After a reset the rings are not written to, whatever the other processor rings. */
static const char *kick_against_reset(struct virtio *v)
{
    uint64_t end = race_end();
    const char *failure = NULL;

    other_begins(v, keeps_kicking);
    while (goes_on(end) && !failure) {
        start(v);
        requests(v, 0, 16);
        notify(v);
        pass(any(&other_random) % 30);
        set_register(v, REG_STATUS, 0);
        rings.used.index = 0x5a5a;
        pass(100);
        if (rings.used.index != 0x5a5a)
            failure = "the used ring was written to after a reset";
    }
    other_stops();
    return failure;
}

/* Each request is there at the moment at which the device begins to run. */
static const char *kick_against_driver_ok(struct virtio *v)
{
    uint64_t end = race_end();
    const char *failure = NULL;

    other_begins(v, keeps_kicking);
    while (goes_on(end) && !failure) {
        negotiate(v);
        offer_own_queue(v);
        requests(v, 0, 4);
        if (rings.used.index != 0)
            failure = "a buffer was used before DRIVER_OK";
        drive(v);
        if (!failure && !await_in(v, &rings, 4, WORK_MS))
            failure = "the requests were not answered";
    }
    other_stops();
    return failure;
}

static const struct trial race_trials[] = {
    T(kicks_of_both), T(kicks_of_both_with_events), T(set_up_beside_service), T(status_beside_service),
    T(configuration_beside_service), T(registers_read_beside_service), T(events_beside_service),
    T(acknowledged_beside_service), T(used_ring_beside_service), T(descriptors_changed_in_flight),
    T(table_changed_in_flight), T(available_changed_in_flight), T(resets_of_the_other), T(starts_of_the_other),
    T(kick_against_reset), T(kick_against_driver_ok),
};

#endif
