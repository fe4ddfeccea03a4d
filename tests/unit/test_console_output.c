/* SPDX-License-Identifier: Apache-2.0 */
/* A console's output: readers that are slow or gone, limits, and how much is written at once. */
#include "tests/support/console_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/console.h"

/* The loop is not held up by a reader that sleeps, and what fits is kept. */
static void test_full_pipe(void **state)
{
    struct channel *channel = *state;
    uint8_t bytes[1024];
    char text[4096];
    size_t taken = 0, refused = 0, arrived = 0;
    struct error error = ERROR_INIT;
    ssize_t length;
    int out[2];

    make_pipe(out);
    open_console(channel, -1, out[1]);
    memset(bytes, 'x', sizeof(bytes));
    for (unsigned int i = 0; i < 1000; i++) {
        size_t now = put(channel, bytes, sizeof(bytes));

        taken += now;
        refused += sizeof(bytes) - now;
        if (i % 20 == 0)
            run_loop_for(channel->fixture.env.loop, 1);
    }
    assert_true(refused > 0);
    assert_false(console_has_room(channel->console, 1));
    assert_int_equal(channel->room_calls, 0);
    assert_int_equal(console_drain(channel->console, 20, &error), -ETIMEDOUT);

    assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
    for (unsigned int round = 0; round < 100; round++) {
        run_loop_for(channel->fixture.env.loop, 1);
        while ((length = read(out[0], text, sizeof(text))) > 0)
            arrived += (size_t)length;
    }
    assert_int_equal(arrived, taken);
    assert_int_equal(channel->room_calls, 1);
    assert_int_equal(console_drain(channel->console, 0, &error), 0);
    close(out[0]);
    close(out[1]);
}

/* Its master's end closes, as a window does: SIGHUP says so, and what cannot be written then is no error. */
static void test_terminal_went_away(void **state)
{
    struct channel *channel = *state;
    struct error error = ERROR_INIT;
    int master, slave;

    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    open_console(channel, -1, slave);
    close(master);
    put(channel, (const uint8_t *)"lost", 4);
    assert_int_equal(console_drain(channel->console, 20, &error), 0);
    assert_int_equal(error.number, 0);
    close(slave);
}

static void test_closed_pipe(void **state)
{
    struct channel *channel = *state;
    struct error error = ERROR_INIT;
    int out[2];

    make_pipe(out);
    open_console(channel, -1, out[1]);
    close(out[0]);
    for (unsigned int i = 0; i < 50; i++) {
        assert_int_equal(put(channel, "gone", 4), 4);
        run_loop_for(channel->fixture.env.loop, 1);
    }
    assert_idle(channel);
    assert_int_equal(console_counters(channel->console).discarded, 200);
    assert_int_equal(memory_log_lines(&channel->fixture.log), 1);
    assert_int_equal(console_drain(channel->console, 100, &error), -EPIPE);
    assert_non_null(strstr(error.message, "console output"));
    close(out[1]);
}

/* The reader leaves while the ring waits for it: the device hears of room. */
static void test_pipe_closes_while_full(void **state)
{
    struct channel *channel = *state;
    uint8_t bytes[4096] = { 0 };
    int out[2];

    make_pipe(out);
    open_console(channel, -1, out[1]);
    do
        run_loop_for(channel->fixture.env.loop, 2);
    while (put(channel, bytes, sizeof(bytes)) == sizeof(bytes));
    close(out[0]);
    run(channel);
    assert_int_equal(channel->room_calls, 1);
    assert_true(console_has_room(channel->console, CONSOLE_OUTPUT_RING));
    assert_true(console_counters(channel->console).discarded > CONSOLE_OUTPUT_RING / 2);
    close(out[1]);
}

static void test_full_disk(void **state)
{
    struct channel *channel = *state;
    struct error error = ERROR_INIT;
    char text[1024];
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    assert_true(full >= 0);
    open_console(channel, -1, full);
    put(channel, "lost", 4);
    assert_int_equal(console_drain(channel->console, 100, &error), -ENOSPC);
    assert_int_equal(memory_log_lines(&channel->fixture.log), 1);
    assert_non_null(strstr(memory_log_text(&channel->fixture.log, text, sizeof(text)),
                           "No space left"));
    close(full);
}

