/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_BALLOON_H
#define MOTE_PAYLOAD_HOSTILE_BALLOON_H

/* Pages that the balloon is told to take and that are in use: by its rings, its lists, another processor (virtio 1.2, 5.5.6). */

#include "hostile_trial.h"

enum { INFLATE_QUEUE, DEFLATE_QUEUE, STATS_QUEUE, REPORTING_QUEUE };
#define BALLOON_STATS (1u << 1)
#define BALLOON_REPORTING (1u << 5)
#define FREE_AREA (24ull << 20) /* nobody's */
#define CONFIG_NUM_PAGES REG_CONFIG
#define CONFIG_ACTUAL (REG_CONFIG + 4)
#define PAGE(address) ((uint32_t)((uint64_t)(address) >> 12))

/* Rings of the inflate queue, each part on a page of its own. */
static uint8_t parts[3][4096] __attribute__((aligned(4096)));
#define PART_DESC ((struct descriptor *)parts[0])
#define PART_AVAIL ((volatile uint16_t *)parts[1])
#define PART_USED ((volatile uint16_t *)parts[2])

static void begin_in_parts(const struct virtio *v)
{
    clear(parts, sizeof(parts));
    agree(v, 0);
    set_register(v, REG_QUEUE_SEL, INFLATE_QUEUE);
    offer_queue(v, QUEUE_SIZE, (uint64_t)parts[0], (uint64_t)parts[1], (uint64_t)parts[2]);
    drive(v);
}

/* A list of one page, by descriptor 0 of the parts. */
static void inflate_in_parts(const struct virtio *v, uint32_t page)
{
    *(uint32_t *)buffers[0] = page;
    PART_DESC[0] = (struct descriptor){ BUFFER(0), 4, 0, 0 };
    PART_AVAIL[2 + PART_AVAIL[1] % QUEUE_SIZE] = 0;
    PART_AVAIL[1]++;
    kick_queue(v, INFLATE_QUEUE);
}

static bool part_used(const struct virtio *v, uint16_t count)
{
    for (unsigned int i = 0; i < WORK_MS * 10 && PART_USED[1] != count && !gave_up(v); i++)
        pass(100);
    return PART_USED[1] == count;
}

static bool is_empty(uint64_t page)
{
    const volatile uint64_t *words = (const volatile uint64_t *)page;

    for (unsigned int i = 0; i < 512; i++)
        if (words[i] != 0)
            return false;
    return true;
}

static const char *its_descriptors(struct virtio *v)
{
    begin_in_parts(v);
    inflate_in_parts(v, PAGE(parts[0]));
    EXPECT(part_used(v, 1), "the request did not come back");
    EXPECT(is_empty((uint64_t)parts[0]), "the page was not taken");
    PART_AVAIL[1]++; /* head 0 again, which is a descriptor of nothing now */
    kick_queue(v, INFLATE_QUEUE);
    EXPECT(part_used(v, 2), "an empty descriptor did not come back");
    return NULL;
}

static const char *its_available_ring(struct virtio *v)
{
    begin_in_parts(v);
    inflate_in_parts(v, PAGE(FREE_AREA));
    EXPECT(part_used(v, 1), "a request did not come back");
    inflate_in_parts(v, PAGE(parts[1]));
    /* The index is 0 again, behind the device's: no driver can go back. */
    EXPECT(gives_up(v), "an index that went back is followed");
    return NULL;
}

static const char *its_used_ring(struct virtio *v)
{
    begin_in_parts(v);
    for (uint16_t i = 1; i <= 3; i++) {
        inflate_in_parts(v, PAGE(parts[2]));
        EXPECT(part_used(v, i), "the index in a page that was taken is not the device's own");
    }
    return NULL;
}

static const char *all_of_its_rings(struct virtio *v)
{
    uint32_t *list = (uint32_t *)buffers[0];

    begin_in_parts(v);
    for (unsigned int i = 0; i < 3; i++)
        list[i] = PAGE(parts[i]);
    PART_DESC[0] = (struct descriptor){ BUFFER(0), 12, 0, 0 };
    PART_AVAIL[1] = 1;
    kick_queue(v, INFLATE_QUEUE);
    EXPECT(gives_up(v), "an index that went back is followed");
    return NULL;
}

