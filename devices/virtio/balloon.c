/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory balloon (virtio 1.2, 5.5): memory of the guest goes back to the
 * host while the guest runs.
 *
 *   inflate    the driver names pages by number; the host forgets their bytes
 *   deflate    it uses them again: nothing to do, the host maps zeroes at the
 *              first touch
 *   stats      the driver's account of its memory.  The device keeps its buffer
 *              and gives it back each time it wants a new account.
 *   reporting  the driver offers free pages as writable buffers; the host
 *              forgets them, and they may be used again once they are pushed
 *
 * All of it changes memory by guest_memory_discard() alone, which cannot leave
 * the guest's RAM.  Forgetting costs the host time, so a guest may ask for so
 * much of it in a second and then waits: see COST.
 */
#include "devices/virtio/balloon_internal.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/state.h"

#define PAGE_SHIFT 12 /* a page number's unit, whatever the guest's page size (5.5.6) */
#define SECOND 1000000000ull

/* 5.5.3 */
#define F_STATS_VQ (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_REPORTING (1ull << 5)

/* Page numbers in one request; Linux sends 256, others a page full. */
#define PAGES_MAX 16384
#define PAGES_AT_ONCE 256

/*
 * The cost of one discard: 1 and the quarters of a MiB that it covers.  65,536
 * in a second are a tenth of a CPU for lone pages, and 16 GiB of whole MiBs.
 */
#define COST_UNIT (256u << 10)
#define COST_IN_A_SECOND 65536

/* ---- giving pages back -------------------------------------------------- */

/* A run of pages; empty while COUNT is 0.  64-bit, so that no shift overflows. */
struct page_run {
    uint64_t first;
    uint64_t count;
};

static int discard(struct balloon *balloon, const struct guest_slice *slice, uint64_t *cost)
{
    *cost += 1 + slice->length / COST_UNIT;
    return guest_memory_discard(balloon->virtio.env.memory, slice);
}

static int discard_run(struct balloon *balloon, const struct page_run *run, uint64_t *cost)
{
    struct guest_slice slice;
    int result;

    if (run->count == 0)
        return 0;
    result = guest_memory_slice(balloon->virtio.env.memory, run->first << PAGE_SHIFT,
                                run->count << PAGE_SHIFT, &slice);
    return result < 0 ? result : discard(balloon, &slice, cost);
}

/* Whether PAGE continues RUN, upwards or downwards as allocators go. */
static bool extend(struct page_run *run, uint64_t page)
{
    if (run->count && page == run->first + run->count) {
        run->count++;
        return true;
    }
    if (run->count && page + 1 == run->first) {
        run->first--;
        run->count++;
        return true;
    }
    return false;
}

static int inflate(struct virtio_device *device, const struct virtio_chain *chain,
                   struct virtio_answer *answer)
{
    struct balloon *balloon = (struct balloon *)device;
    struct chain_cursor cursor = chain_readable(chain);
    struct page_run run = { .count = 0 };
    uint32_t pages[PAGES_AT_ONCE];
    size_t length;

    if (chain->readable_bytes > PAGES_MAX * sizeof(pages[0]) ||
        chain->readable_bytes % sizeof(pages[0]))
        return -EPROTO;
    while ((length = chain_read(&cursor, pages, sizeof(pages))) > 0) {
        for (size_t i = 0; i < length / sizeof(pages[0]); i++) {
            uint64_t page = le32toh(pages[i]);
            int result;

            if (extend(&run, page))
                continue;
            result = discard_run(balloon, &run, &answer->cost);
            if (result < 0)
                return result;
            run = (struct page_run){ .first = page, .count = 1 };
        }
    }
    return discard_run(balloon, &run, &answer->cost);
}

static int deflate(struct virtio_device *device, const struct virtio_chain *chain,
                   struct virtio_answer *answer)
{
    (void)device;
    (void)chain;
    answer->cost = 1; /* the look at it */
    return 0;
}

