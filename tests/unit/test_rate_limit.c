/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <stdlib.h>

#include "devices/rate_limit.h"
#include "vmm/config/rate.h"
#include "vmm/machine/state.h"

#define SECOND 1000000000ull

static struct token_bucket bucket_of(uint64_t size, uint64_t refill_ns, uint64_t once)
{
    struct token_bucket_config config = { .size = size, .refill_ns = refill_ns, .once = once };
    struct token_bucket bucket;

    token_bucket_init(&bucket, &config, 5 * SECOND);
    return bucket;
}

static void test_a_full_bucket_then_debt(void **state)
{
    struct token_bucket bucket = bucket_of(1000, SECOND, 0);
    uint64_t now = 5 * SECOND;

    (void)state;
    assert_int_equal(token_bucket_wait(&bucket, now), 0);
    token_bucket_charge(&bucket, 999);
    assert_int_equal(token_bucket_wait(&bucket, now), 0);
    /* One token is enough to begin; what is too much becomes a debt. */
    token_bucket_charge(&bucket, 2001);
    assert_int_equal(token_bucket_wait(&bucket, now), 2001 * (SECOND / 1000));
    now += 2001 * (SECOND / 1000);
    assert_int_equal(token_bucket_wait(&bucket, now - 1), 1);
    assert_int_equal(token_bucket_wait(&bucket, now), 0);
}

static void test_it_never_holds_more_than_its_size(void **state)
{
    struct token_bucket bucket = bucket_of(10, SECOND, 0);

    (void)state;
    assert_int_equal(token_bucket_wait(&bucket, 1000000 * SECOND), 0);
    token_bucket_charge(&bucket, 10);
    assert_int_equal(token_bucket_wait(&bucket, 1000000 * SECOND), SECOND / 10);
}

static void test_extra_tokens_come_once(void **state)
{
    struct token_bucket bucket = bucket_of(10, SECOND, 100);

    (void)state;
    token_bucket_charge(&bucket, 105);
    assert_int_equal(token_bucket_wait(&bucket, 5 * SECOND), 0);
    token_bucket_charge(&bucket, 5);
    assert_int_not_equal(token_bucket_wait(&bucket, 5 * SECOND), 0);
    assert_int_equal(token_bucket_wait(&bucket, 500 * SECOND), 0);
    token_bucket_charge(&bucket, 10);
    assert_int_not_equal(token_bucket_wait(&bucket, 500 * SECOND), 0);
}

/* Fractions of tokens are not lost, however often it is asked. */
static void test_the_mean_rate_holds(void **state)
{
    struct token_bucket bucket = bucket_of(3, SECOND, 0);
    uint64_t taken = 0, start = 5 * SECOND;

    (void)state;
    for (uint64_t now = start; now < start + 100 * SECOND; now += 1000003) {
        while (token_bucket_wait(&bucket, now) == 0) {
            token_bucket_charge(&bucket, 1);
            taken++;
        }
    }
    assert_in_range(taken, 301, 303);
}

static void test_extremes_do_not_wrap(void **state)
{
    struct token_bucket bucket = bucket_of(UINT64_MAX, 1, UINT64_MAX);

    (void)state;
    for (int i = 0; i < 100; i++)
        token_bucket_charge(&bucket, UINT64_MAX);
    token_bucket_wait(&bucket, UINT64_MAX);
    bucket = bucket_of(1, UINT64_MAX, 0);
    for (int i = 0; i < 100; i++)
        token_bucket_charge(&bucket, UINT64_MAX);
    assert_int_equal(token_bucket_wait(&bucket, 6 * SECOND), UINT64_MAX);
    /* A clock that goes back adds nothing and breaks nothing. */
    bucket = bucket_of(10, SECOND, 0);
    token_bucket_charge(&bucket, 10);
    assert_true(token_bucket_wait(&bucket, 1) > 0);
    /* No limit. */
    bucket = bucket_of(0, 0, 0);
    token_bucket_charge(&bucket, UINT64_MAX);
    assert_int_equal(token_bucket_wait(&bucket, 0), 0);
    bucket = bucket_of(10, 0, 0);
    assert_int_equal(token_bucket_wait(&bucket, 0), 0);
}

