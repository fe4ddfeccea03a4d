/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_BLOCK_H
#define MOTE_PAYLOAD_HOSTILE_BLOCK_H

/*
 * Requests that meet in flight, on both queues of a disk, and requests that are
 * wrong, with the status and the used length that must come of them (virtio 1.2, 5.2.6).
 */

#include "hostile_trial.h"

enum { BLK_IN, BLK_OUT, BLK_FLUSH = 4, BLK_GET_ID = 8, BLK_DISCARD = 11, BLK_ZEROES = 13 };
enum { BLK_OK, BLK_IOERR, BLK_UNSUPP };
#define BLK_F_FLUSH (1u << 9)
#define BLK_F_CONFIG_WCE (1u << 11)
#define BLK_F_DISCARD (1u << 13)
#define BLK_F_ZEROES (1u << 14)
#define BLK_FEATURES (FEATURES_OF_DISKS | BLK_F_CONFIG_WCE)
#define BLK_RO (1u << 5)
#define CONFIG_CAPACITY REG_CONFIG
#define CONFIG_WRITEBACK (REG_CONFIG + 32)
#define SLOTS 20
#define DATA_AREA (8ull << 20) /* 8 KiB for each slot */
#define DATA(slot) (DATA_AREA + 8192ull * (slot))

/* Header and status of each request in flight. */
static struct { uint32_t type, reserved; uint64_t sector; } headers[SLOTS];
static volatile uint8_t statuses[SLOTS];

/* Request SLOT into OF: LENGTH bytes of DATA(SLOT). */
static void put(struct rings *of, unsigned int slot, uint32_t type, uint64_t sector, uint32_t length)
{
    unsigned int at = 3 * slot;
    uint16_t writable = type == BLK_IN || type == BLK_GET_ID ? DESC_WRITE : 0;

    headers[slot].type = type;
    headers[slot].sector = sector;
    statuses[slot] = 0xee;
    describe_in(of, at, (uint64_t)&headers[slot], 16, DESC_NEXT, (uint16_t)(at + (length ? 1 : 2)));
    describe_in(of, at + 1, DATA(slot), length, (uint16_t)(DESC_NEXT | writable), (uint16_t)(at + 2));
    describe_in(of, at + 2, (uint64_t)&statuses[slot], 1, DESC_WRITE, 0);
    offer_in(of, (uint16_t)at);
}

struct range { uint64_t sector; uint32_t count, flags; };
static void put_ranges(struct rings *of, unsigned int slot, uint32_t type, struct range range, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++)
        ((struct range *)DATA(slot))[i] = range;
    put(of, slot, type, 0, count * (uint32_t)sizeof(range));
}

static void fill(uint64_t address, uint64_t length, uint8_t byte)
{
    __asm__ volatile("rep stosb" : "+D"(address), "+c"(length) : "a"(byte) : "memory");
}

/* The one byte that all LENGTH bytes, a multiple of 8, have; or 256. */
static uint32_t all_of(uint64_t address, uint32_t length)
{
    const volatile uint64_t *words = (const volatile uint64_t *)address;
    uint64_t wanted = (words[0] & 0xff) * 0x0101010101010101ull;

    for (uint32_t i = 0; i < length / 8; i++)
        if (words[i] != wanted)
            return 256;
    return wanted & 0xff;
}

/* One request on a started disk; its status, or 0xff where none comes. */
static uint8_t asks(const struct virtio *v, uint32_t type, uint64_t sector, uint32_t length)
{
    put(&rings, 0, type, sector, length);
    notify(v);
    return await(v, rings.avail.index, WORK_MS) ? statuses[0] : 0xff;
}

static uint8_t asks_range(const struct virtio *v, uint32_t type, struct range range, unsigned int count)
{
    put_ranges(&rings, 0, type, range, count);
    notify(v);
    return await(v, rings.avail.index, WORK_MS) ? statuses[0] : 0xff;
}

