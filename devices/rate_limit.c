/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/rate_limit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/machine/state.h"
#include "vmm/base/timer.h"

#define SECOND 1000000000ull

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void token_bucket_init(struct token_bucket *bucket, const struct token_bucket_config *config,
                       uint64_t now)
{
    *bucket = (struct token_bucket){ .config = *config, .counted = now };
    bucket->config.size = least(config->size, TOKEN_BUCKET_MAX);
    if (bucket->config.refill_ns == 0)
        bucket->config.size = 0;
    bucket->balance = (int64_t)bucket->config.size;
    bucket->once = (int64_t)least(config->once, TOKEN_BUCKET_MAX);
}

/* Adds the whole tokens since COUNTED, and moves it on by just their time. */
static void refill(struct token_bucket *bucket, uint64_t now)
{
    const struct token_bucket_config *config = &bucket->config;
    unsigned __int128 tokens;
    uint64_t missing = (uint64_t)((int64_t)config->size - bucket->balance);

    if (now <= bucket->counted)
        return;
    tokens = (unsigned __int128)(now - bucket->counted) * config->size / config->refill_ns;
    if (tokens >= missing) {
        bucket->balance = (int64_t)config->size;
        bucket->counted = now;
        return;
    }
    bucket->balance += (int64_t)tokens;
    bucket->counted += (uint64_t)(tokens * config->refill_ns / config->size);
}

uint64_t token_bucket_wait(struct token_bucket *bucket, uint64_t now)
{
    const struct token_bucket_config *config = &bucket->config;
    unsigned __int128 wait;

    if (config->size == 0 || bucket->once > 0)
        return 0;
    refill(bucket, now);
    if (bucket->balance > 0)
        return 0;
    /* Rounded up: one token above zero is there at the end of it. */
    wait = ((unsigned __int128)(1 - bucket->balance) * config->refill_ns + config->size - 1) /
           config->size;
    wait = wait > now - bucket->counted ? wait - (now - bucket->counted) : 1;
    return wait > UINT64_MAX ? UINT64_MAX : (uint64_t)wait;
}

void token_bucket_charge(struct token_bucket *bucket, uint64_t tokens)
{
    int64_t amount = (int64_t)least(tokens, TOKEN_BUCKET_MAX);
    int64_t extra = amount < bucket->once ? amount : bucket->once;

    if (bucket->config.size == 0)
        return;
    bucket->once -= extra;
    bucket->balance -= amount - extra;
    if (bucket->balance < -(int64_t)TOKEN_BUCKET_MAX)
        bucket->balance = -(int64_t)TOKEN_BUCKET_MAX;
}

/* ---- both buckets, and a timer ------------------------------------------ */

struct rate_limit {
    struct rate_limit_options options;
    struct token_bucket bytes;
    struct token_bucket operations;
    struct timer timer;
    bool waiting; /* somebody was refused and not told yet */
};