static int parse(const char *text, struct rate_limit_config *config, struct error *error)
{
    struct settings settings;
    int result;

    *config = (struct rate_limit_config){ .bytes.size = 0 };
    assert_int_equal(settings_parse(&settings, "disk", text, error), 0);
    result = rate_from_settings(&settings, "", config, error);
    settings_release(&settings);
    return result;
}

static void test_options(void **state)
{
    static const char *const bad[] = {
        "x,rate=0", "x,rate=fast", "x,rate=", "x,rate=0M", "x,ops=0", "x,ops=1M", "x,burst=1M",
        "x,rate=99999999T", "x,rate=-1", "x,rate=1,burst=0",
        "x,rate=1,burst=1000000T", "x,rate=1000000T,burst=1",
        "x,once=1M", "x,rate=1M,once=0", "x,ops-burst=5", "x,ops=1,ops-once=1K", "x,ops-once=5",
        "x,ops=1,ops-burst=0",
    };
    struct rate_limit_config config;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(parse("x", &config, &error), 0);
    assert_int_equal(config.bytes.size, 0);
    assert_int_equal(config.operations.size, 0);
    assert_int_equal(parse("x,rate=10M,ops=1000", &config, &error), 0);
    assert_int_equal(config.bytes.size, 10 << 20);
    assert_int_equal(config.bytes.refill_ns, SECOND);
    assert_int_equal(config.operations.size, 1000);
    assert_int_equal(config.operations.refill_ns, SECOND);
    assert_int_equal(parse("x,rate=1000,burst=500", &config, &error), 0);
    assert_int_equal(config.bytes.size, 500);
    assert_int_equal(config.bytes.refill_ns, SECOND / 2);
    assert_int_equal(config.bytes.once, 0);
    assert_int_equal(parse("x,rate=1K,once=1M,ops=100,ops-burst=10,ops-once=7", &config, &error),
                     0);
    assert_int_equal(config.bytes.once, 1 << 20);
    assert_int_equal(config.operations.size, 10);
    assert_int_equal(config.operations.refill_ns, SECOND / 10);
    assert_int_equal(config.operations.once, 7);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(parse(bad[i], &config, &error) < 0);
}

/* A limit on a loop, with a clock that stands where the test puts it. */
struct limited {
    struct fixture fixture;
    struct rate_limit *limit;
    pthread_mutex_t lock;
    uint64_t now;
    unsigned int ready;
};

static uint64_t fake_clock(void *context)
{
    return ((struct limited *)context)->now;
}

static void count_ready(void *context)
{
    struct limited *limited = context;

    assert_int_not_equal(pthread_mutex_trylock(&limited->lock), 0);
    limited->ready++;
}

static int set_up(void **state)
{
    struct limited *limited = calloc(1, sizeof(*limited));

    fixture_init(&limited->fixture);
    pthread_mutex_init(&limited->lock, NULL);
    *state = limited;
    return 0;
}

static int tear_down(void **state)
{
    struct limited *limited = *state;

    rate_limit_destroy(limited->limit);
    fixture_release(&limited->fixture);
    pthread_mutex_destroy(&limited->lock);
    free(limited);
    return 0;
}

static void make_limit(struct limited *limited, uint64_t bytes, uint64_t operations)
{
    struct rate_limit_options options = {
        .config.bytes = { .size = bytes, .refill_ns = SECOND },
        .config.operations = { .size = operations, .refill_ns = SECOND },
        .loop = limited->fixture.env.loop,
        .lock = &limited->lock,
        .ready = count_ready,
        .context = limited,
        .clock = fake_clock,
    };
    struct error error = ERROR_INIT;

    assert_int_equal(rate_limit_create(&limited->limit, &options, &error), 0);
}