static uint32_t last_length(void) { return rings.used.ring[(rings.used.index - 1) % QUEUE_SIZE].length; }
static uint64_t sectors_of(const struct virtio *v) { return get_register(v, CONFIG_CAPACITY); }
static bool is_read_only(const struct virtio *v) { return features_of(v) & BLK_RO; }

static bool all_are(uint8_t status, unsigned int first, unsigned int count)
{
    for (unsigned int i = first; i < first + count; i++)
        if (statuses[i] != status) {
            found.any = true;
            found.value = statuses[i];
            return false;
        }
    return true;
}

/* ---- answers ---- */

static const char *lengths_and_statuses(struct virtio *v)
{
    uint64_t end;

    begin(v, BLK_FEATURES);
    end = sectors_of(v);
    EXPECT_IS(asks(v, BLK_IN, 0, 4096), BLK_OK, "a read failed");
    EXPECT_IS(last_length(), 4097, "the used length of a read");
    EXPECT_IS(asks(v, BLK_OUT, 8, 4096), BLK_OK, "a write failed");
    EXPECT_IS(last_length(), 1, "the used length of a write");
    EXPECT_IS(asks(v, BLK_GET_ID, 0, 4096), BLK_OK, "no id");
    EXPECT_IS(last_length(), 21, "the used length of an id");
    EXPECT_IS(asks(v, BLK_IN, end, 512), BLK_IOERR, "a read behind the end");
    EXPECT_IS(last_length(), 1, "the used length of a read that failed");
    EXPECT_IS(asks(v, BLK_IN, end - 1, 512), BLK_OK, "a read of the last sector");
    EXPECT_IS(asks(v, BLK_IN, end - 1, 1024), BLK_IOERR, "a read across the end");
    EXPECT_IS(asks(v, BLK_OUT, end - 1, 1024), BLK_IOERR, "a write across the end");
    EXPECT_IS(asks(v, BLK_OUT, 1ull << 55, 512), BLK_IOERR, "a sector whose byte wraps");
    EXPECT_IS(asks(v, BLK_IN, UINT64_MAX, 512), BLK_IOERR, "the last sector of all");
    EXPECT_IS(asks(v, BLK_IN, 0, 511), BLK_IOERR, "a part of a sector");
    EXPECT_IS(asks(v, 0x80000000, 0, 512), BLK_UNSUPP, "a barrier, which there is not");
    EXPECT_IS(asks(v, 2, 0, 512), BLK_UNSUPP, "an unknown type");
    EXPECT_IS(asks(v, BLK_FLUSH | 1, 0, 0), BLK_UNSUPP, "an unknown type");
    return NULL;
}

static const char *ranges_and_their_statuses(struct virtio *v)
{
    uint64_t end;

    begin(v, BLK_FEATURES);
    end = sectors_of(v);
    EXPECT_IS(asks_range(v, BLK_ZEROES, (struct range){ 0, 8, 0 }, 1), BLK_OK, "zeroes");
    EXPECT_IS(asks_range(v, BLK_ZEROES, (struct range){ 0, 8, 1 }, 1), BLK_OK, "zeroes that may unmap");
    EXPECT_IS(asks_range(v, BLK_DISCARD, (struct range){ 0, 8, 1 }, 1), BLK_UNSUPP, "a discard with a flag");
    EXPECT_IS(asks_range(v, BLK_ZEROES, (struct range){ 0, 8, 2 }, 1), BLK_UNSUPP, "zeroes with an unknown flag");
    EXPECT_IS(asks_range(v, BLK_ZEROES, (struct range){ 0, 0, 0 }, 1), BLK_IOERR, "no sector at all");
    EXPECT_IS(asks_range(v, BLK_ZEROES, (struct range){ end - 4, 8, 0 }, 1), BLK_IOERR, "zeroes across the end");
    EXPECT_IS(asks_range(v, BLK_DISCARD, (struct range){ UINT64_MAX, 8, 0 }, 1), BLK_IOERR, "a range that wraps");
    EXPECT_IS(asks_range(v, BLK_DISCARD, (struct range){ 1ull << 55, UINT32_MAX, 0 }, 1), BLK_IOERR, "a range beyond all");
    EXPECT_IS(asks_range(v, BLK_DISCARD, (struct range){ 8, 8, 0 }, 16), BLK_OK, "as many ranges as may be");
    EXPECT_IS(asks_range(v, BLK_DISCARD, (struct range){ 8, 8, 0 }, 17), BLK_IOERR, "a range too many");
    return NULL;
}