static int report(struct virtio_device *device, const struct virtio_chain *chain,
                  struct virtio_answer *answer)
{
    for (uint16_t i = chain->readable; i < chain->count; i++) {
        struct guest_slice slice = {
            .bytes = chain->segments[i].iov_base, .length = chain->segments[i].iov_len,
        };
        int result = discard((struct balloon *)device, &slice, &answer->cost);

        if (result < 0)
            return result;
    }
    return 0;
}

static void serve(struct balloon *balloon, unsigned int queue, virtio_chain_server server)
{
    virtio_serve(&balloon->virtio, queue, balloon->rate, server, "the balloon's pages");
}

static void rate_allows_again(void *context)
{
    struct balloon *balloon = context;

    for (unsigned int i = 0; i < balloon->virtio.queue_count; i++)
        if (i != balloon->stats_queue && virtqueue_has_chain(&balloon->virtio.queues[i]))
            virtio_kick_again(&balloon->virtio, i);
}

/* ---- life cycle --------------------------------------------------------- */

static void balloon_kick(struct virtio_device *device, unsigned int queue)
{
    struct balloon *balloon = (struct balloon *)device;

    if (queue == INFLATE)
        serve(balloon, queue, inflate);
    else if (queue == DEFLATE)
        serve(balloon, queue, deflate);
    else if (queue == balloon->stats_queue)
        balloon_take_stats(balloon);
    else if (queue == balloon->reporting_queue)
        serve(balloon, queue, report);
}

static void balloon_activate(struct virtio_device *device, bool loaded)
{
    struct balloon *balloon = (struct balloon *)device;
    unsigned int next = FIRST_OPTIONAL;

    (void)loaded;
    if (virtio_has(device, F_STATS_VQ)) {
        balloon->stats_queue = next++;
        timer_set(&balloon->timer, balloon->stats_period * 1000);
    }
    if (virtio_has(device, F_REPORTING))
        balloon->reporting_queue = next++;
}

static void balloon_reset(struct virtio_device *device)
{
    struct balloon *balloon = (struct balloon *)device;

    timer_set(&balloon->timer, 0);
    rate_limit_cancel(balloon->rate);
    balloon->stats_queue = balloon->reporting_queue = BALLOON_NO_QUEUE;
    balloon->stats_held = false;
    balloon->config.actual = 0;
}

/* The driver may write `actual` alone (5.5.4). */
static void balloon_config_write(struct virtio_device *device, uint32_t offset,
                                 const uint8_t *bytes, size_t length)
{
    struct balloon *balloon = (struct balloon *)device;

    if (offset == offsetof(struct balloon_config, actual) && length == sizeof(uint32_t))
        memcpy(&balloon->config.actual, bytes, length);
}

static int check_size(const struct virtio_env *env, uint64_t bytes, struct error *error)
{
    uint64_t memory = guest_memory_size(env->memory);

    if (bytes % (1u << PAGE_SHIFT))
        return error_set(error, EINVAL, "--balloon: %llu bytes are no multiple of 4 KiB; round "
                         "the size", (unsigned long long)bytes);
    /* Above the page numbers' 32 bits no guest memory has a name. */
    if (bytes >= memory || bytes >> PAGE_SHIFT > UINT32_MAX)
        return error_set(error, ERANGE, "--balloon: %llu MiB are not less than the guest's memory "
                         "(%llu MiB); give less", (unsigned long long)(bytes >> 20),
                         (unsigned long long)(memory >> 20));
    return 0;
}

int virtio_balloon_set_target(struct virtio_device *device, uint64_t bytes, struct error *error)
{
    struct balloon *balloon = (struct balloon *)device;
    int result = check_size(&device->env, bytes, error);

    if (result < 0)
        return result;
    balloon->config.num_pages = htole32((uint32_t)(bytes >> PAGE_SHIFT));
    virtio_config_changed(device);
    return 0;
}

