/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_TRIAL_H
#define MOTE_PAYLOAD_HOSTILE_TRIAL_H

/*
 * Trials: attacks whose outcome each of them checks itself, on devices all of
 * whose queues may be up, with a second processor beside.  After each trial the
 * device is reset, and a valid request must succeed.
 */

#include "boot_info.h"
#include "hostile.h"

#define QUEUES_MOST 8
#define FEATURE_EVENT_IDX (1u << 29)
#define RING_FEATURES (FEATURE_EVENT_IDX | FEATURE_INDIRECT)
#define FAILED 128
#define RUNNING (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
#define INTERRUPT_USED 1
#define INTERRUPT_CONFIG 2
#define QUIET_MS 3 /* for what must not come */
#define RACE_MS 15

/* NULL, or what was not as it should be. */
struct trial {
    const char *name;
    const char *(*run)(struct virtio *v);
};
#define T(function) { #function, function }

/* What a check found in place of what it wanted. */
static struct { bool any; uint64_t value; } found;

#define EXPECT(condition, why) do { if (!(condition)) return why; } while (0)
#define EXPECT_IS(got, wanted, why)                                                 \
    do {                                                                            \
        uint64_t got_ = (got);                                                      \
        if (got_ != (uint64_t)(wanted)) {                                           \
            found.any = true;                                                       \
            found.value = got_;                                                     \
            return why;                                                             \
        }                                                                           \
    } while (0)

/* ---- several queues at once ---- */

/* RINGS of virtio.h are those of the queue that v->queue names; these are the others'. */
static struct { struct rings rings; } others[QUEUES_MOST] __attribute__((aligned(4096)));

static inline struct rings *rings_of(const struct virtio *v, uint32_t queue)
{
    return queue == v->queue ? &rings : &others[queue].rings;
}

static inline uint32_t queue_count(const struct virtio *v)
{
    uint32_t count = 0;

    for (; count < QUEUES_MOST; count++) {
        set_register(v, REG_QUEUE_SEL, count);
        if (get_register(v, REG_QUEUE_SIZE_MAX) == 0)
            break;
    }
    return count;
}

static inline uint32_t status_of(const struct virtio *v) { return get_register(v, REG_STATUS); }
static inline bool gave_up(const struct virtio *v) { return status_of(v) & NEEDS_RESET; }

static inline uint64_t features_of(const struct virtio *v)
{
    uint64_t features;

    set_register(v, REG_FEATURES_SEL, 1);
    features = (uint64_t)get_register(v, REG_FEATURES) << 32;
    set_register(v, REG_FEATURES_SEL, 0);
    return features | get_register(v, REG_FEATURES);
}

/* Exactly FEATURES, up to FEATURES_OK; whether the device agreed. */
static inline bool agree_exactly(const struct virtio *v, uint64_t features)
{
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER);
    set_register(v, REG_DRIVER_FEATURES_SEL, 1);
    set_register(v, REG_DRIVER_FEATURES, (uint32_t)(features >> 32));
    set_register(v, REG_DRIVER_FEATURES_SEL, 0);
    set_register(v, REG_DRIVER_FEATURES, (uint32_t)features);
    set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    set_register(v, REG_QUEUE_SEL, v->queue);
    return status_of(v) & FEATURES_OK;
}

static inline void renew(const struct virtio *v)
{
    set_register(v, REG_STATUS, 0);
    clear(&rings, sizeof(rings));
    clear(others, sizeof(others));
}

/* After a reset: those of FEATURES that are offered, and version 1. */
static inline bool agree(const struct virtio *v, uint64_t features)
{
    renew(v);
    return agree_exactly(v, (features_of(v) & features) | (uint64_t)FEATURE_VERSION_1 << 32);
}

static inline void set_up(const struct virtio *v, uint32_t queue, struct rings *of)
{
    set_register(v, REG_QUEUE_SEL, queue);
    offer_queue(v, QUEUE_SIZE, (uint64_t)of->desc, (uint64_t)&of->avail, (uint64_t)&of->used);
}

/* The one queue that requests go to. */
static inline void begin(const struct virtio *v, uint64_t features)
{
    agree(v, features);
    set_up(v, v->queue, &rings);
    drive(v);
}

/* All queues; how many there are. */
static inline uint32_t begin_all(const struct virtio *v, uint64_t features)
{
    uint32_t count;

    agree(v, features);
    count = queue_count(v);
    for (uint32_t i = 0; i < count; i++)
        set_up(v, i, rings_of(v, i));
    drive(v);
    return count;
}

static inline void kick_queue(const struct virtio *v, uint32_t queue) { set_register(v, REG_NOTIFY, queue); }

static inline void describe_in(struct rings *of, unsigned int index, uint64_t address, uint32_t length,
                               uint16_t flags, uint16_t next)
{
    of->desc[index] = (struct descriptor){ address, length, flags, next };
}