/* The list itself is in the pages that it names. */
static const char *its_own_list(struct virtio *v)
{
    uint32_t *list = (uint32_t *)buffers[0];

    begin(v, 0);
    for (unsigned int i = 0; i < 1024; i++)
        list[i] = i % 2 ? PAGE(FREE_AREA) + i : PAGE(list);
    describe(0, BUFFER(0), 4096, 0, 0);
    offer(0);
    notify(v);
    EXPECT(await(v, 1, WORK_MS) || gave_up(v), "neither taken nor refused");
    EXPECT(is_empty(BUFFER(0)), "the page was not taken");
    return NULL;
}

static const char *both_queues_one_list(struct virtio *v)
{
    uint32_t *list = (uint32_t *)buffers[0];
    struct rings *deflate = &others[DEFLATE_QUEUE].rings;

    begin_all(v, 0);
    for (unsigned int i = 0; i < 256; i++)
        list[i] = PAGE(FREE_AREA) + 2 * i;
    for (uint16_t n = 1; n <= 10; n++) {
        describe(0, BUFFER(0), 1024, 0, 0);
        offer(0);
        describe_in(deflate, 0, BUFFER(0), 1024, 0, 0);
        offer_in(deflate, 0);
        kick_queue(v, DEFLATE_QUEUE);
        kick_queue(v, INFLATE_QUEUE);
        EXPECT(await_in(v, &rings, n, WORK_MS) && await_in(v, deflate, n, WORK_MS), "not all came back");
    }
    return NULL;
}

static const char *neighbours_stay(struct virtio *v)
{
    volatile uint64_t *area = (volatile uint64_t *)FREE_AREA;
    uint32_t *list = (uint32_t *)buffers[0];

    begin(v, 0);
    for (unsigned int i = 0; i < 8; i++)
        area[512 * i] = area[512 * i + 511] = i + 1;
    list[0] = PAGE(FREE_AREA) + 3;
    list[1] = PAGE(FREE_AREA) + 2;
    list[2] = PAGE(FREE_AREA) + 5;
    describe(0, BUFFER(0), 12, 0, 0);
    offer(0);
    notify(v);
    EXPECT(await(v, 1, WORK_MS), "the request did not come back");
    for (unsigned int i = 0; i < 8; i++) {
        bool taken = i == 2 || i == 3 || i == 5;

        EXPECT_IS(area[512 * i], taken ? 0 : i + 1, "a page was taken that was not named, or not one that was");
        EXPECT_IS(area[512 * i + 511], taken ? 0 : i + 1, "a page's end is another's");
    }
    return NULL;
}

/* Numbers of no RAM, in a list that begins well. */
static const char *refused_page(struct virtio *v, uint32_t page)
{
    volatile uint64_t *area = (volatile uint64_t *)FREE_AREA;
    uint32_t *list = (uint32_t *)buffers[0];

    begin(v, 0);
    area[512] = 7;
    list[0] = PAGE(FREE_AREA);
    list[1] = page;
    list[2] = PAGE(FREE_AREA) + 1;
    describe(0, BUFFER(0), 12, 0, 0);
    offer(0);
    notify(v);
    EXPECT(gives_up(v), "a page that is no RAM is taken");
    EXPECT_IS(area[512], 7, "it went on behind it");
    return NULL;
}
static const char *page_of_a_device(struct virtio *v) { return refused_page(v, 0xd0000); }
static const char *page_behind_ram(struct virtio *v) { return refused_page(v, 32 << 8); }
static const char *page_of_all_ones(struct virtio *v) { return refused_page(v, UINT32_MAX); }
static const char *page_that_wraps_by_its_shift(struct virtio *v) { return refused_page(v, 0x100000); }

static const char *list_of_odd_length(struct virtio *v)
{
    begin(v, 0);
    describe(0, BUFFER(0), 4097, 0, 0);
    offer(0);
    notify(v);
    EXPECT(gives_up(v), "a part of a number is taken");
    return NULL;
}

