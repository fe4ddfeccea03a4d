/* SPDX-License-Identifier: Apache-2.0 */
/* The timers of an event loop. */
#include "tests/support/fixture.h"

#include <errno.h>
#include <sys/resource.h>

#include "vmm/base/timer.h"

static struct fixture fixture;
static struct timer timer;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int rings;
static int lock_is; /* what trying the lock gave in the handler: 0 is free */

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    rings = 0;
    lock_is = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    timer_close(&timer);
    fixture_release(&fixture);
    return 0;
}

static void rang(void *context)
{
    assert_ptr_equal(context, &fixture);
    rings++;
    lock_is = pthread_mutex_trylock(&lock);
    if (lock_is == 0)
        pthread_mutex_unlock(&lock);
}

static void test_it_rings_once(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(timer_open(&timer, fixture.env.loop, rang, &fixture, &error), 0);
    run_loop_for(fixture.env.loop, 10);
    assert_int_equal(rings, 0);
    timer_set(&timer, 5);
    run_loop_for(fixture.env.loop, 60);
    assert_int_equal(rings, 1);
    assert_int_equal(lock_is, 0);
    timer_set_ns(&timer, 1);
    run_loop_for(fixture.env.loop, 30);
    assert_int_equal(rings, 2);
}

static void test_a_device_is_locked_meanwhile(void **state)
{
    (void)state;
    assert_int_equal(timer_open_locked(&timer, fixture.env.loop, &lock, rang, &fixture), 0);
    timer_set_ns(&timer, 1);
    run_loop_for(fixture.env.loop, 30);
    assert_int_equal(rings, 1);
    assert_int_equal(lock_is, EBUSY);
    assert_int_equal(pthread_mutex_trylock(&lock), 0);
    pthread_mutex_unlock(&lock);
}

/* Expired already, and not yet heard of by the loop: the old time is forgotten. */
static void test_a_time_that_is_set_anew(void **state)
{
    (void)state;
    assert_int_equal(timer_open_locked(&timer, fixture.env.loop, NULL, rang, &fixture), 0);
    timer_set_ns(&timer, 1);
    timer_set(&timer, 3600000);
    run_loop_for(fixture.env.loop, 20);
    timer_set_ns(&timer, 1);
    timer_set(&timer, 0);
    run_loop_for(fixture.env.loop, 20);
    assert_int_equal(rings, 0);
}

static void test_one_that_is_not_open(void **state)
{
    struct rlimit before, none = { .rlim_cur = 0 };

    (void)state;
    timer = (struct timer)TIMER_INIT;
    timer_set(&timer, 1);
    timer_close(&timer);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(timer_open_locked(&timer, fixture.env.loop, NULL, rang, &fixture), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(timer.fd, -1);
    timer_set(&timer, 1);
    run_loop_for(fixture.env.loop, 10);
    timer_close(&timer);
    assert_int_equal(rings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_rings_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_device_is_locked_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_time_that_is_set_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_is_not_open, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