static const char *features_left_out(struct virtio *v)
{
    begin(v, BLK_FEATURES);
    EXPECT_IS(read8(v->base + CONFIG_WRITEBACK), 1, "no write cache with FLUSH");
    begin(v, 0);
    EXPECT_IS(read8(v->base + CONFIG_WRITEBACK), 0, "a write cache without FLUSH");
    EXPECT_IS(asks(v, BLK_FLUSH, 0, 0), BLK_UNSUPP, "a flush that was not agreed on");
    EXPECT_IS(asks_range(v, BLK_DISCARD, (struct range){ 0, 8, 0 }, 1), BLK_UNSUPP, "a discard that was not agreed on");
    EXPECT_IS(asks_range(v, BLK_ZEROES, (struct range){ 0, 8, 0 }, 1), BLK_UNSUPP, "zeroes that were not agreed on");
    write8(v->base + CONFIG_WRITEBACK, 1);
    EXPECT_IS(read8(v->base + CONFIG_WRITEBACK), 0, "the cache is switched without CONFIG_WCE");
    EXPECT_IS(asks(v, BLK_OUT, 0, 512), BLK_OK, "a write through failed");
    begin(v, BLK_FEATURES);
    EXPECT_IS(asks(v, BLK_FLUSH, 0, 0), BLK_OK, "a flush failed");
    return NULL;
}

static const char *cache_switch_of_odd_widths(struct virtio *v)
{
    begin(v, BLK_FEATURES);
    write8(v->base + CONFIG_WRITEBACK, 0);
    EXPECT_IS(read8(v->base + CONFIG_WRITEBACK), 0, "the cache cannot be switched off");
    write8(v->base + CONFIG_WRITEBACK, 0xff);
    EXPECT_IS(read8(v->base + CONFIG_WRITEBACK), 1, "the switch has a third value");
    write32(v->base + CONFIG_WRITEBACK, 0);
    write16(v->base + CONFIG_WRITEBACK, 0);
    write64(v->base + CONFIG_WRITEBACK, 0);
    write8(v->base + CONFIG_WRITEBACK + 1, 0);
    write8(v->base + CONFIG_WRITEBACK - 1, 0);
    EXPECT_IS(read8(v->base + CONFIG_WRITEBACK), 1, "the cache is switched by another access");
    return NULL;
}

/* ---- in flight together ---- */

static void keeps_switching_the_cache(struct virtio *v)
{
    uint8_t value = 0;

    while (!other_cpu.stop)
        write8(v->base + CONFIG_WRITEBACK, value++ & 1);
}

static const char *cache_switched_in_flight(struct virtio *v)
{
    const char *failure = NULL;

    begin(v, BLK_FEATURES);
    for (unsigned int i = 0; i < SLOTS; i++)
        fill(DATA(i), 4096, (uint8_t)(i + 1));
    other_begins(v, keeps_switching_the_cache);
    for (uint16_t n = 1; n <= 5 && !failure; n++) {
        for (unsigned int i = 0; i < SLOTS; i++)
            put(&rings, i, i % 5 == 4 ? BLK_FLUSH : BLK_OUT, 8 * i, i % 5 == 4 ? 0 : 4096);
        notify(v);
        if (!await_in(v, &rings, (uint16_t)(n * SLOTS), WORK_MS))
            failure = "not all came back";
        else if (!all_are(BLK_OK, 0, SLOTS))
            failure = "a request failed";
    }
    other_stops();
    EXPECT(!failure, failure);
    for (unsigned int i = 0; i < SLOTS; i++) {
        if (i % 5 == 4)
            continue;
        EXPECT_IS(asks(v, BLK_IN, 8 * i, 4096), BLK_OK, "a read failed");
        EXPECT_IS(all_of(DATA(0), 4096), i + 1, "other bytes than were written");
    }
    return NULL;
}

