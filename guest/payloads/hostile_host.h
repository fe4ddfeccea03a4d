/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_HOST_H
#define MOTE_PAYLOAD_HOSTILE_HOST_H

/*
 * What the host does meanwhile: a line "HOST words" on the serial port has
 * tests/hostile/host do it, which answers by a byte, 'y' or 'n'.
 */

#include "hostile_trial.h"

static void ask_host(const char *words)
{
    out8(SERIAL_MCR, SERIAL_MCR_RTS);
    print("HOST ");
    print(words);
    print("\n");
}

/* 0 before there is an answer. */
static uint8_t host_answer(void)
{
    return in8(SERIAL_LSR) & SERIAL_LSR_DATA ? in8(SERIAL_PORT) : 0;
}

static bool host_does(const char *words)
{
    uint8_t answer;

    ask_host(words);
    while (!(answer = host_answer()))
        __asm__ volatile("pause");
    return answer == 'y';
}

/* Requests of V, each answered once, for as long as the host is at it. */
static const char *served_while_host(struct virtio *v, const char *words)
{
    uint16_t count = rings.avail.index;
    uint8_t answer;

    ask_host(words);
    while (!(answer = host_answer())) {
        request(v);
        notify(v);
        count++;
        EXPECT(await_in(v, &rings, count, 2 * WORK_MS), "a request was not answered once");
    }
    EXPECT_IS(answer, 'y', "the host could not do its part");
    EXPECT(serves(v, 2), "it no longer serves");
    return NULL;
}

static const char *paused_amid_requests(struct virtio *v)
{
    begin(v, RING_FEATURES);
    return served_while_host(v, "pulse 8");
}

static void keeps_kicking_for_host(struct virtio *v)
{
    while (!other_cpu.stop)
        notify(v);
}

static const char *saved_amid_requests(struct virtio *v)
{
    const char *failure;

    begin(v, 0);
    other_begins(v, keeps_kicking_for_host);
    failure = served_while_host(v, "snapshot");
    other_stops();
    return failure;
}

/* In a state in which nothing may go on, before and after. */
static const char *saved_while_it_needs_a_reset(struct virtio *v)
{
    begin(v, 0);
    jump(&rings);
    notify(v);
    EXPECT(gives_up(v), "it did not ask for its reset");
    EXPECT(host_does("snapshot"), "the host could not save it");
    EXPECT_IS(status_of(v), RUNNING | NEEDS_RESET, "the status changed");
    rings.avail.index = 0;
    request(v);
    notify(v);
    pass(QUIET_MS * 1000);
    EXPECT_IS(rings.used.index, 0, "it serves although it needs a reset");
    return NULL;
}

static const struct trial host_trials[] = {
    T(paused_amid_requests), T(saved_amid_requests), T(saved_while_it_needs_a_reset),
};

/* ---- a disk's size ---- */

#define DISK_CAPACITY REG_CONFIG
#define DISK_GENERATION 0xfc

static uint8_t read_of(const struct virtio *v, uint64_t sector)
{
    request(v);
    *(uint64_t *)(buffers[0] + 8) = sector;
    notify(v);
    return await(v, rings.avail.index, WORK_MS) ? buffers[2][0] : 0xff;
}

static const char *resized_amid_requests(struct virtio *v)
{
    uint32_t before, generation;
    const char *failure;

    begin(v, 0);
    before = get_register(v, DISK_CAPACITY);
    generation = get_register(v, DISK_GENERATION);
    EXPECT_IS(read_of(v, before), 1, "a read behind the end");
    if ((failure = served_while_host(v, "grow")))
        return failure;
    EXPECT_IS(get_register(v, DISK_CAPACITY), 2 * before, "another capacity");
    EXPECT(get_register(v, DISK_GENERATION) != generation, "the generation is the same");
    EXPECT(get_register(v, REG_INTERRUPT) & INTERRUPT_CONFIG, "no interrupt tells of it");
    EXPECT_IS(read_of(v, 2 * before - 1), 0, "a read of what is new");
    EXPECT_IS(read_of(v, 2 * before), 1, "a read behind the end");
    if ((failure = served_while_host(v, "shrink")))
        return failure;
    EXPECT_IS(get_register(v, DISK_CAPACITY), before, "another capacity");
    EXPECT_IS(read_of(v, before - 1), 0, "a read of the last sector");
    EXPECT_IS(read_of(v, before), 1, "a read of what is gone");
    return NULL;
}

static const struct trial resize_trials[] = { T(resized_amid_requests) };

/* ---- a balloon's target ---- */

static const char *target_changed_amid_requests(struct virtio *v)
{
    uint32_t before = get_register(v, REG_CONFIG), generation;
    const char *failure;

    begin(v, 0);
    generation = get_register(v, DISK_GENERATION);
    if ((failure = served_while_host(v, "balloon 2097152")))
        return failure;
    EXPECT_IS(get_register(v, REG_CONFIG), 512, "another target");
    EXPECT(get_register(v, DISK_GENERATION) != generation, "the generation is the same");
    EXPECT(get_register(v, REG_INTERRUPT) & INTERRUPT_CONFIG, "no interrupt tells of it");
    if ((failure = served_while_host(v, "balloon 1048576")))
        return failure;
    EXPECT_IS(get_register(v, REG_CONFIG), before, "another target");
    return NULL;
}

static const struct trial target_trials[] = { T(target_changed_amid_requests) };

#endif