static uint64_t time_now(const struct rate_limit_options *options)
{
    struct timespec now;

    if (options->clock)
        return options->clock(options->context);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void timer_rang(void *context)
{
    struct rate_limit *limit = context;

    if (!limit->waiting)
        return;
    limit->waiting = false;
    limit->options.ready(limit->options.context);
}

static bool is_limited(const struct rate_limit_config *config)
{
    return config->bytes.size > 0 || config->operations.size > 0;
}

static void fill_buckets(struct rate_limit *limit)
{
    uint64_t now = time_now(&limit->options);

    token_bucket_init(&limit->bytes, &limit->options.config.bytes, now);
    token_bucket_init(&limit->operations, &limit->options.config.operations, now);
}

/* With the timer FD, -1: one that is made here. */
static int create(struct rate_limit **limit, const struct rate_limit_options *options, int fd, struct error *error)
{
    struct rate_limit *created = calloc(1, sizeof(*created));
    int result;

    if (!created)
        return error_system(error, ENOMEM, "rate limit");
    created->options = *options;
    fill_buckets(created);
    result = fd < 0 ? timer_open_locked(&created->timer, options->loop, options->lock, timer_rang, created)
                    : timer_open_fd(&created->timer, fd, options->loop, options->lock, timer_rang, created);
    if (result < 0) {
        free(created);
        return error_system(error, -result, "rate limit");
    }
    *limit = created;
    return 0;
}

int rate_limit_create(struct rate_limit **limit, const struct rate_limit_options *options,
                      struct error *error)
{
    *limit = NULL;
    return is_limited(&options->config) ? create(limit, options, -1, error) : 0;
}

int rate_limit_change(struct rate_limit **limit, const struct rate_limit_options *options, int *timer_fd,
                      struct error *error)
{
    struct rate_limit *changed = *limit;
    int result = 0;

    if (!changed) {
        if (is_limited(&options->config))
            result = create(limit, options, *timer_fd, error);
        if (*limit)
            *timer_fd = -1;
        return result;
    }
    changed->options.config = options->config;
    fill_buckets(changed);
    /* Whoever was refused asks again, on the loop's thread. */
    if (changed->waiting)
        timer_set_ns(&changed->timer, 1);
    return 0;
}

void rate_limit_destroy(struct rate_limit *limit)
{
    if (!limit)
        return;
    timer_close(&limit->timer);
    free(limit);
}

bool rate_limit_allows(struct rate_limit *limit)
{
    uint64_t now, wait, other;

    if (!limit)
        return true;
    now = time_now(&limit->options);
    wait = token_bucket_wait(&limit->bytes, now);
    other = token_bucket_wait(&limit->operations, now);
    if (other > wait)
        wait = other;
    if (wait == 0)
        return true;
    if (!limit->waiting) {
        limit->waiting = true;
        timer_set_ns(&limit->timer, wait);
    }
    return false;
}

void rate_limit_charge(struct rate_limit *limit, uint64_t bytes, uint64_t operations)
{
    if (!limit)
        return;
    token_bucket_charge(&limit->bytes, bytes);
    token_bucket_charge(&limit->operations, operations);
}

void rate_limit_cancel(struct rate_limit *limit)
{
    if (limit)
        limit->waiting = false;
}

/* The time since COUNTED never makes up more than the bucket holds. */
static void bucket_state(struct token_bucket *bucket, uint64_t now, struct state *state)
{
    uint64_t balance, once = (uint64_t)bucket->once, since;

    if (!state_is_loading(state) && bucket->config.size > 0)
        refill(bucket, now);
    since = bucket->config.size > 0 && now > bucket->counted ? now - bucket->counted : 0;
    balance = (uint64_t)bucket->balance;
    state_u64(state, &balance);
    state_u64(state, &once);
    state_u64(state, &since);
    if (!state_is_loading(state))
        return;
    state_require(state, (int64_t)balance <= (int64_t)bucket->config.size &&
                         (int64_t)balance >= -(int64_t)TOKEN_BUCKET_MAX, "the balance of a rate limit");
    state_require(state, once <= least(bucket->config.once, TOKEN_BUCKET_MAX),
                  "the extra tokens of a rate limit");
    state_require(state, since <= bucket->config.refill_ns && since <= now,
                  "the time of a rate limit");
    if (!state_is_sound(state))
        return;
    bucket->balance = (int64_t)balance;
    bucket->once = (int64_t)once;
    bucket->counted = now - since;
}

void rate_limit_state(struct rate_limit *limit, struct state *state)
{
    bool has_limit = limit && is_limited(&limit->options.config), limited = has_limit;
    uint64_t now;

    state_bool(state, &limited);
    state_require(state, limited == has_limit, "whether there is a rate limit");
    if (!has_limit)
        return;
    now = time_now(&limit->options);
    bucket_state(&limit->bytes, now, state);
    bucket_state(&limit->operations, now, state);
}