void virtio_balloon_state(const struct virtio_device *device, struct balloon_state *state)
{
    const struct balloon *balloon = (const struct balloon *)device;

    state->target = (uint64_t)le32toh(balloon->config.num_pages) << PAGE_SHIFT;
    state->actual = (uint64_t)le32toh(balloon->config.actual) << PAGE_SHIFT;
    memcpy(state->stats, balloon->stats, sizeof(state->stats));
}

static void balloon_drain(struct virtio_device *device)
{
    balloon_release_stats((struct balloon *)device);
}

static void balloon_transfer(struct virtio_device *device, struct state *state)
{
    struct balloon *balloon = (struct balloon *)device;
    uint32_t pages = le32toh(balloon->config.num_pages);
    uint32_t actual = le32toh(balloon->config.actual);

    state_u32(state, &pages);
    state_u32(state, &actual);
    for (size_t i = 0; i < BALLOON_STAT_COUNT; i++)
        state_u64(state, &balloon->stats[i]);
    rate_limit_state(balloon->rate, state);
    state_require(state, (uint64_t)pages << PAGE_SHIFT < guest_memory_size(device->env.memory),
                  "the balloon's target");
    if (!state_is_loading(state) || !state_is_sound(state))
        return;
    balloon->config.num_pages = htole32(pages);
    balloon->config.actual = htole32(actual);
}

static void balloon_destroy(struct virtio_device *device)
{
    struct balloon *balloon = (struct balloon *)device;

    timer_close(&balloon->timer);
    rate_limit_destroy(balloon->rate);
    free(balloon);
}

static int open_sources(struct balloon *balloon, struct error *error)
{
    struct rate_limit_options rate = {
        .config.bytes = { COST_IN_A_SECOND, SECOND, 0 },
        .loop = balloon->virtio.env.loop,
        .lock = balloon->virtio.env.lock,
        .ready = rate_allows_again,
        .context = balloon,
    };
    int result = rate_limit_create(&balloon->rate, &rate, error);

    if (result == 0 && balloon->stats_period)
        result = balloon_stats_open(balloon, error);
    return result;
}

static int balloon_create(struct virtio_device **device, const struct virtio_env *env,
                          const void *options, struct error *error)
{
    const struct balloon_options *wanted = options;
    struct balloon *balloon;
    uint64_t features = (wanted->stats ? F_STATS_VQ : 0) |
                        (wanted->deflate_on_oom ? F_DEFLATE_ON_OOM : 0) |
                        (wanted->reporting ? F_REPORTING : 0);
    uint16_t queues = (uint16_t)(FIRST_OPTIONAL + (wanted->stats > 0) + wanted->reporting);
    int result = check_size(env, wanted->size, error);

    if (result < 0)
        return result;
    balloon = calloc(1, sizeof(*balloon));
    if (!balloon)
        return error_system(error, ENOMEM, "--balloon");
    virtio_device_init(&balloon->virtio, &balloon_class, env, queues, features,
                       (uint8_t *)&balloon->config);
    balloon->timer = (struct timer)TIMER_INIT;
    balloon->stats_period = wanted->stats;
    balloon->stats_queue = balloon->reporting_queue = BALLOON_NO_QUEUE;
    balloon_stats_forget(balloon);
    balloon->config.num_pages = htole32((uint32_t)(wanted->size >> PAGE_SHIFT));
    result = open_sources(balloon, error);
    if (result < 0) {
        balloon_destroy(&balloon->virtio);
        return result;
    }
    *device = &balloon->virtio;
    return 0;
}

const struct virtio_device_class balloon_class = {
    .name = "balloon",
    .id = VIRTIO_ID_BALLOON,
    .queue_size = BALLOON_QUEUE_SIZE,
    .config_size = sizeof(struct balloon_config),
    .create = balloon_create,
    .destroy = balloon_destroy,
    .activate = balloon_activate,
    .reset = balloon_reset,
    .kick = balloon_kick,
    .config_write = balloon_config_write,
    .state = balloon_transfer,
    .state_version = 1,
    .drain = balloon_drain,
};