static void test_the_one_refused_is_told_once(void **state)
{
    struct limited *limited = *state;

    make_limit(limited, 1000, 0);
    assert_true(rate_limit_allows(limited->limit));
    rate_limit_charge(limited->limit, 1000, 1);
    assert_false(rate_limit_allows(limited->limit));
    assert_false(rate_limit_allows(limited->limit));
    limited->now += SECOND;
    run_loop_for(limited->fixture.env.loop, 30);
    assert_int_equal(limited->ready, 1);
    assert_true(rate_limit_allows(limited->limit));
    run_loop_for(limited->fixture.env.loop, 30);
    assert_int_equal(limited->ready, 1);
}

static void test_operations_count_whatever_their_size(void **state)
{
    struct limited *limited = *state;

    make_limit(limited, 1 << 20, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(rate_limit_allows(limited->limit));
        rate_limit_charge(limited->limit, 1, 1);
    }
    assert_false(rate_limit_allows(limited->limit));
}

static void test_a_cancelled_wait_tells_nobody(void **state)
{
    struct limited *limited = *state;

    make_limit(limited, 1000, 0);
    rate_limit_charge(limited->limit, 1000, 1);
    assert_false(rate_limit_allows(limited->limit));
    rate_limit_cancel(limited->limit);
    run_loop_for(limited->fixture.env.loop, 30);
    assert_int_equal(limited->ready, 0);
}

static void test_no_limit_is_none(void **state)
{
    struct limited *limited = *state;

    make_limit(limited, 0, 0);
    assert_null(limited->limit);
    assert_true(rate_limit_allows(NULL));
    rate_limit_charge(NULL, 1, 1);
    rate_limit_cancel(NULL);
    rate_limit_destroy(NULL);
}

/* Of its rest in one, the other has the same, whatever its clock says. */
static void test_a_debt_moves_with_the_vm(void **state)
{
    struct limited *limited = *state;
    struct error error = ERROR_INIT;
    struct state *moving;
    const void *bytes;
    size_t length;

    limited->now = 100 * SECOND;
    make_limit(limited, 10, 0);
    rate_limit_charge(limited->limit, 11, 1);
    limited->now += SECOND / 20; /* half a token */
    assert_int_equal(state_create(&moving, &error), 0);
    state_begin(moving, "limit", 0, 1);
    rate_limit_state(limited->limit, moving);
    state_end(moving);
    assert_int_equal(state_finish(moving, &error), 0);
    rate_limit_destroy(limited->limit);
    limited->now = 3 * SECOND;
    make_limit(limited, 10, 0);
    bytes = state_saved(moving, &length);
    {
        struct state *loading;

        assert_int_equal(state_open(&loading, bytes, length, &error), 0);
        state_begin(loading, "limit", 0, 1);
        rate_limit_state(limited->limit, loading);
        state_end(loading);
        assert_int_equal(state_finish(loading, &error), 0);
        state_destroy(loading);
    }
    limited->now += 3 * (SECOND / 20) - 1;
    assert_false(rate_limit_allows(limited->limit));
    limited->now += 1;
    assert_true(rate_limit_allows(limited->limit));
    state_destroy(moving);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_bucket_then_debt),
        cmocka_unit_test(test_it_never_holds_more_than_its_size),
        cmocka_unit_test(test_extra_tokens_come_once),
        cmocka_unit_test(test_the_mean_rate_holds),
        cmocka_unit_test(test_extremes_do_not_wrap),
        cmocka_unit_test(test_options),
        cmocka_unit_test_setup_teardown(test_the_one_refused_is_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_operations_count_whatever_their_size, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_cancelled_wait_tells_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_debt_moves_with_the_vm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_limit_is_none, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