static const char *two_flushes_at_once(struct virtio *v)
{
    struct rings *second = rings_of(v, 1);

    begin_all(v, BLK_FEATURES);
    for (uint16_t n = 1; n <= 10; n++) {
        put(&rings, 0, BLK_OUT, n, 512);
        put(&rings, 1, BLK_FLUSH, 0, 0);
        put(second, 2, BLK_OUT, n + 100, 512);
        put(second, 3, BLK_FLUSH, 0, 0);
        kick_queue(v, 0);
        kick_queue(v, 1);
        EXPECT(await_in(v, &rings, (uint16_t)(2 * n), WORK_MS), "the first queue's did not come back");
        EXPECT(await_in(v, second, (uint16_t)(2 * n), WORK_MS), "the second queue's did not come back");
        EXPECT(all_are(BLK_OK, 0, 4), "a request failed");
    }
    return NULL;
}

static const char *flushes_alone(struct virtio *v)
{
    begin(v, BLK_FEATURES);
    for (unsigned int i = 0; i < SLOTS; i++)
        put(&rings, i, BLK_FLUSH, i, 0);
    notify(v);
    EXPECT(await(v, SLOTS, WORK_MS), "not all came back");
    EXPECT(all_are(BLK_OK, 0, SLOTS), "a flush failed");
    return NULL;
}

/* A write, and what takes the same sectors away: each sector is then the one or the other's. */
static const char *taken_away_in_flight(struct virtio *v, uint32_t type, uint64_t first)
{
    struct rings *second = rings_of(v, 1);
    const struct range range = { first, 16, 0 };

    begin_all(v, BLK_FEATURES);
    for (uint16_t n = 1; n <= 10; n++) {
        fill(DATA(0), 8192, 0x77);
        put(&rings, 0, BLK_OUT, first, 8192);
        put_ranges(second, 1, type, range, 1);
        put(&rings, 2, BLK_OUT, first + 8, 512);
        fill(DATA(2), 512, 0x77);
        kick_queue(v, n % 2);
        kick_queue(v, (n + 1) % 2);
        EXPECT(await_in(v, &rings, (uint16_t)(2 * n), WORK_MS) && await_in(v, second, n, WORK_MS), "not all came back");
        EXPECT(all_are(BLK_OK, 0, 3), "a request failed");
    }
    for (uint64_t sector = first; sector < first + 16; sector++) {
        uint32_t bytes;

        EXPECT_IS(asks(v, BLK_IN, sector, 512), BLK_OK, "a read failed");
        bytes = all_of(DATA(0), 512);
        EXPECT_IS(bytes == 0 || bytes == 0x77 ? 0 : bytes, 0, "a sector is neither written nor empty");
    }
    EXPECT_IS(asks_range(v, BLK_ZEROES, range, 1), BLK_OK, "zeroes failed");
    EXPECT_IS(asks(v, BLK_IN, first, 8192), BLK_OK, "a read failed");
    EXPECT_IS(all_of(DATA(0), 8192), 0, "zeroes that are none");
    return NULL;
}
static const char *discard_across_a_write(struct virtio *v) { return taken_away_in_flight(v, BLK_DISCARD, 64); }
static const char *discard_of_half_a_page(struct virtio *v) { return taken_away_in_flight(v, BLK_DISCARD, 67); }
static const char *zeroes_across_a_write(struct virtio *v) { return taken_away_in_flight(v, BLK_ZEROES, 64); }

