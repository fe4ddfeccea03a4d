/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_STATUS_H
#define MOTE_PAYLOAD_HOSTILE_STATUS_H

/* The status field against its rules (virtio 1.2, 2.1 and 3.1.1), and a second start that is other than the first. */

#include "hostile_trial.h"

static const char *bits_taken_back(struct virtio *v)
{
    static const uint8_t values[] = { 0x1, 0x2, 0x4, 0x7, 0x8, 0xb, 0xd, 0xe };

    start(v);
    for (unsigned int i = 0; i < sizeof(values); i++) {
        set_register(v, REG_STATUS, values[i]);
        EXPECT_IS(status_of(v), RUNNING, "a bit went without a reset");
    }
    EXPECT(serves(v, 3), "it no longer serves");
    return NULL;
}

static const char *driver_ok_twice(struct virtio *v)
{
    start(v);
    requests(v, 0, 4);
    for (unsigned int i = 0; i < 10; i++)
        drive(v);
    notify(v);
    EXPECT(await(v, 4, WORK_MS), "the requests were not served once each");
    drive(v);
    pass(QUIET_MS * 1000);
    EXPECT_IS(rings.used.index, 4, "requests were served again");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *driver_ok_again_in_flight(struct virtio *v)
{
    start(v);
    for (uint16_t i = 1; i <= 8; i++) {
        requests(v, 0, 16);
        notify(v);
        drive(v);
        EXPECT(await(v, (uint16_t)(16 * i), WORK_MS), "the requests were not served once each");
    }
    return NULL;
}

static const char *failed_then_a_kick(struct virtio *v)
{
    start(v);
    set_register(v, REG_STATUS, RUNNING | FAILED);
    EXPECT_IS(status_of(v), RUNNING | FAILED, "FAILED is not there");
    request(v);
    for (unsigned int i = 0; i < 20; i++)
        notify(v);
    pass(QUIET_MS * 1000);
    EXPECT(rings.used.index <= 1, "one request came back more than once");
    drive(v);
    EXPECT_IS(status_of(v), RUNNING | FAILED, "FAILED went without a reset");
    set_register(v, REG_STATUS, 0);
    EXPECT_IS(status_of(v), 0, "FAILED outlives a reset");
    return NULL;
}

static const char *failed_from_the_start(struct virtio *v)
{
    renew(v);
    set_register(v, REG_STATUS, FAILED);
    EXPECT_IS(status_of(v), FAILED, "FAILED is not there");
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER);
    EXPECT_IS(status_of(v), FAILED | ACKNOWLEDGE | DRIVER, "FAILED went without a reset");
    return NULL;
}

static const char *nothing_before_driver_ok(struct virtio *v)
{
    negotiate(v);
    offer_own_queue(v);
    request(v);
    for (unsigned int i = 0; i < 70; i++)
        notify(v);
    pass(QUIET_MS * 1000);
    EXPECT_IS(rings.used.index, 0, "a buffer was used before DRIVER_OK");
    EXPECT_IS(get_register(v, REG_INTERRUPT), 0, "an interrupt came before DRIVER_OK");
    drive(v);
    notify(v);
    EXPECT(await(v, 1, WORK_MS), "it does not serve after DRIVER_OK");
    return NULL;
}

static const char *driver_ok_without_features_ok(struct virtio *v)
{
    renew(v);
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER);
    set_up(v, v->queue, &rings);
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
    EXPECT_IS(status_of(v), ACKNOWLEDGE | DRIVER, "DRIVER_OK without agreed features");
    request(v);
    notify(v);
    pass(QUIET_MS * 1000);
    EXPECT_IS(rings.used.index, 0, "it serves without agreed features");
    return NULL;
}

static const char *both_ok_at_once_with_unknown_features(struct virtio *v)
{
    renew(v);
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER);
    set_register(v, REG_DRIVER_FEATURES_SEL, 1);
    set_register(v, REG_DRIVER_FEATURES, UINT32_MAX);
    drive(v);
    EXPECT_IS(status_of(v), ACKNOWLEDGE | DRIVER, "unknown features became good by DRIVER_OK");
    return NULL;
}

