/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_REGISTERS_H
#define MOTE_PAYLOAD_HOSTILE_REGISTERS_H

/* Registers that are not there, of the wrong width, at the wrong time; with the values that they must have (virtio 1.2, 4.2.2). */

#include "hostile_trial.h"

enum { REG_VERSION = 0x04, REG_VENDOR = 0x0c, REG_SHM_SEL = 0xac, REG_SHM_LENGTH = 0xb0, REG_SHM_BASE_HIGH = 0xbc,
       REG_QUEUE_RESET = 0xc0, REG_GENERATION = 0xfc };

static const uint32_t odd_numbers[] = { 2, 3, 0x100, 0x101, 0x8000, 0x10000, 0x10001, 0x7fffffff, 0x80000000,
                                        UINT32_MAX };
#define FOR_EACH(item, array) for (size_t item = 0; item < sizeof(array) / sizeof(array[0]); item++)

static uint32_t config_size(uint32_t id)
{
    static const uint8_t sizes[] = {
        [ID_NET] = 12, [ID_BLOCK] = 60, [ID_CONSOLE] = 12, [ID_BALLOON] = 16, [ID_VSOCK] = 8,
    };

    return id < sizeof(sizes) ? sizes[id] : 0;
}

static const char *identity_is_constant(struct virtio *v)
{
    uint32_t vendor = get_register(v, REG_VENDOR);

    start(v);
    for (uint64_t offset = 0; offset <= REG_VENDOR; offset += 4)
        set_register(v, offset, UINT32_MAX);
    EXPECT_IS(get_register(v, REG_MAGIC), 0x74726976, "the magic value changed");
    EXPECT_IS(get_register(v, REG_VERSION), 2, "the version is another");
    EXPECT_IS(get_register(v, REG_DEVICE_ID), v->id, "the device id changed");
    EXPECT_IS(get_register(v, REG_VENDOR), vendor, "the vendor id changed");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *undefined_read_as_zero(struct virtio *v)
{
    static const uint8_t offsets[] = { 0x18, 0x1c, 0x28, 0x2c, 0x3c, 0x40, 0x48, 0x4c, 0x54, 0x58, 0x5c, 0x68, 0x6c,
                                       0x74, 0x78, 0x7c, 0x88, 0x8c, 0x98, 0x9c, 0xa8, 0xc4, 0xc8, 0xd0, 0xe0, 0xf8 };

    start(v);
    FOR_EACH(i, offsets) {
        set_register(v, offsets[i], UINT32_MAX);
        EXPECT_IS(get_register(v, offsets[i]), 0, "an undefined register has a value");
    }
    EXPECT_IS(status_of(v), RUNNING, "the status changed");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *write_only_read_as_zero(struct virtio *v)
{
    static const uint8_t offsets[] = { REG_FEATURES_SEL, REG_DRIVER_FEATURES, REG_DRIVER_FEATURES_SEL, REG_QUEUE_SEL,
                                       REG_QUEUE_SIZE, REG_NOTIFY, REG_ACK, REG_DESC, REG_DESC + 4, REG_AVAIL,
                                       REG_AVAIL + 4, REG_USED, REG_USED + 4, REG_SHM_SEL };

    start(v);
    FOR_EACH(i, offsets)
        EXPECT_IS(get_register(v, offsets[i]), 0, "a register for writing shows a value");
    return NULL;
}

static const char *no_shared_memory(struct virtio *v)
{
    static const uint32_t ids[] = { 0, 1, 255, 256, UINT32_MAX };

    start(v);
    FOR_EACH(i, ids) {
        set_register(v, REG_SHM_SEL, ids[i]);
        for (uint64_t offset = REG_SHM_LENGTH; offset <= REG_SHM_BASE_HIGH; offset += 4)
            EXPECT_IS(get_register(v, offset), UINT32_MAX, "there is shared memory");
    }
    return NULL;
}

/* VIRTIO_F_RING_RESET is not offered, so no queue is reset alone. */
static const char *no_queue_reset(struct virtio *v)
{
    start(v);
    EXPECT(!(features_of(v) & 1ull << 40), "the device can reset a queue alone");
    set_register(v, REG_QUEUE_SEL, v->queue);
    set_register(v, REG_QUEUE_RESET, 1);
    EXPECT_IS(get_register(v, REG_QUEUE_RESET), 0, "a queue's reset began");
    EXPECT_IS(get_register(v, REG_QUEUE_READY), 1, "the queue went away");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *narrow_and_wide_writes(struct virtio *v)
{
    start(v);
    write8(v->base + REG_STATUS, 0);
    write16(v->base + REG_STATUS, 0);
    write64(v->base + REG_STATUS, 0);
    write64(v->base + REG_STATUS - 4, 0);
    EXPECT_IS(status_of(v), RUNNING, "the status changed");
    settle(v);
    request(v);
    write8(v->base + REG_NOTIFY, (uint8_t)v->queue);
    write16(v->base + REG_NOTIFY, (uint16_t)v->queue);
    write64(v->base + REG_NOTIFY, v->queue);
    pass(QUIET_MS * 1000);
    EXPECT_IS(rings.used.index, 0, "a notification of another width counts");
    notify(v);
    EXPECT(await(v, 1, WORK_MS), "it no longer serves");
    return NULL;
}

static const char *unaligned_writes(struct virtio *v)
{
    start(v);
    for (uint64_t offset = REG_STATUS - 3; offset <= REG_STATUS + 3; offset++)
        if (offset != REG_STATUS)
            write32(v->base + offset, 0);
    EXPECT_IS(status_of(v), RUNNING, "the status changed");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *narrow_and_wide_reads(struct virtio *v)
{
    EXPECT_IS(read8(v->base), 0, "a byte of a register can be read");
    EXPECT_IS(read16(v->base + 2), 0, "half a register can be read");
    EXPECT_IS(read64(v->base), 0, "two registers can be read at once");
    EXPECT_IS(read32(v->base + 1), 0, "parts of two registers can be read");
    return NULL;
}

static const char *features_beyond_the_second_page(struct virtio *v)
{
    FOR_EACH(i, odd_numbers) {
        set_register(v, REG_FEATURES_SEL, odd_numbers[i]);
        EXPECT_IS(get_register(v, REG_FEATURES), 0, "features that do not exist");
    }
    return NULL;
}

static const char *config_beyond_its_end(struct virtio *v)
{
    uint32_t size = config_size(v->id);

    start(v);
    for (uint64_t offset = (size + 3) & ~3u; offset < 0x400; offset += 4)
        EXPECT_IS(get_register(v, REG_CONFIG + offset), 0, "there is something behind the configuration");
    EXPECT_IS(read64(v->base + VIRTIO_WINDOW_SIZE - 8), 0, "there is something at the window's end");
    if (size >= 4)
        EXPECT_IS(read64(v->base + REG_CONFIG + size - 4) >> 32, 0, "a read across its end brings something");
    EXPECT_IS(read8(v->base + REG_CONFIG + size), 0, "a byte behind its end");
    return NULL;
}

static bool may_be_written(const struct virtio *v, uint32_t offset)
{
    return (v->id == ID_BLOCK && offset == 32) || (v->id == ID_BALLOON && offset >= 4 && offset < 8);
}

static const char *config_stays(struct virtio *v)
{
    static uint8_t before[64];
    uint32_t size = config_size(v->id);

    start(v);
    for (uint32_t i = 0; i < size; i++)
        before[i] = read8(v->base + REG_CONFIG + i);
    for (uint32_t i = 0; i < size + 8; i++) {
        if (may_be_written(v, i))
            continue;
        write8(v->base + REG_CONFIG + i, (uint8_t)~i);
        if (i % 4 == 0 && !may_be_written(v, i + 3))
            write32(v->base + REG_CONFIG + i, UINT32_MAX);
        write64(v->base + REG_CONFIG + i, UINT64_MAX);
    }
    for (uint32_t i = 0; i < size; i++)
        if (!may_be_written(v, i))
            EXPECT_IS(read8(v->base + REG_CONFIG + i), before[i], "a field that is the device's changed");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *generation_is_steady(struct virtio *v)
{
    uint32_t generation;

    start(v);
    generation = get_register(v, REG_GENERATION);
    set_register(v, REG_GENERATION, generation + 7);
    EXPECT(serves(v, 3), "it does not serve");
    EXPECT_IS(get_register(v, REG_GENERATION), generation, "the generation changed, the configuration did not");
    return NULL;
}

static const char *queues_that_are_not(struct virtio *v)
{
    uint32_t count;

    agree(v, 0);
    count = queue_count(v);
    for (size_t i = 0; i <= sizeof(odd_numbers) / sizeof(odd_numbers[0]); i++) {
        uint32_t queue = i == 0 ? count : odd_numbers[i - 1];

        if (queue < count || (count == QUEUES_MOST && queue < 64))
            continue;
        set_up(v, queue, &rings);
        EXPECT_IS(get_register(v, REG_QUEUE_SIZE_MAX), 0, "a queue that is not has a size");
        EXPECT_IS(get_register(v, REG_QUEUE_READY), 0, "a queue that is not is ready");
    }
    for (uint32_t i = 0; i < count; i++) {
        set_register(v, REG_QUEUE_SEL, i);
        EXPECT_IS(get_register(v, REG_QUEUE_READY), 0, "another queue became ready");
    }
    EXPECT(!gave_up(v), "it gave up");
    return NULL;
}

static const char *ready_neither_0_nor_1(struct virtio *v)
{
    agree(v, 0);
    set_register(v, REG_QUEUE_SEL, v->queue);
    offer_own_queue(v);
    set_register(v, REG_QUEUE_READY, 0);
    FOR_EACH(i, odd_numbers) {
        set_register(v, REG_QUEUE_READY, odd_numbers[i]);
        EXPECT_IS(get_register(v, REG_QUEUE_READY), 0, "a queue is ready by an odd value");
    }
    set_register(v, REG_QUEUE_READY, 1);
    FOR_EACH(i, odd_numbers) {
        set_register(v, REG_QUEUE_READY, odd_numbers[i]);
        EXPECT_IS(get_register(v, REG_QUEUE_READY), 1, "a queue went by an odd value");
    }
    drive(v);
    EXPECT(serves(v, 2), "it does not serve");
    return NULL;
}

static const char *ready_taken_back(struct virtio *v)
{
    agree(v, 0);
    set_register(v, REG_QUEUE_SEL, v->queue);
    offer_queue(v, QUEUE_SIZE, (uint64_t)others[0].rings.desc, (uint64_t)&others[0].rings.avail,
                (uint64_t)&others[0].rings.used);
    EXPECT_IS(get_register(v, REG_QUEUE_READY), 1, "a queue is not ready");
    set_register(v, REG_QUEUE_READY, 0);
    EXPECT_IS(get_register(v, REG_QUEUE_READY), 0, "a queue cannot be taken back");
    offer_own_queue(v);
    drive(v);
    EXPECT(serves(v, 2), "it does not serve at the new addresses");
    EXPECT_IS(others[0].rings.used.index, 0, "it wrote to the old addresses");
    return NULL;
}

static const char *ready_taken_back_while_running(struct virtio *v)
{
    start(v);
    set_register(v, REG_QUEUE_READY, 0);
    EXPECT_IS(get_register(v, REG_QUEUE_READY), 1, "a running queue went");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *ready_before_features(struct virtio *v)
{
    set_register(v, REG_STATUS, 0);
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER);
    set_up(v, v->queue, &rings);
    EXPECT_IS(get_register(v, REG_QUEUE_READY), 0, "a queue is ready before the features are agreed on");
    return NULL;
}

static const char *moved_while_ready(struct virtio *v)
{
    agree(v, 0);
    set_up(v, v->queue, &rings);
    offer_queue(v, 8, (uint64_t)others[0].rings.desc, 1ull << 42, UINT64_MAX);
    EXPECT(!gave_up(v), "it gave up");
    drive(v);
    offer_queue(v, 3, 1ull << 42, (uint64_t)&others[0].rings.avail, (uint64_t)&others[0].rings.used);
    EXPECT(serves(v, QUEUE_SIZE + 3), "it does not serve at the addresses of when it became ready");
    EXPECT_IS(others[0].rings.used.index, 0, "it wrote elsewhere");
    return NULL;
}

static const char *acknowledged_in_parts(struct virtio *v)
{
    static const uint32_t reasons[] = { 0, INTERRUPT_CONFIG, 0x80000000, ~(uint32_t)INTERRUPT_USED };

    start(v);
    EXPECT(serves(v, 1), "it does not serve");
    FOR_EACH(i, reasons) {
        set_register(v, REG_ACK, reasons[i]);
        EXPECT_IS(get_register(v, REG_INTERRUPT), INTERRUPT_USED, "what was not acknowledged is gone");
    }
    set_register(v, REG_ACK, INTERRUPT_USED);
    EXPECT_IS(get_register(v, REG_INTERRUPT), 0, "what was acknowledged stays");
    set_register(v, REG_ACK, UINT32_MAX);
    EXPECT(serves(v, 1), "it no longer serves");
    EXPECT_IS(get_register(v, REG_INTERRUPT), INTERRUPT_USED, "the next interrupt is not told of");
    return NULL;
}

static const char *one_of_two_acknowledged(struct virtio *v)
{
    start(v);
    EXPECT(serves(v, 1), "it does not serve");
    jump(&rings);
    notify(v);
    EXPECT(gives_up(v), "it did not ask for its reset");
    EXPECT_IS(get_register(v, REG_INTERRUPT), INTERRUPT_USED | INTERRUPT_CONFIG, "both reasons do not stand there");
    set_register(v, REG_ACK, INTERRUPT_USED);
    EXPECT_IS(get_register(v, REG_INTERRUPT), INTERRUPT_CONFIG, "one acknowledged takes both, or none");
    set_register(v, REG_ACK, INTERRUPT_CONFIG);
    EXPECT_IS(get_register(v, REG_INTERRUPT), 0, "both acknowledged, one stays");
    return NULL;
}

static const char *interrupt_status_cannot_be_written(struct virtio *v)
{
    start(v);
    set_register(v, REG_INTERRUPT, UINT32_MAX);
    EXPECT_IS(get_register(v, REG_INTERRUPT), 0, "a reason came by a write");
    EXPECT(serves(v, 1), "it does not serve");
    set_register(v, REG_INTERRUPT, 0);
    EXPECT_IS(get_register(v, REG_INTERRUPT), INTERRUPT_USED, "a reason went by a write");
    return NULL;
}

static const char *reset_forgets_all(struct virtio *v)
{
    uint32_t count = begin_all(v, RING_FEATURES);

    EXPECT(serves(v, 2), "it does not serve");
    set_register(v, REG_STATUS, 0);
    EXPECT_IS(status_of(v), 0, "the status is not 0");
    EXPECT_IS(get_register(v, REG_INTERRUPT), 0, "a reason to interrupt stays");
    for (uint32_t i = 0; i < count; i++) {
        set_register(v, REG_QUEUE_SEL, i);
        EXPECT_IS(get_register(v, REG_QUEUE_READY), 0, "a queue is ready still");
    }
    /* The features, too: without them FEATURES_OK is refused. */
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER);
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    EXPECT_IS(status_of(v), ACKNOWLEDGE | DRIVER, "features from before the reset hold");
    return NULL;
}

static const char *notified_of_no_queue(struct virtio *v)
{
    uint32_t count;

    count = begin_all(v, 0);
    settle(v);
    request(v);
    for (uint32_t i = count; i < 80; i++)
        set_register(v, REG_NOTIFY, i);
    FOR_EACH(i, odd_numbers)
        if (odd_numbers[i] >= count)
            set_register(v, REG_NOTIFY, odd_numbers[i]);
    set_register(v, REG_NOTIFY, v->queue | 0x10000);
    set_register(v, REG_NOTIFY, v->queue | 0x80000000);
    pass(QUIET_MS * 1000);
    EXPECT_IS(rings.used.index, 0, "a queue was served that was not notified of");
    EXPECT(!gave_up(v), "it gave up");
    notify(v);
    EXPECT(await(v, 1, WORK_MS), "it no longer serves");
    return NULL;
}

static const char *unknown_features_are_refused(struct virtio *v)
{
    uint64_t offered = features_of(v), version = (uint64_t)FEATURE_VERSION_1 << 32;

    for (unsigned int bit = 0; bit < 64; bit++) {
        if (offered & 1ull << bit)
            continue;
        set_register(v, REG_STATUS, 0);
        EXPECT_IS(agree_exactly(v, version | 1ull << bit) ? bit + 1 : 0, 0, "a feature that is not offered is taken");
    }
    return NULL;
}

static const char *features_of_a_third_page_are_refused(struct virtio *v)
{
    FOR_EACH(i, odd_numbers) {
        set_register(v, REG_STATUS, 0);
        set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER);
        set_register(v, REG_DRIVER_FEATURES_SEL, odd_numbers[i]);
        set_register(v, REG_DRIVER_FEATURES, 1);
        EXPECT(!agree_exactly(v, (uint64_t)FEATURE_VERSION_1 << 32), "features that do not exist are taken");
    }
    return NULL;
}

static const char *version_1_is_needed(struct virtio *v)
{
    set_register(v, REG_STATUS, 0);
    EXPECT(!agree_exactly(v, 0), "a driver without version 1 is taken");
    EXPECT(agree_exactly(v, (uint64_t)FEATURE_VERSION_1 << 32), "one that offers it afterwards is not");
    return NULL;
}

/* So often that the device may have the register read without an exit. */
#define OFTEN 200
static const char *stands_often(const struct virtio *v, uint32_t reasons)
{
    for (unsigned int i = 0; i < OFTEN; i++)
        EXPECT_IS(get_register(v, REG_INTERRUPT), reasons, "another interrupt status");
    return NULL;
}

static const char *acknowledged_when_read_often(struct virtio *v)
{
    const char *failure;

    start(v);
    for (unsigned int i = 0; i < 3; i++) {
        EXPECT(serves(v, 1), "it does not serve");
        if ((failure = stands_often(v, INTERRUPT_USED)))
            return failure;
        set_register(v, REG_ACK, INTERRUPT_CONFIG | 0x80000000);
        EXPECT_IS(get_register(v, REG_INTERRUPT), INTERRUPT_USED, "what was not acknowledged is gone");
        set_register(v, REG_ACK, INTERRUPT_USED);
        if ((failure = stands_often(v, 0)))
            return failure;
    }
    return NULL;
}

/* What changes while reads bring no exit must be seen. */
static const char *all_is_seen_when_read_often(struct virtio *v)
{
    const char *failure;

    start(v);
    EXPECT(serves(v, 1), "it does not serve");
    if ((failure = stands_often(v, INTERRUPT_USED)))
        return failure;
    EXPECT_IS(get_register(v, REG_MAGIC), 0x74726976, "another magic value");
    jump(&rings);
    notify(v);
    EXPECT(gives_up(v), "it did not ask for its reset");
    EXPECT_IS(get_register(v, REG_INTERRUPT), INTERRUPT_USED | INTERRUPT_CONFIG, "both reasons do not stand there");
    set_register(v, REG_STATUS, RUNNING | FAILED);
    EXPECT_IS(status_of(v), RUNNING | NEEDS_RESET | FAILED, "FAILED is not there");
    set_register(v, REG_STATUS, 0);
    EXPECT_IS(status_of(v), 0, "the status is not 0");
    EXPECT_IS(get_register(v, REG_INTERRUPT), 0, "a reason to interrupt stays");
    return NULL;
}

static const struct trial register_trials[] = {
    T(identity_is_constant), T(undefined_read_as_zero), T(write_only_read_as_zero), T(no_shared_memory),
    T(no_queue_reset), T(narrow_and_wide_writes), T(unaligned_writes), T(narrow_and_wide_reads),
    T(features_beyond_the_second_page), T(config_beyond_its_end), T(config_stays), T(generation_is_steady),
    T(queues_that_are_not), T(ready_neither_0_nor_1), T(ready_taken_back), T(ready_taken_back_while_running),
    T(ready_before_features), T(moved_while_ready), T(acknowledged_in_parts), T(one_of_two_acknowledged),
    T(interrupt_status_cannot_be_written), T(reset_forgets_all), T(notified_of_no_queue),
    T(unknown_features_are_refused), T(features_of_a_third_page_are_refused), T(version_1_is_needed),
    T(acknowledged_when_read_often),
    T(all_is_seen_when_read_often),
};

#endif
