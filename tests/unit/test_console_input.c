/* SPDX-License-Identifier: Apache-2.0 */
/* A console's input: its end, waiting for room, and filters. */
#include "tests/support/console_channel.h"

#include <string.h>
#include <unistd.h>

#include "devices/backend/console.h"

static void test_end_of_input(void **state)
{
    struct channel *channel = *state;
    int in[2];

    make_pipe(in);
    open_console(channel, in[0], -1);
    assert_int_equal(write(in[1], "last", 4), 4);
    close(in[1]);
    run(channel);
    assert_input(channel, "last");
    run(channel);
    close(in[0]);
}

/* With the ring full the loop leaves the rest in the pipe, and does not spin. */
static void test_input_waits_for_room(void **state)
{
    struct channel *channel = *state;
    uint8_t bytes[CONSOLE_INPUT_RING * 2];
    size_t total = 0;
    int in[2];

    make_pipe(in);
    open_console(channel, in[0], -1);
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(write(in[1], bytes, sizeof(bytes)), sizeof(bytes));
    close(in[1]);
    run(channel);
    assert_idle(channel);
    for (unsigned int round = 0; round < 10; round++) {
        total += console_read(channel->console, bytes, sizeof(bytes));
        run(channel);
    }
    assert_int_equal(total, sizeof(bytes));
    close(in[0]);
}

/* Drops each 'x' and counts it. */
static size_t test_filter(void *context, const uint8_t *in, size_t length, uint8_t *out)
{
    unsigned int *dropped = context;
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        if (in[i] == 'x')
            ++*dropped;
        else
            out[used++] = in[i];
    }
    return used;
}

/* Adds a byte to each read: the most that a filter may. */
static size_t adding_filter(void *context, const uint8_t *in, size_t length, uint8_t *out)
{
    unsigned int *calls = context;

    ++*calls;
    out[0] = '+';
    memcpy(out + 1, in, length);
    return length + 1;
}

static void test_filter_may_add_a_byte(void **state)
{
    struct channel *channel = *state;
    uint8_t bytes[3 * CONSOLE_INPUT_RING] = { 0 };
    unsigned int calls = 0;
    size_t total = 0;
    int in[2];

    make_pipe(in);
    open_filtered(channel, in[0], -1, adding_filter, &calls);
    assert_int_equal(write(in[1], bytes, sizeof(bytes)), sizeof(bytes));
    for (unsigned int round = 0; round < 20; round++) {
        run(channel);
        total += console_read(channel->console, bytes, CONSOLE_INPUT_RING);
    }
    assert_int_equal(total, sizeof(bytes) + calls);
    assert_int_equal(console_counters(channel->console).input_discarded, 0);
    close(in[0]);
    close(in[1]);
}

/* The escape key works on a guest that hangs with its input full. */
static void test_filter_and_hanging_guest(void **state)
{
    struct channel *channel = *state;
    uint8_t bytes[2 * CONSOLE_INPUT_RING];
    unsigned int dropped = 0;
    int in[2];

    make_pipe(in);
    open_filtered(channel, in[0], -1, test_filter, &dropped);
    assert_int_equal(write(in[1], "axb", 3), 3);
    run(channel);
    assert_int_equal(dropped, 1);
    assert_input(channel, "ab");
    memset(bytes, '.', sizeof(bytes));
    assert_int_equal(write(in[1], bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(write(in[1], "x", 1), 1);
    run(channel);
    assert_int_equal(dropped, 1);
    run_loop_for(channel->fixture.env.loop, 1200);
    assert_int_equal(dropped, 2);
    assert_true(console_counters(channel->console).input_discarded > 0);
    /* It comes back to life, and so does flow control. */
    assert_true(console_read(channel->console, bytes, sizeof(bytes)) >= CONSOLE_INPUT_RING - 1);
    assert_int_equal(write(in[1], "alive", 5), 5);
    run(channel);
    assert_input(channel, "alive");
    close(in[0]);
    close(in[1]);
}

#define CONSOLE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONSOLE_TEST(test_end_of_input),
        CONSOLE_TEST(test_input_waits_for_room),
        CONSOLE_TEST(test_filter_may_add_a_byte),
        CONSOLE_TEST(test_filter_and_hanging_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
