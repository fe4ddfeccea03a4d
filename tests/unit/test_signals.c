/* SPDX-License-Identifier: Apache-2.0 */
/* Signals by name and number, and a stop that is told from a SIGTERM. */
#include "vmm/base/signals.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/base/cleanup.h"

static void test_names(void **state)
{
    static const struct {
        const char *text;
        int number;
    } cases[] = {
        { "QUIT", 3 }, { "SIGQUIT", 3 }, { "sigquit", 3 }, { "3", 3 }, { "64", 64 }, { "WINCH", 28 },
        { "SIGRTMIN", 34 }, { "RTMIN+3", 37 }, { "SIGRTMIN+30", 64 }, { "RTMAX", 64 }, { "RTMAX-14", 50 },
        { "CLD", 17 }, { "SIGIOT", 6 },
        { "", 0 }, { "SIG", 0 }, { "0", 0 }, { "65", 0 }, { "-1", 0 }, { "SIG3", 0 }, { "999", 0 },
        { "RTMIN+31", 0 }, { "RTMAX-31", 0 }, { "RTMIN-1", 0 }, { "RTMIN+", 0 }, { "RTMIN+1x", 0 }, { "FOO", 0 },
        { "QUIT ", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        if (signal_number(cases[i].text) != cases[i].number)
            fail_msg("%s is %d", cases[i].text, signal_number(cases[i].text));
}

static int arrived;

static void arrives(void *context, int number)
{
    arrived = number;
    event_loop_stop(context);
}

/* What comes of a SIGTERM that is queued with VALUE, or with 0 sent as by kill(1). */
static int comes_of(struct event_loop *loop, int value)
{
    struct error error = ERROR_INIT;

    arrived = 0;
    if (value)
        assert_int_equal(sigqueue(getpid(), SIGTERM, (union sigval){ .sival_int = value }), 0);
    else
        assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(event_loop_run(loop, &error), 0);
    return arrived;
}

static void test_a_stop(void **state)
{
    static const int numbers[] = { SIGTERM };
    struct signals signals = SIGNALS_INIT;
    struct event_loop *loop;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(event_loop_create(&loop, &error), 0);
    signals.arrived = arrives;
    signals.context = loop;
    assert_int_equal(signals_open(&signals, loop, numbers, 1, false, &error), 0);
    assert_int_equal(comes_of(loop, SIGNALS_STOP), SIGTERM); /* for who does not want to know */
    signals.tells_stop = true;
    assert_int_equal(comes_of(loop, SIGNALS_STOP), SIGNALS_STOP);
    assert_int_equal(comes_of(loop, SIGNALS_STOP + 1), SIGTERM);
    assert_int_equal(comes_of(loop, 0), SIGTERM);
    signals_close(&signals);
    event_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_stop),
    };

    return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