static const char *writes_of_one_sector(struct virtio *v)
{
    begin(v, BLK_FEATURES);
    for (unsigned int i = 0; i < SLOTS; i++) {
        fill(DATA(i), 512, (uint8_t)(0x40 + i));
        put(&rings, i, BLK_OUT, 200, 512);
    }
    notify(v);
    EXPECT(await(v, SLOTS, WORK_MS), "not all came back");
    EXPECT(all_are(BLK_OK, 0, SLOTS), "a write failed");
    EXPECT_IS(asks(v, BLK_IN, 200, 512), BLK_OK, "a read failed");
    EXPECT(all_of(DATA(0), 512) - 0x40 < SLOTS, "the sector is none of those that were written");
    return NULL;
}

/* Two queues read into the same bytes, and write their answers into the same byte. */
static const char *one_buffer_for_both_queues(struct virtio *v)
{
    struct rings *second = rings_of(v, 1);

    begin(v, BLK_FEATURES);
    fill(DATA(0), 4096, 0x21);
    EXPECT_IS(asks(v, BLK_OUT, 0, 4096), BLK_OK, "a write failed");
    begin_all(v, BLK_FEATURES);
    put(&rings, 0, BLK_IN, 0, 4096);
    for (unsigned int i = 0; i < 3; i++)
        second->desc[i] = rings.desc[i];
    for (uint16_t n = 1; n <= 20; n++) {
        if (n > 1)
            offer(0);
        offer_in(second, 0);
        kick_queue(v, 0);
        kick_queue(v, 1);
        EXPECT(await_in(v, &rings, n, WORK_MS) && await_in(v, second, n, WORK_MS), "not all came back");
        EXPECT_IS(statuses[0], BLK_OK, "a read failed");
        EXPECT_IS(all_of(DATA(0), 4096), 0x21, "other bytes than were written");
    }
    return NULL;
}

/* ---- the disk's bytes over what the device reads ---- */

/* A sector that, read into the available ring, is an index that no driver could have reached. */
static const char *a_read_over_the_available_ring(struct virtio *v)
{
    begin(v, BLK_FEATURES);
    fill(DATA(0), 512, 0x99);
    EXPECT_IS(asks(v, BLK_OUT, 0, 512), BLK_OK, "a write failed");
    put(&rings, 1, BLK_IN, 0, 512);
    describe(4, (uint64_t)&rings.avail, 512, DESC_NEXT | DESC_WRITE, 5);
    notify(v);
    await(v, UINT16_MAX, TAKE_MS);
    notify(v);
    EXPECT(gives_up(v), "an index that came from the disk is followed");
    return NULL;
}

static const char *a_read_over_the_descriptors(struct virtio *v)
{
    begin(v, BLK_FEATURES);
    fill(DATA(0), 1024, 0xff);
    EXPECT_IS(asks(v, BLK_OUT, 0, 1024), BLK_OK, "a write failed");
    put(&rings, 1, BLK_IN, 0, 1024);
    describe(4, (uint64_t)rings.desc, 1024, DESC_NEXT | DESC_WRITE, 5);
    notify(v);
    EXPECT(await(v, 2, WORK_MS), "it did not come back");
    EXPECT_IS(statuses[1], BLK_OK, "the copy of a chain is read again");
    offer(7);
    notify(v);
    EXPECT(gives_up(v), "a descriptor that came from the disk is followed");
    return NULL;
}

static const char *a_read_over_its_header(struct virtio *v)
{
    begin(v, BLK_FEATURES);
    fill(DATA(0), 512, 0xff);
    EXPECT_IS(asks(v, BLK_OUT, 0, 512), BLK_OK, "a write failed");
    put(&rings, 1, BLK_IN, 0, 512);
    describe(3, DATA(1), 16, DESC_NEXT, 4);
    clear((void *)DATA(1), 512);
    notify(v);
    EXPECT(await(v, 2, WORK_MS), "it did not come back");
    EXPECT_IS(statuses[1], BLK_OK, "the header is read again");
    EXPECT_IS(all_of(DATA(1), 512), 0xff, "other bytes than were written");
    return NULL;
}

