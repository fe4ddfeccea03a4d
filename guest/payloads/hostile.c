/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that attacks: each device that is there meets the ways in which
 * monitors have failed (rings first, then its own requests).  After each attack
 * the device is reset, and a valid request must succeed.  A line for each:
 * "ok DEVICE: ATTACK" or "FAIL DEVICE: ATTACK: what went wrong".
 *
 *   ram=BYTES      where RAM ends
 */
#include "boot_info.h"
#include "hostile.h"
#include "hostile_devices.h"
#include "paging.h"
#include "virtio.h"

static uint64_t ram;

/* ---- chains that lie ------------------------------------------------------ */

/* A chain of one readable buffer, of LENGTH bytes at ADDRESS. */
static void one(uint64_t address, uint32_t length, uint16_t flags)
{
    describe(0, address, length, flags, 0);
    offer(0);
}

static void loop_of_one(struct virtio *v) { (void)v; describe(0, BUFFER(0), 16, DESC_NEXT, 0); offer(0); }
static void loop_of_two(struct virtio *v)
{
    (void)v;
    describe(0, BUFFER(0), 16, DESC_NEXT, 1);
    describe(1, BUFFER(1), 16, DESC_NEXT, 0);
    offer(0);
}
static void next_outside(struct virtio *v) { (void)v; describe(0, BUFFER(0), 16, DESC_NEXT, QUEUE_SIZE); offer(0); }
static void next_far_outside(struct virtio *v) { (void)v; describe(0, BUFFER(0), 16, DESC_NEXT, 65535); offer(0); }
static void head_outside(struct virtio *v) { (void)v; offer(QUEUE_SIZE); }
static void head_far_outside(struct virtio *v) { (void)v; offer(65535); }
static void index_jumps(struct virtio *v) { (void)v; rings.avail.index = QUEUE_SIZE + 1; }
static void index_jumps_far(struct virtio *v) { (void)v; rings.avail.index = 40000; }
static void index_goes_back(struct virtio *v) { (void)v; rings.avail.index = 65535; }
static void same_head_twice(struct virtio *v)
{
    request(v);
    rings.avail.ring[1] = rings.avail.ring[0];
    rings.avail.index = 2;
}
static void whole_queue_one_head(struct virtio *v)
{
    request(v);
    for (unsigned int i = 1; i < QUEUE_SIZE; i++)
        rings.avail.ring[i] = rings.avail.ring[0];
    rings.avail.index = QUEUE_SIZE;
}
static void outside_ram(struct virtio *v) { (void)v; one(1ull << 40, 16, 0); }
static void outside_ram_writable(struct virtio *v) { (void)v; one(1ull << 40, 16, DESC_WRITE); }
static void across_ram_end(struct virtio *v) { (void)v; one(ram - 8, 64, 0); }
static void across_ram_end_writable(struct virtio *v) { (void)v; one(ram - 8, 64, DESC_WRITE); }
static void address_wraps(struct virtio *v) { (void)v; one(UINT64_MAX - 7, 64, 0); }
static void address_wraps_writable(struct virtio *v) { (void)v; one(UINT64_MAX - 7, 64, DESC_WRITE); }
static void in_the_hole(struct virtio *v) { (void)v; one(0xd0000000, 64, DESC_WRITE); }
static void in_the_ioapic(struct virtio *v) { (void)v; one(0xfec00000, 64, 0); }
static void length_huge(struct virtio *v) { (void)v; one(BUFFER(0), UINT32_MAX, 0); }
static void length_huge_writable(struct virtio *v) { (void)v; one(BUFFER(0), UINT32_MAX, DESC_WRITE); }
static void length_zero(struct virtio *v) { (void)v; one(BUFFER(0), 0, 0); }
static void length_zero_writable(struct virtio *v) { (void)v; one(BUFFER(0), 0, DESC_WRITE); }
static void all_lengths_zero(struct virtio *v)
{
    (void)v;
    for (unsigned int i = 0; i < QUEUE_SIZE; i++)
        describe(i, BUFFER(0), 0, i + 1 < QUEUE_SIZE ? DESC_NEXT : 0, (uint16_t)(i + 1));
    offer(0);
}
static void writable_first(struct virtio *v)
{
    (void)v;
    describe(0, BUFFER(0), 16, DESC_WRITE | DESC_NEXT, 1);
    describe(1, BUFFER(1), 16, 0, 0);
    offer(0);
}
/* Each of them the same megabyte of RAM. */
static void amplified(struct virtio *v, uint16_t flags)
{
    (void)v;
    for (unsigned int i = 0; i < QUEUE_SIZE; i++)
        describe(i, 4 << 20, 1 << 20, (uint16_t)(flags | (i + 1 < QUEUE_SIZE ? DESC_NEXT : 0)), (uint16_t)(i + 1));
    offer(0);
}
static void amplified_readable(struct virtio *v) { amplified(v, 0); }
static void amplified_writable(struct virtio *v) { amplified(v, DESC_WRITE); }
static void unknown_flags(struct virtio *v) { (void)v; one(BUFFER(0), 16, 0xfff8); }
/* Answers written over the rings themselves. */
static void into_its_rings(struct virtio *v) { (void)v; one((uint64_t)&rings, sizeof(rings), DESC_WRITE); }