static const char *list_too_long(struct virtio *v)
{
    begin(v, 0);
    describe(0, FREE_AREA, 65536 + 4, 0, 0);
    clear((void *)FREE_AREA, 65536 + 4);
    offer(0);
    notify(v);
    EXPECT(gives_up(v), "a list without bound is taken");
    return NULL;
}

static const char *target_is_the_hosts(struct virtio *v)
{
    uint32_t target;

    begin(v, 0);
    target = get_register(v, CONFIG_NUM_PAGES);
    set_register(v, CONFIG_NUM_PAGES, target + 99);
    EXPECT_IS(get_register(v, CONFIG_NUM_PAGES), target, "the driver set the target");
    set_register(v, CONFIG_ACTUAL, 0x12345678);
    EXPECT_IS(get_register(v, CONFIG_ACTUAL), 0x12345678, "the driver cannot say what it gave");
    write8(v->base + CONFIG_ACTUAL, 0);
    write64(v->base + CONFIG_NUM_PAGES, 0);
    EXPECT_IS(get_register(v, CONFIG_ACTUAL), 0x12345678, "it changed by another access");
    set_register(v, REG_STATUS, 0);
    EXPECT_IS(get_register(v, CONFIG_ACTUAL), 0, "what the last driver gave outlives it");
    return NULL;
}

/* ---- statistics and reporting ---- */

static const char *two_accounts_at_once(struct virtio *v)
{
    struct rings *stats = &others[STATS_QUEUE].rings;

    begin_all(v, BALLOON_STATS | BALLOON_REPORTING);
    for (uint16_t i = 0; i < 3; i++) {
        describe_in(stats, i, BUFFER(i), i == 1 ? 0 : 10 * i + 3, i == 2 ? DESC_WRITE : 0, 0);
        offer_in(stats, i);
    }
    kick_queue(v, STATS_QUEUE);
    EXPECT(await_in(v, stats, 2, WORK_MS), "it keeps more than the last account");
    EXPECT(!gave_up(v), "it gave up");
    return NULL;
}

static const char *an_account_is_given_back_once(struct virtio *v)
{
    struct rings *stats = &others[STATS_QUEUE].rings;

    begin_all(v, BALLOON_STATS | BALLOON_REPORTING);
    for (unsigned int i = 0; i < 400; i++) /* of tags that there are not */
        buffers[0][i] = 0xff;
    describe_in(stats, 0, BUFFER(0), 400, 0, 0);
    offer_in(stats, 0);
    for (unsigned int i = 0; i < 100; i++)
        kick_queue(v, STATS_QUEUE);
    EXPECT(await_in(v, stats, 1, 3 * WORK_MS), "it does not ask for the next account");
    pass(QUIET_MS * 1000);
    EXPECT_IS(stats->used.index, 1, "it asks again before it was answered");
    return NULL;
}

static const char *reports_of_its_rings(struct virtio *v)
{
    struct rings *reporting = &others[REPORTING_QUEUE].rings;

    begin_all(v, BALLOON_STATS | BALLOON_REPORTING);
    describe_in(reporting, 0, (uint64_t)others & ~4095ull, sizeof(others) & ~4095ull, DESC_WRITE, 0);
    offer_in(reporting, 0);
    kick_queue(v, REPORTING_QUEUE);
    EXPECT(gives_up(v), "an index that went back is followed");
    return NULL;
}

/* Only whole pages that were reported become empty. */
static const char *reports_of_parts(struct virtio *v)
{
    struct rings *reporting = &others[REPORTING_QUEUE].rings;
    volatile uint64_t *area = (volatile uint64_t *)FREE_AREA;

    begin_all(v, BALLOON_STATS | BALLOON_REPORTING);
    for (unsigned int i = 0; i < 512 * 4; i++)
        area[i] = 5;
    describe_in(reporting, 0, FREE_AREA + 8, 3 * 4096, DESC_WRITE, 0);
    offer_in(reporting, 0);
    kick_queue(v, REPORTING_QUEUE);
    EXPECT(await_in(v, reporting, 1, WORK_MS) || gave_up(v), "neither taken nor refused");
    EXPECT_IS(area[0], 5, "bytes before what was reported are gone");
    EXPECT_IS(area[512 * 3 + 1], 5, "bytes behind what was reported are gone");
    return NULL;
}