static const char *status_within_the_data(struct virtio *v)
{
    begin(v, BLK_FEATURES);
    fill(DATA(0), 512, 0x31);
    EXPECT_IS(asks(v, BLK_OUT, 0, 512), BLK_OK, "a write failed");
    put(&rings, 1, BLK_IN, 0, 512);
    describe(5, DATA(1) + 100, 1, DESC_WRITE, 0);
    notify(v);
    EXPECT(await(v, 2, WORK_MS), "it did not come back");
    EXPECT_IS(*(volatile uint8_t *)(DATA(1) + 100), BLK_OK, "no status");
    return NULL;
}

/* After a reset nothing of what was in flight is written to guest memory: flushes take longest. */
static const char *reset_in_flight(struct virtio *v, uint64_t features)
{
    uint64_t end = rdtsc() + 400 * TICKS_PER_MS; /* the host's disk may be slow */

    for (unsigned int n = 0; n < 12 && (int64_t)(end - rdtsc()) > 0; n++) {
        begin(v, features);
        for (unsigned int i = 0; i < SLOTS; i++)
            put(&rings, i, i == 3 || i == 9 ? BLK_OUT : i == 10 && features ? BLK_FLUSH : BLK_IN, 8 * i,
                i == 10 && features ? 0 : 4096);
        notify(v);
        pass(n * 25);
        set_register(v, REG_STATUS, 0);
        rings.used.index = 0x5a5a;
        for (unsigned int i = 0; i < SLOTS; i++) {
            fill(DATA(i), 4096, 0x5a);
            statuses[i] = 0x5a;
        }
        pass(500);
        EXPECT_IS(rings.used.index, 0x5a5a, "the used ring was written to after a reset");
        for (unsigned int i = 0; i < SLOTS; i++) {
            EXPECT_IS(all_of(DATA(i), 4096), 0x5a, "a buffer was written to after a reset");
            EXPECT_IS(statuses[i], 0x5a, "a status was written after a reset");
        }
    }
    return NULL;
}
static const char *reset_amid_flushes(struct virtio *v) { return reset_in_flight(v, BLK_FEATURES); }
static const char *reset_amid_writes_through(struct virtio *v) { return reset_in_flight(v, 0); }

static const char *driver_ok_starts_nothing_anew(struct virtio *v)
{
    begin(v, BLK_FEATURES);
    write8(v->base + CONFIG_WRITEBACK, 0);
    for (unsigned int i = 0; i < 5; i++)
        drive(v);
    EXPECT_IS(read8(v->base + CONFIG_WRITEBACK), 0, "DRIVER_OK again chose the cache's mode anew");
    return NULL;
}

static void keeps_the_second_queue_busy(struct virtio *v)
{
    struct rings *second = rings_of(v, 1);

    for (uint16_t n = 1; !other_cpu.stop; n++) {
        offer_in(second, 0);
        kick_queue(v, 1);
        while (second->used.index != n && !other_cpu.stop)
            __asm__ volatile("pause");
    }
}