/* ---- indirect tables ------------------------------------------------------ */

static void indirect(uint64_t address, uint32_t length, uint16_t flags)
{
    describe(0, address, length, DESC_INDIRECT | flags, 1);
    describe(1, BUFFER(0), 16, 0, 0);
    offer(0);
}
static void indirect_empty(struct virtio *v) { (void)v; indirect(TABLE, 0, 0); }
static void indirect_odd(struct virtio *v) { (void)v; indirect(TABLE, 17, 0); }
static void indirect_and_next(struct virtio *v) { (void)v; table[0] = (struct descriptor){ BUFFER(0), 16, 0, 0 }; indirect(TABLE, 16, DESC_NEXT); }
static void indirect_outside(struct virtio *v) { (void)v; indirect(1ull << 41, 32, 0); }
static void indirect_across_end(struct virtio *v) { (void)v; indirect(ram - 16, 64, 0); }
static void indirect_wraps(struct virtio *v) { (void)v; indirect(UINT64_MAX - 15, 64, 0); }
static void indirect_huge(struct virtio *v) { (void)v; indirect(TABLE, 0xfffffff0u, 0); }
static void indirect_nested(struct virtio *v)
{
    (void)v;
    table[0] = (struct descriptor){ TABLE, 32, DESC_INDIRECT, 0 };
    indirect(TABLE, 32, 0);
}
static void indirect_loop(struct virtio *v)
{
    (void)v;
    table[0] = (struct descriptor){ BUFFER(0), 16, DESC_NEXT, 1 };
    table[1] = (struct descriptor){ BUFFER(1), 16, DESC_NEXT, 0 };
    indirect(TABLE, 32, 0);
}
static void indirect_next_outside(struct virtio *v)
{
    (void)v;
    table[0] = (struct descriptor){ BUFFER(0), 16, DESC_NEXT, 2 };
    indirect(TABLE, 32, 0);
}
static void indirect_within_rings(struct virtio *v) { (void)v; indirect((uint64_t)rings.desc, sizeof(rings.desc), 0); }

/* ---- queues that lie: before DRIVER_OK ------------------------------------ */

static void with_queue(struct virtio *v, uint32_t size, uint64_t desc, uint64_t avail, uint64_t used)
{
    negotiate(v);
    offer_queue(v, size, desc, avail, used);
    drive(v);
}
#define DESC (uint64_t)rings.desc
#define AVAIL (uint64_t)&rings.avail
#define USED (uint64_t)&rings.used
static void size_zero(struct virtio *v) { with_queue(v, 0, DESC, AVAIL, USED); }
static void size_odd(struct virtio *v) { with_queue(v, 3, DESC, AVAIL, USED); }
static void size_huge(struct virtio *v) { with_queue(v, 0x8000, DESC, AVAIL, USED); }
static void size_wide(struct virtio *v) { with_queue(v, 0x10040, DESC, AVAIL, USED); }
static void desc_unaligned(struct virtio *v) { with_queue(v, QUEUE_SIZE, DESC + 8, AVAIL, USED); }
static void avail_unaligned(struct virtio *v) { with_queue(v, QUEUE_SIZE, DESC, AVAIL + 1, USED); }
static void used_unaligned(struct virtio *v) { with_queue(v, QUEUE_SIZE, DESC, AVAIL, USED + 2); }
static void desc_outside(struct virtio *v) { with_queue(v, QUEUE_SIZE, 1ull << 42, AVAIL, USED); }
static void avail_outside(struct virtio *v) { with_queue(v, QUEUE_SIZE, DESC, ram, USED); }
static void used_across_end(struct virtio *v) { with_queue(v, QUEUE_SIZE, DESC, AVAIL, ram - 64); }
static void used_wraps(struct virtio *v) { with_queue(v, QUEUE_SIZE, DESC, AVAIL, UINT64_MAX - 63); }
static void rings_in_devices(struct virtio *v) { with_queue(v, QUEUE_SIZE, 0xd0000000, 0xd0000000, 0xd0000000); }
static void rings_overlap(struct virtio *v) { with_queue(v, QUEUE_SIZE, DESC, DESC, DESC); rings.avail.index = 1; notify(v); }