static inline void offer_in(struct rings *of, uint16_t head)
{
    of->avail.ring[of->avail.index % QUEUE_SIZE] = head;
    __asm__ volatile("" : : : "memory");
    of->avail.index++;
}

static inline void pass(unsigned int microseconds)
{
    uint64_t end = rdtsc() + microseconds * (TICKS_PER_MS / 1000);

    while ((int64_t)(end - rdtsc()) > 0)
        __asm__ volatile("pause");
}

/* The network looks into its queues by itself when it starts: until it has done so. */
static inline void settle(const struct virtio *v)
{
    pass(v->id == ID_NET ? 30000 : 0);
}

/* Until COUNT buffers of OF came back; false where the device gave up or is late. */
static inline bool await_in(const struct virtio *v, const struct rings *of, uint16_t count,
                            unsigned int milliseconds)
{
    uint64_t end = rdtsc() + milliseconds * TICKS_PER_MS;

    for (uint32_t i = 1; (int64_t)(end - rdtsc()) > 0; i++) {
        if (of->used.index == count)
            return true;
        __asm__ volatile("pause");
        if (i % 256 == 0 && gave_up(v))
            return false;
    }
    return false;
}

/* Whether the device asks for its reset, in time. */
static inline bool gives_up(const struct virtio *v)
{
    return !await(v, UINT16_MAX - 7, WORK_MS) && gave_up(v);
}

/* One valid request more and its answer, on a device that is up. */
static inline bool serves_one(const struct virtio *v)
{
    request(v);
    notify(v);
    return await(v, rings.avail.index, WORK_MS) && (v->id != ID_BLOCK || buffers[2][0] == 0);
}

static inline bool serves(const struct virtio *v, unsigned int count)
{
    while (count > 0 && serves_one(v))
        count--;
    return count == 0;
}

/* COUNT valid requests of descriptors of their own, the FIRSTth of at most 20 and those that follow; not notified. */
static inline void requests(const struct virtio *v, unsigned int first, unsigned int count)
{
    describe_request(v);
    for (unsigned int at = 3 * first; at < 3 * (first + count); at += 3) {
        for (unsigned int i = 0; at > 0 && i < 3; i++) {
            rings.desc[at + i] = rings.desc[i];
            rings.desc[at + i].next = (uint16_t)(at + i + 1);
        }
        offer((uint16_t)at);
    }
}

/* Whether "used buffers" stands in InterruptStatus; acknowledges it. */
static inline bool interrupted(const struct virtio *v)
{
    uint32_t reasons = get_register(v, REG_INTERRUPT);

    set_register(v, REG_ACK, reasons);
    return reasons & INTERRUPT_USED;
}

/* An index that no driver could have reached. */
static inline void jump(struct rings *of) { of->avail.index = (uint16_t)(of->avail.index + QUEUE_SIZE + 1); }

/* ---- the second processor ---- */

static struct {
    void (*volatile job)(struct virtio *v); /* NULL: it is idle */
    struct virtio *v;
    volatile bool stop;
    volatile bool there;
} other_cpu;

/* JOB there, until other_stops(); it is to return when other_cpu.stop is set. */
static inline void other_begins(struct virtio *v, void (*job)(struct virtio *v))
{
    other_cpu.v = v;
    other_cpu.stop = false;
    __asm__ volatile("" : : : "memory");
    other_cpu.job = job;
}

static inline void other_stops(void)
{
    other_cpu.stop = true;
    while (other_cpu.job)
        __asm__ volatile("pause");
}

/* Something else each time, on either processor. */
static inline uint32_t any(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* ---- the walk ---- */

static inline void tell_trial(struct checks *checks, const struct virtio *v, unsigned int number, const char *name,
                              const char *failure)
{
    print(failure ? "FAIL " : "ok ");
    print(device_name(v->id));
    if (number > 0)
        print_number(number + 1);
    print(": ");
    print(name);
    if (failure) {
        print(": ");
        print(failure);
        if (found.any) {
            print(", found ");
            print_hex(found.value);
        }
        checks->failed++;
    } else {
        checks->passed++;
    }
    print("\n");
}

/* Of the command line, only=WORD: the trials of a kind of device, or those of that name; NULL: all. */
static const char *only;

static inline bool is_wanted(const struct virtio *v, const char *name)
{
    return !only || option_is(only, device_name(v->id)) || option_is(only, name);
}

/* V is the NUMBERth device of its kind. */
static inline void walk_trials(struct checks *checks, struct virtio *v, unsigned int number,
                               const struct trial *trials, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *failure;

        if (!is_wanted(v, trials[i].name))
            continue;
        found.any = false;
        failure = trials[i].run(v);
        if (!failure && !works(v))
            failure = "no valid request works after it";
        tell_trial(checks, v, number, trials[i].name, failure);
    }
}
#define WALK(checks, v, number, trials) walk_trials(checks, v, number, trials, sizeof(trials) / sizeof(trials[0]))

#endif