/* Without statistics the reporting queue has the number that theirs had. */
static const char *queues_close_up(struct virtio *v)
{
    struct rings *third = &others[STATS_QUEUE].rings;
    volatile uint64_t *area = (volatile uint64_t *)FREE_AREA;

    begin_all(v, BALLOON_REPORTING);
    area[0] = 5;
    describe_in(third, 0, FREE_AREA, 4096, DESC_WRITE, 0);
    offer_in(third, 0);
    kick_queue(v, STATS_QUEUE);
    EXPECT(await_in(v, third, 1, WORK_MS), "the queue was not taken for reports");
    EXPECT_IS(area[0], 0, "the page was not taken");
    offer_in(&others[REPORTING_QUEUE].rings, 0);
    for (unsigned int i = 0; i < 10; i++)
        kick_queue(v, REPORTING_QUEUE);
    EXPECT(!gave_up(v), "a queue that is none was looked into");
    return NULL;
}

/* ---- pages that a processor writes to ---- */

static void keeps_writing_pages(struct virtio *v)
{
    uint32_t state = 3;

    (void)v;
    while (!other_cpu.stop)
        *(volatile uint64_t *)(FREE_AREA + 4096ull * (any(&state) % 64)) = 9;
}

static const char *pages_written_while_taken(struct virtio *v)
{
    uint32_t *list = (uint32_t *)buffers[0];
    const char *failure = NULL;

    begin(v, 0);
    for (unsigned int i = 0; i < 64; i++)
        list[i] = PAGE(FREE_AREA) + i;
    other_begins(v, keeps_writing_pages);
    for (uint16_t n = 1; n <= 20 && !failure; n++) {
        describe(0, BUFFER(0), 256, 0, 0);
        offer(0);
        notify(v);
        if (!await_in(v, &rings, n, WORK_MS))
            failure = "a request did not come back";
    }
    other_stops();
    EXPECT(!failure, failure);
    for (unsigned int i = 0; i < 64; i++)
        EXPECT(*(volatile uint64_t *)(FREE_AREA + 4096 * i) % 9 == 0, "a page has what nobody wrote");
    return NULL;
}

static void keeps_changing_list(struct virtio *v)
{
    uint32_t state = 5;

    (void)v;
    while (!other_cpu.stop)
        ((volatile uint32_t *)buffers[0])[any(&state) % 256] =
            any(&state) % 8 ? PAGE(FREE_AREA) + any(&state) % 64 : any(&state);
}

static const char *list_changed_while_read(struct virtio *v)
{
    uint32_t *list = (uint32_t *)buffers[0];
    volatile uint64_t *beside = (volatile uint64_t *)(FREE_AREA - 4096);

    *beside = 0x1234;
    for (unsigned int n = 0; n < 20; n++) {
        begin(v, 0);
        for (unsigned int i = 0; i < 256; i++)
            list[i] = PAGE(FREE_AREA) + i % 64;
        other_begins(v, keeps_changing_list);
        describe(0, BUFFER(0), 1024, 0, 0);
        offer(0);
        notify(v);
        await_in(v, &rings, 1, TAKE_MS);
        other_stops();
        EXPECT(await_in(v, &rings, 1, WORK_MS) || gave_up(v), "neither taken nor refused");
    }
    return NULL;
}

static const struct trial balloon_trials[] = {
    T(its_descriptors), T(its_available_ring), T(its_used_ring), T(all_of_its_rings), T(its_own_list),
    T(both_queues_one_list), T(neighbours_stay), T(page_of_a_device), T(page_behind_ram), T(page_of_all_ones),
    T(page_that_wraps_by_its_shift), T(list_of_odd_length), T(list_too_long), T(target_is_the_hosts),
    T(two_accounts_at_once), T(an_account_is_given_back_once), T(reports_of_its_rings), T(reports_of_parts),
    T(queues_close_up), T(pages_written_while_taken), T(list_changed_while_read),
};

#endif
