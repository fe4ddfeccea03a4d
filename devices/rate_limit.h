/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RATE_LIMIT_H
#define MOTE_RATE_LIMIT_H

/*
 * Rate limits of a device: one token bucket for bytes, one for operations.
 *
 * A bucket holds up to SIZE tokens and is filled evenly, SIZE of them in
 * REFILL_NS; ONCE tokens more are there at the start and never again.  A
 * device may begin an operation while both balances are above zero; what the
 * operation takes is charged after, and may push a balance below zero.  So a
 * request larger than the bucket passes as well, the rest waits until its debt
 * is paid, and the mean rate holds without anyone splitting requests.
 *
 *     if (!rate_limit_allows(limit))
 *         return;                      (ready() comes when it is time)
 *     ... take one request of N bytes ...
 *     rate_limit_charge(limit, N, 1);
 *
 * Whatever costs the host is charged, not only what moves bytes between guest and
 * device: a discard by the bytes that it names, a request that fails or a frame
 * that is dropped as well.
 *
 * Nothing wakes up while nobody waits.  All calls come with the device's lock
 * held, and so does ready(), on the loop's thread.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"

/* Balances stay far from the ends of their type. */
#define TOKEN_BUCKET_MAX (1ull << 60)

struct token_bucket_config {
    uint64_t size; /* 0: no limit */
    uint64_t refill_ns;
    uint64_t once;
};

struct token_bucket {
    struct token_bucket_config config;
    int64_t balance;
    int64_t once;     /* of the extra tokens, those left */
    uint64_t counted; /* the time up to which the balance is filled, ns */
};

void token_bucket_init(struct token_bucket *bucket, const struct token_bucket_config *config,
                       uint64_t now);

/* How long until the balance is above zero, in ns; 0: it is. */
uint64_t token_bucket_wait(struct token_bucket *bucket, uint64_t now);

void token_bucket_charge(struct token_bucket *bucket, uint64_t tokens);

/* All zero: no limit. */
struct rate_limit_config {
    struct token_bucket_config bytes;
    struct token_bucket_config operations;
};

struct rate_limit;
struct state;

struct rate_limit_options {
    struct rate_limit_config config;
    struct event_loop *loop;
    pthread_mutex_t *lock;
    void (*ready)(void *context); /* after a refusal: ask again */
    void *context;
    uint64_t (*clock)(void *context); /* ns, with CONTEXT; NULL for the host's */
};

/* *LIMIT becomes NULL where the config has no limit; every call takes NULL. */
int rate_limit_create(struct rate_limit **limit, const struct rate_limit_options *options,
                      struct error *error);

/*
 * Another config from now on, with full buckets, in *LIMIT or, where that is NULL, in a limit with these options.  Any thread.
 * The jail makes no timers: *TIMER_FD is one for it, of timer_make_fd(), and becomes -1 if it was taken.
 */
int rate_limit_change(struct rate_limit **limit, const struct rate_limit_options *options, int *timer_fd,
                      struct error *error);

/* While the loop is not running, or on its thread. */
void rate_limit_destroy(struct rate_limit *limit);

/* Whether an operation may begin now.  If not, ready() will be called once. */
bool rate_limit_allows(struct rate_limit *limit);

/* OPERATIONS of BYTES altogether have begun. */
void rate_limit_charge(struct rate_limit *limit, uint64_t bytes, uint64_t operations);

/*
 * The fields of both buckets, for the section that stands open: what they hold,
 * and how long ago they were filled.  A wait ends by asking again.
 */
void rate_limit_state(struct rate_limit *limit, struct state *state);

/* No call of ready() for a refusal before this. */
void rate_limit_cancel(struct rate_limit *limit);

#endif