/* Up to the limit all of it, also of a VM that goes on with the file; that there is more is no failure. */
static void test_limit(void **state)
{
    struct channel *channel = *state;
    int out = memfd_create("out", MFD_CLOEXEC);
    struct console_options options = {
        .input_fd = -1, .output_fd = out, .output_limit = 10, .log = &channel->fixture.log,
    };
    struct error error = ERROR_INIT;
    char text[1024];

    assert_int_equal(write(out, "before", 6), 6);
    assert_int_equal(console_create(&channel->console, &options, &error), 0);
    attach(channel);
    put(channel, "12", 2);
    run(channel);
    put(channel, "345", 3);
    put(channel, "6", 1);
    assert_int_equal(console_drain(channel->console, 100, &error), 0);
    assert_int_equal(pread(out, text, sizeof(text), 0), 10);
    assert_memory_equal(text, "before1234", 10);
    assert_int_equal(memory_log_lines(&channel->fixture.log), 1);
    assert_int_equal(console_counters(channel->console).discarded, 2);
    close(out);
}

static long resident_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* 100 MB against a reader that never reads: memory flat, no byte unaccounted. */
static void test_flood(void **state)
{
    struct channel *channel = *state;
    static uint8_t bytes[10000];
    size_t taken = 0, refused = 0;
    int out[2];
    long before;

    make_pipe(out);
    open_console(channel, -1, out[1]);
    put(channel, bytes, sizeof(bytes));
    run(channel);
    before = resident_kib();
    for (unsigned int i = 0; i < 10000; i++) {
        size_t now = put(channel, bytes, sizeof(bytes));

        taken += now;
        refused += sizeof(bytes) - now;
        if (i % 1000 == 0)
            run_loop_for(channel->fixture.env.loop, 1);
    }
    assert_int_equal(taken + refused, 100000000);
    assert_true(taken <= 2 * CONSOLE_OUTPUT_RING);
    assert_true(resident_kib() - before < 1024);
    assert_int_equal(memory_log_lines(&channel->fixture.log), 0);
    close(out[0]);
    close(out[1]);
}

struct writer {
    struct channel *channel;
    atomic_bool done;
};

static void *write_bytes(void *context)
{
    struct writer *writer = context;

    for (unsigned int i = 0; i < 200000; i++) {
        while (put(writer->channel, &(uint8_t){ (uint8_t)(i % 251) }, 1) == 0)
            sched_yield();
        if (i % 1000 == 0)
            usleep(100);
    }
    writer->done = true;
    event_loop_stop(writer->channel->fixture.env.loop);
    return NULL;
}

/* A vCPU's thread against the loop's: order kept, and many bytes per write(2). */
static void test_batches_across_threads(void **state)
{
    struct channel *channel = *state;
    struct writer writer = { .channel = channel };
    int out = memfd_create("out", MFD_CLOEXEC);
    struct error error = ERROR_INIT;
    static uint8_t bytes[200000];
    struct timespec before, after;
    pthread_t thread;

    open_console(channel, -1, out);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(pthread_create(&thread, NULL, write_bytes, &writer), 0);
    while (!writer.done)
        assert_int_equal(event_loop_run(channel->fixture.env.loop, &error), 0);
    pthread_join(thread, NULL);
    assert_int_equal(console_drain(channel->console, 1000, &error), 0);
    assert_int_equal(pread(out, bytes, sizeof(bytes), 0), sizeof(bytes));
    for (unsigned int i = 0; i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], i % 251);
    /* One batch per millisecond, of one chunk or of as many as it takes. */
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(console_counters(channel->console).writes <=
                (uint64_t)((after.tv_sec - before.tv_sec) * 1000 +
                           (after.tv_nsec - before.tv_nsec) / 1000000) +
                    2 + 2 * sizeof(bytes) / 4096);
    close(out);
}

#define CONSOLE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONSOLE_TEST(test_full_pipe),
        CONSOLE_TEST(test_terminal_went_away),
        CONSOLE_TEST(test_closed_pipe),
        CONSOLE_TEST(test_pipe_closes_while_full),
        CONSOLE_TEST(test_full_disk),
        CONSOLE_TEST(test_limit),
        CONSOLE_TEST(test_flood),
        CONSOLE_TEST(test_batches_across_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