static const char *needs_reset_by_the_driver(struct virtio *v)
{
    start(v);
    for (uint32_t bit = 4; bit < 32; bit++) {
        if (bit == 7) /* FAILED */
            continue;
        set_register(v, REG_STATUS, RUNNING | 1u << bit);
        EXPECT_IS(status_of(v), RUNNING, "a bit that is not the driver's is there");
    }
    EXPECT(serves(v, 3), "it no longer serves");
    return NULL;
}

static const char *upper_bits_are_no_reset(struct virtio *v)
{
    start(v);
    set_register(v, REG_STATUS, 0x100);
    set_register(v, REG_STATUS, 0xffff0000);
    EXPECT_IS(status_of(v), RUNNING, "the status changed");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *needs_reset_stays(struct virtio *v)
{
    start(v);
    jump(&rings);
    notify(v);
    EXPECT(gives_up(v), "it did not ask for its reset");
    drive(v);
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    EXPECT_IS(status_of(v), RUNNING | NEEDS_RESET, "NEEDS_RESET went without a reset");
    /* The ring is right again; the device stands still all the same. */
    rings.avail.index = 0;
    request(v);
    drive(v);
    for (unsigned int i = 0; i < 70; i++)
        notify(v);
    pass(QUIET_MS * 1000);
    EXPECT_IS(rings.used.index, 0, "it serves although it needs a reset");
    set_register(v, REG_STATUS, 0);
    EXPECT_IS(status_of(v), 0, "NEEDS_RESET outlives a reset");
    return NULL;
}

/* The rings are the device's until a reset; then nothing of it writes there. */
static const char *no_write_after_reset(struct virtio *v)
{
    for (unsigned int i = 0; i < 20; i++) {
        start(v);
        requests(v, 0, 16);
        notify(v);
        set_register(v, REG_STATUS, 0);
        EXPECT_IS(status_of(v), 0, "a reset is not over when it reads as 0");
        rings.used.index = 0x5a5a;
        for (unsigned int b = 1; b < 3; b++)
            buffers[b][0] = 0x5a;
        pass(300);
        EXPECT_IS(rings.used.index, 0x5a5a, "the used ring was written to after a reset");
        EXPECT_IS(buffers[1][0], 0x5a, "a buffer was written to after a reset");
        EXPECT_IS(buffers[2][0], 0x5a, "a status was written after a reset");
    }
    return NULL;
}

/* ---- fewer features, fewer queues, on a second start ---- */

static void offer_indirect(struct virtio *v)
{
    request(v);
    for (unsigned int i = 0; i < 3; i++)
        table[i] = rings.desc[i];
    describe(0, TABLE, 3 * sizeof(table[0]), DESC_INDIRECT, 0);
}

static const char *indirect_no_longer_agreed(struct virtio *v)
{
    begin(v, RING_FEATURES);
    offer_indirect(v);
    notify(v);
    EXPECT(await(v, 1, WORK_MS), "an indirect table is not served");
    begin(v, 0);
    offer_indirect(v);
    notify(v);
    EXPECT(gives_up(v), "an indirect table is served though it was not agreed on");
    EXPECT_IS(rings.used.index, 0, "an indirect table was used though it was not agreed on");
    return NULL;
}

static const char *event_index_no_longer_agreed(struct virtio *v)
{
    begin(v, RING_FEATURES);
    rings.avail.event = 1000;
    EXPECT(serves(v, 2), "it does not serve");
    EXPECT(!interrupted(v), "an interrupt came before the event");
    begin(v, 0);
    rings.avail.event = 1000;
    rings.used.event = 0x7777;
    EXPECT(serves(v, 2), "it does not serve the second time");
    EXPECT(interrupted(v), "the event index counts though it was not agreed on");
    EXPECT_IS(rings.used.event, 0x7777, "the device wrote an event though it was not agreed on");
    return NULL;
}

static const char *more_features_the_second_time(struct virtio *v)
{
    begin(v, 0);
    EXPECT(serves(v, 2), "it does not serve");
    begin(v, RING_FEATURES);
    rings.avail.event = 1000;
    offer_indirect(v);
    notify(v);
    EXPECT(await(v, 1, WORK_MS), "an indirect table is not served");
    EXPECT(!interrupted(v), "the event index does not count");
    return NULL;
}

static const char *features_change_after_features_ok(struct virtio *v)
{
    agree(v, 0);
    set_register(v, REG_DRIVER_FEATURES_SEL, 0);
    set_register(v, REG_DRIVER_FEATURES, FEATURE_INDIRECT);
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    set_up(v, v->queue, &rings);
    drive(v);
    offer_indirect(v);
    notify(v);
    EXPECT(gives_up(v), "a feature was added after FEATURES_OK");
    return NULL;
}

static const char *queues_left_out_the_second_time(struct virtio *v)
{
    uint32_t count = begin_all(v, 0);

    EXPECT(serves(v, 2), "it does not serve");
    set_register(v, REG_STATUS, 0);
    /* What the first start said of the others leads to nonsense by now. */
    for (uint32_t i = 0; i < count; i++)
        if (i != v->queue)
            others[i].rings.avail.index = 30000;
    clear(&rings, sizeof(rings));
    agree_exactly(v, (uint64_t)FEATURE_VERSION_1 << 32);
    set_up(v, v->queue, &rings);
    drive(v);
    for (uint32_t i = 0; i < count; i++)
        kick_queue(v, i);
    EXPECT(serves(v, 2), "it does not serve with one queue");
    EXPECT(!gave_up(v), "it looked into a queue that is not ready");
    return NULL;
}

static const char *started_without_a_queue(struct virtio *v)
{
    agree(v, 0);
    drive(v);
    EXPECT_IS(status_of(v), RUNNING, "it does not run without queues");
    for (uint32_t i = 0; i < QUEUES_MOST; i++)
        kick_queue(v, i);
    set_up(v, v->queue, &rings);
    EXPECT_IS(get_register(v, REG_QUEUE_READY), 0, "a queue came after DRIVER_OK");
    pass(QUIET_MS * 1000);
    EXPECT_IS(status_of(v), RUNNING, "it gave up");
    return NULL;
}

static const char *offers_the_same_again(struct virtio *v)
{
    uint64_t offered = features_of(v);

    begin(v, 0);
    EXPECT_IS(features_of(v), offered, "a running device offers other features");
    set_register(v, REG_STATUS, 0);
    EXPECT_IS(features_of(v), offered, "it offers other features after a reset");
    return NULL;
}

static const char *features_ok_out_of_turn(struct virtio *v)
{
    static const uint8_t values[] = { FEATURES_OK, ACKNOWLEDGE | FEATURES_OK, DRIVER | FEATURES_OK,
                                      FEATURES_OK | DRIVER_OK, ACKNOWLEDGE | FEATURES_OK | DRIVER_OK };

    for (unsigned int i = 0; i < sizeof(values); i++) {
        renew(v);
        set_register(v, REG_DRIVER_FEATURES_SEL, 1);
        set_register(v, REG_DRIVER_FEATURES, FEATURE_VERSION_1);
        set_register(v, REG_STATUS, values[i]);
        EXPECT_IS(status_of(v), values[i] & (ACKNOWLEDGE | DRIVER), "features are agreed on without a driver");
    }
    return NULL;
}

static const char *driver_ok_after_failed(struct virtio *v)
{
    negotiate(v);
    offer_own_queue(v);
    request(v);
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | FAILED);
    drive(v);
    EXPECT_IS(status_of(v), ACKNOWLEDGE | DRIVER | FEATURES_OK | FAILED, "a driver that gave up runs the device");
    for (unsigned int i = 0; i < 70; i++)
        notify(v);
    pass(QUIET_MS * 1000);
    EXPECT_IS(rings.used.index, 0, "it serves a driver that gave up");
    return NULL;
}

static const struct trial status_trials[] = {
    T(bits_taken_back), T(driver_ok_twice), T(driver_ok_again_in_flight), T(failed_then_a_kick),
    T(failed_from_the_start), T(nothing_before_driver_ok), T(driver_ok_without_features_ok),
    T(both_ok_at_once_with_unknown_features), T(needs_reset_by_the_driver), T(upper_bits_are_no_reset),
    T(needs_reset_stays), T(no_write_after_reset), T(indirect_no_longer_agreed), T(event_index_no_longer_agreed),
    T(more_features_the_second_time), T(features_change_after_features_ok), T(queues_left_out_the_second_time),
    T(started_without_a_queue), T(offers_the_same_again),
    T(features_ok_out_of_turn),
    T(driver_ok_after_failed),
};

#endif