/* ---- registers ------------------------------------------------------------ */

static void frozen_addresses(struct virtio *v)
{
    start(v);
    set_address(v, REG_DESC, 1ull << 42);
    set_address(v, REG_USED, 1ull << 42);
    set_register(v, REG_QUEUE_SIZE, 3);
    set_register(v, REG_QUEUE_READY, 1);
    set_register(v, REG_DRIVER_FEATURES, UINT32_MAX);
}
static void any_queue_selected(struct virtio *v)
{
    static const uint32_t queues[] = { 7, 63, 64, 65, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, UINT32_MAX };

    negotiate(v);
    for (unsigned int i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
        set_register(v, REG_QUEUE_SEL, queues[i]);
        get_register(v, REG_QUEUE_SIZE_MAX);
        offer_own_queue(v);
        get_register(v, REG_QUEUE_READY);
    }
    drive(v);
    for (unsigned int i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
        set_register(v, REG_NOTIFY, queues[i]);
}
static void early_notify(struct virtio *v)
{
    set_register(v, REG_STATUS, 0);
    for (uint32_t i = 0; i < 70; i++)
        set_register(v, REG_NOTIFY, i);
}
static void driver_ok_first(struct virtio *v)
{
    set_register(v, REG_STATUS, 0);
    set_register(v, REG_STATUS, DRIVER_OK);
    notify(v);
}
static void any_status(struct virtio *v)
{
    for (uint32_t bit = 0; bit < 32; bit++)
        set_register(v, REG_STATUS, 1u << bit);
    set_register(v, REG_STATUS, UINT32_MAX);
    notify(v);
}
static void odd_accesses(struct virtio *v)
{
    for (uint64_t offset = 0; offset < 0x100; offset++) {
        read8(v->base + offset);
        write8(v->base + offset, 0xff);
    }
    for (uint64_t offset = 0; offset < 0x100; offset += 8) {
        read64(v->base + offset);
        write64(v->base + offset, UINT64_MAX);
        write16(v->base + offset + 1, 0xffff);
    }
}
static void config_space(struct virtio *v)
{
    for (uint64_t offset = REG_CONFIG; offset < VIRTIO_WINDOW_SIZE - 8; offset += 61) {
        read64(v->base + offset);
        write64(v->base + offset, UINT64_MAX);
        write32(v->base + offset + 3, UINT32_MAX);
        read8(v->base + offset);
        write8(v->base + offset, 0xff);
    }
    read64(v->base + VIRTIO_WINDOW_SIZE - 4);
    write64(v->base + VIRTIO_WINDOW_SIZE - 4, UINT64_MAX);
}
static void notify_storm(struct virtio *v)
{
    start(v);
    for (unsigned int i = 0; i < 500; i++)
        notify(v);
}
static void reset_storm(struct virtio *v)
{
    for (unsigned int i = 0; i < 50; i++) {
        start(v);
        request(v);
        notify(v);
    }
}
static void reset_in_flight(struct virtio *v)
{
    start(v);
    for (unsigned int i = 0; i < 20; i++)
        request(v);
    notify(v);
    set_register(v, REG_STATUS, 0);
    clear(&rings, sizeof(rings));
}

/* ---- the walk ------------------------------------------------------------- */

/* Between start() and notify(). */
static const struct attack ring_attacks[] = {
    A(loop_of_one, GIVES_UP), A(loop_of_two, GIVES_UP), A(next_outside, GIVES_UP),
    A(next_far_outside, GIVES_UP), A(head_outside, GIVES_UP), A(head_far_outside, GIVES_UP),
    A(index_jumps, GIVES_UP), A(index_jumps_far, GIVES_UP), A(index_goes_back, GIVES_UP),
    A(same_head_twice, LIVES), A(whole_queue_one_head, LIVES), A(outside_ram, GIVES_UP),
    A(outside_ram_writable, GIVES_UP), A(across_ram_end, GIVES_UP),
    A(across_ram_end_writable, GIVES_UP), A(address_wraps, GIVES_UP),
    A(address_wraps_writable, GIVES_UP), A(in_the_hole, GIVES_UP), A(in_the_ioapic, GIVES_UP),
    A(length_huge, GIVES_UP), A(length_huge_writable, GIVES_UP), A(length_zero, LIVES),
    A(length_zero_writable, LIVES), A(all_lengths_zero, LIVES), A(writable_first, GIVES_UP),
    A(amplified_readable, LIVES), A(amplified_writable, LIVES), A(unknown_flags, LIVES),
    A(indirect_empty, GIVES_UP), A(indirect_odd, GIVES_UP), A(indirect_and_next, GIVES_UP),
    A(indirect_outside, GIVES_UP), A(indirect_across_end, GIVES_UP), A(indirect_wraps, GIVES_UP),
    A(indirect_huge, GIVES_UP), A(indirect_nested, GIVES_UP), A(indirect_loop, GIVES_UP),
    A(indirect_next_outside, GIVES_UP), A(indirect_within_rings, LIVES), A(into_its_rings, LIVES),
};

/* On their own. */
static const struct attack register_attacks[] = {
    A(size_zero, GIVES_UP), A(size_odd, GIVES_UP), A(size_huge, GIVES_UP), A(size_wide, GIVES_UP),
    A(desc_unaligned, GIVES_UP), A(avail_unaligned, GIVES_UP), A(used_unaligned, GIVES_UP),
    A(desc_outside, GIVES_UP), A(avail_outside, GIVES_UP), A(used_across_end, GIVES_UP),
    A(used_wraps, GIVES_UP), A(rings_in_devices, GIVES_UP), A(rings_overlap, LIVES),
    A(frozen_addresses, LIVES), A(any_queue_selected, LIVES), A(early_notify, LIVES),
    A(driver_ok_first, LIVES), A(any_status, LIVES), A(odd_accesses, LIVES),
    A(config_space, LIVES), A(notify_storm, LIVES), A(reset_storm, LIVES),
    A(reset_in_flight, LIVES),
};

static void walk(struct checks *checks, struct virtio *v, const struct attack *attacks,
                 size_t count, bool started)
{
    for (size_t i = 0; i < count; i++) {
        const struct attack *attack = &attacks[i];
        bool gave_up;

        if (started)
            start(v);
        attack->act(v);
        if (started)
            notify(v);
        if (started && attack->verdict == LIVES)
            await(v, 1, TAKE_MS);
        gave_up = attack->verdict == GIVES_UP && !await(v, UINT16_MAX, GIVE_UP_MS) &&
                  get_register(v, REG_STATUS) & NEEDS_RESET;
        if (attack->verdict == GIVES_UP && !gave_up)
            tell(checks, v, attack->name, "the device did not ask for its reset");
        else
            tell(checks, v, attack->name, works(v) ? NULL : "no valid request works after it");
    }
}

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    struct checks checks = { .passed = 0 };
    struct virtio last = { .base = VIRTIO_WINDOWS };

    map_memory();
    print("started\n");
    ram = option_number(option(&info, "ram"));
    for (uint64_t window = 0; window < 16; window++) {
        struct virtio v = { .base = VIRTIO_WINDOWS + window * VIRTIO_WINDOW_SIZE };
        size_t count;
        const struct attack *own;

        if (get_register(&v, REG_MAGIC) != 0x74726976)
            continue;
        v.id = get_register(&v, REG_DEVICE_ID);
        v.queue = good_queue(v.id);
        tell(&checks, &v, "a valid request", works(&v) ? NULL : "it does not work");
        walk(&checks, &v, ring_attacks, sizeof(ring_attacks) / sizeof(ring_attacks[0]), true);
        walk(&checks, &v, register_attacks, sizeof(register_attacks) / sizeof(register_attacks[0]),
             false);
        own = device_attacks(v.id, &count);
        walk(&checks, &v, own, count, true);
        last = v;
    }
    notify_storm(&last); /* its end finds a busy device */
    print("hostile: ");
    print_checks(&checks);
    power_off();
}