/* A queue of its own for each processor; neither waits for the other, and none loses a request. */
static const char *a_queue_for_each_processor(struct virtio *v)
{
    const char *failure = NULL;

    begin_all(v, BLK_FEATURES);
    put(rings_of(v, 1), 1, BLK_IN, 0, 4096);
    for (unsigned int i = 0; i < 3; i++) /* at descriptor 0, not offered yet */
        rings_of(v, 1)->desc[i] = rings_of(v, 1)->desc[i + 3];
    rings_of(v, 1)->desc[0].next = 1;
    rings_of(v, 1)->desc[1].next = 2;
    rings_of(v, 1)->avail.index = 0;
    other_begins(v, keeps_the_second_queue_busy);
    for (uint16_t n = 1; n <= 60 && !failure; n++)
        if (asks(v, BLK_OUT, 300, 4096) != BLK_OK)
            failure = "a request was not answered well";
    other_stops();
    EXPECT(!failure, failure);
    EXPECT(!gave_up(v), "it gave up");
    EXPECT(await_in(v, rings_of(v, 1), rings_of(v, 1)->avail.index, WORK_MS), "the other queue lost a request");
    return NULL;
}

static const struct trial block_trials[] = {
    T(lengths_and_statuses), T(ranges_and_their_statuses), T(features_left_out), T(cache_switch_of_odd_widths),
    T(cache_switched_in_flight), T(two_flushes_at_once), T(flushes_alone), T(discard_across_a_write),
    T(discard_of_half_a_page), T(zeroes_across_a_write), T(writes_of_one_sector), T(one_buffer_for_both_queues),
    T(a_read_over_the_available_ring), T(a_read_over_the_descriptors), T(a_read_over_its_header),
    T(status_within_the_data), T(reset_amid_flushes), T(reset_amid_writes_through),
    T(driver_ok_starts_nothing_anew), T(a_queue_for_each_processor),
};

/* ---- a disk that is for reading alone ---- */

static const char *nothing_can_be_written(struct virtio *v)
{
    begin(v, UINT32_MAX & ~RING_FEATURES);
    EXPECT_IS(asks(v, BLK_IN, 0, 4096), BLK_OK, "a read failed");
    EXPECT_IS(all_of(DATA(0), 4096), 0x52, "the disk holds something else");
    fill(DATA(0), 4096, 0x66);
    EXPECT_IS(asks(v, BLK_OUT, 0, 4096), BLK_IOERR, "a write");
    EXPECT(asks_range(v, BLK_ZEROES, (struct range){ 0, 8, 0 }, 1) - 1u < 2, "zeroes");
    EXPECT(asks_range(v, BLK_DISCARD, (struct range){ 0, 8, 0 }, 1) - 1u < 2, "a discard");
    write8(v->base + CONFIG_WRITEBACK, 0);
    EXPECT_IS(asks(v, BLK_IN, 0, 4096), BLK_OK, "a read failed");
    EXPECT_IS(all_of(DATA(0), 4096), 0x52, "the disk was written to");
    return NULL;
}

/* ---- a disk with a rate, of RATE_BYTES in a second ---- */

#define RATE_BYTES (50u << 20)

/* COUNT requests for the whole disk; the milliseconds that they take, or 0 where one fails. */
static uint64_t takes(const struct virtio *v, uint32_t type, unsigned int count)
{
    const struct range all = { 0, 2048, 0 };
    uint64_t begun = rdtsc();

    while (count-- > 0)
        if (asks_range(v, type, all, 1) != BLK_OK)
            return 0;
    return (rdtsc() - begun) / TICKS_PER_MS;
}

/* A second's worth may come at once; the rest has to wait for about a second and a half. */
static const char *rate_counts(struct virtio *v, uint32_t type)
{
    uint64_t milliseconds;

    begin(v, BLK_FEATURES);
    milliseconds = takes(v, type, 2 * RATE_BYTES / (1 << 20) + 20);
    EXPECT_IS(milliseconds >= 500 ? 0 : milliseconds, 0, "more than the rate, or a request failed");
    return NULL;
}
static const char *rate_counts_zeroes(struct virtio *v) { return rate_counts(v, BLK_ZEROES); }
static const char *rate_counts_discards(struct virtio *v) { return rate_counts(v, BLK_DISCARD); }

static const struct trial rate_trials[] = { T(rate_counts_zeroes), T(rate_counts_discards) };

static const struct trial read_only_trials[] = { T(nothing_can_be_written) };

#endif
