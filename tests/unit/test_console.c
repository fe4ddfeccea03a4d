/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/console.h"

/* A console and a device that only counts what it is told. */
struct channel {
    struct fixture fixture;
    struct console *console;
    pthread_mutex_t lock;
    unsigned int input_calls;
    unsigned int room_calls;
};

static int set_up(void **state)
{
    struct channel *channel = calloc(1, sizeof(*channel));

    fixture_init(&channel->fixture);
    pthread_mutex_init(&channel->lock, NULL);
    *state = channel;
    return 0;
}

static int tear_down(void **state)
{
    struct channel *channel = *state;

    console_destroy(channel->console);
    fixture_release(&channel->fixture);
    pthread_mutex_destroy(&channel->lock);
    free(channel);
    return 0;
}

static void input_ready(void *context)
{
    struct channel *channel = context;

    assert_int_equal(pthread_mutex_trylock(&channel->lock), EBUSY);
    channel->input_calls++;
}

static void output_room(void *context)
{
    struct channel *channel = context;

    assert_int_equal(pthread_mutex_trylock(&channel->lock), EBUSY);
    channel->room_calls++;
}

static void attach(struct channel *channel)
{
    const struct console_peer peer = {
        .lock = &channel->lock, .input_ready = input_ready, .output_room = output_room,
        .context = channel,
    };
    struct error error = ERROR_INIT;

    assert_int_equal(console_attach(channel->console, channel->fixture.env.loop, &peer, &error),
                     0);
}

static void open_filtered(struct channel *channel, int input_fd, int output_fd,
                          console_filter filter, void *filter_context)
{
    const struct console_options options = {
        .input_fd = input_fd, .output_fd = output_fd, .filter = filter,
        .filter_context = filter_context, .log = &channel->fixture.log,
    };
    struct error error = ERROR_INIT;

    assert_int_equal(console_create(&channel->console, &options, &error), 0);
    attach(channel);
}

static void open_console(struct channel *channel, int input_fd, int output_fd)
{
    open_filtered(channel, input_fd, output_fd, NULL, NULL);
}

static void run(struct channel *channel)
{
    run_loop_for(channel->fixture.env.loop, 10);
}

static size_t put(struct channel *channel, const void *bytes, size_t length)
{
    return console_write(channel->console, bytes, length);
}

static void assert_arrives(int fd, const char *text)
{
    char bytes[256];

    assert_int_equal(read(fd, bytes, sizeof(bytes)), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void assert_input(struct channel *channel, const char *text)
{
    uint8_t bytes[256];

    assert_int_equal(console_read(channel->console, bytes, sizeof(bytes)), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void make_pipe(int ends[2])
{
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

/* The loop sleeps when there is nothing to do, whatever state descriptors are in. */
static void assert_idle(struct channel *channel)
{
    struct timespec before, after;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    run_loop_for(channel->fixture.env.loop, 100);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    assert_true((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec <
                50000000);
}

static void test_pipes(void **state)
{
    struct channel *channel = *state;
    int in[2], out[2];

    make_pipe(in);
    make_pipe(out);
    open_console(channel, in[0], out[1]);
    assert_int_equal(put(channel, "hello", 5), 5);
    assert_int_equal(write(in[1], "input", 5), 5);
    run(channel);
    assert_arrives(out[0], "hello");
    assert_int_equal(channel->input_calls, 1);
    assert_input(channel, "input");
    assert_input(channel, "");
    assert_idle(channel);
    /* Both descriptors are as they were: shared with others, and blocking. */
    assert_false(fcntl(in[0], F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(out[1], F_GETFL) & O_NONBLOCK);
    close(in[0]), close(in[1]), close(out[0]), close(out[1]);
}

static void make_raw(int fd)
{
    struct termios mode;

    assert_int_equal(tcgetattr(fd, &mode), 0);
    cfmakeraw(&mode);
    assert_int_equal(tcsetattr(fd, TCSANOW, &mode), 0);
}

static int open_pty(int *slave)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char name[64];

    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
    *slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(*slave >= 0);
    make_raw(*slave);
    return master;
}

static void test_terminal(void **state)
{
    struct channel *channel = *state;
    int slave, master = open_pty(&slave);

    open_console(channel, slave, slave);
    put(channel, "hello", 5);
    assert_int_equal(write(master, "keys", 4), 4);
    run(channel);
    assert_arrives(master, "hello");
    assert_input(channel, "keys");
    assert_false(fcntl(slave, F_GETFL) & O_NONBLOCK);
    close(slave), close(master);
}

/* A master cannot be opened anew: the fall-back of poll and small writes. */
static void test_pty_master(void **state)
{
    struct channel *channel = *state;
    int slave, master = open_pty(&slave);

    open_console(channel, master, master);
    assert_int_equal(write(slave, "keys", 4), 4);
    put(channel, "hello", 5);
    run(channel);
    assert_arrives(slave, "hello");
    assert_input(channel, "keys");
    close(slave);
    run(channel);
    close(master);
}

/* A terminal whose other end does not read, as with a hanging emulator. */
static void test_full_terminal(void **state)
{
    struct channel *channel = *state;
    int slave, master = open_pty(&slave);
    uint8_t bytes[4096];
    size_t taken = 0;

    open_console(channel, -1, slave);
    memset(bytes, 'x', sizeof(bytes));
    for (unsigned int i = 0; i < 200; i++) {
        taken += put(channel, bytes, sizeof(bytes));
        run_loop_for(channel->fixture.env.loop, 1);
    }
    assert_true(taken < 200 * sizeof(bytes));
    assert_false(console_has_room(channel->console, 1));
    assert_true(read(master, bytes, sizeof(bytes)) > 0);
    close(slave);
    close(master);
}

static void test_terminal_hangs_up(void **state)
{
    struct channel *channel = *state;
    int slave, master = open_pty(&slave);

    open_console(channel, slave, slave);
    run(channel);
    close(master);
    put(channel, "hello", 5);
    run(channel);
    assert_int_equal(console_counters(channel->console).discarded, 5);
    assert_int_equal(memory_log_lines(&channel->fixture.log), 1);
    close(slave);
}

static void test_socketpair(void **state)
{
    struct channel *channel = *state;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    open_console(channel, pair[0], pair[0]);
    put(channel, "hello", 5);
    assert_int_equal(write(pair[1], "input", 5), 5);
    run(channel);
    assert_arrives(pair[1], "hello");
    assert_input(channel, "input");
    assert_false(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
    close(pair[0]);
    close(pair[1]);
}

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

static void test_regular_files(void **state)
{
    struct channel *channel = *state;
    int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
    uint8_t bytes[1000];
    size_t total = 0;

    /* Three rings of input arrive one after the other, and in order. */
    for (unsigned int i = 0; i < 3 * CONSOLE_INPUT_RING; i++)
        assert_int_equal(write(in, &(uint8_t){ (uint8_t)(i % 251) }, 1), 1);
    assert_int_equal(lseek(in, 0, SEEK_SET), 0);
    open_console(channel, in, out);
    for (unsigned int round = 0; round < 100 && total < 3 * CONSOLE_INPUT_RING; round++) {
        size_t length;

        run_loop_for(channel->fixture.env.loop, 2);
        length = console_read(channel->console, bytes, sizeof(bytes));
        for (size_t i = 0; i < length; i++)
            assert_int_equal(bytes[i], (total + i) % 251);
        total += length;
        assert_int_equal(put(channel, bytes, length), length);
    }
    assert_int_equal(total, 3 * CONSOLE_INPUT_RING);
    run(channel);
    assert_int_equal(lseek(out, 0, SEEK_END), total);
    close(in);
    close(out);
}

static void test_null_devices_and_none(void **state)
{
    struct channel *channel = *state;
    struct error error = ERROR_INIT;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    open_console(channel, null, null);
    put(channel, "x", 1);
    run(channel);
    assert_int_equal(console_counters(channel->console).written, 1);
    assert_input(channel, "");
    console_destroy(channel->console);
    open_console(channel, -1, -1);
    for (unsigned int i = 0; i < 1000000; i++)
        assert_int_equal(put(channel, "x", 1), 1);
    run(channel);
    assert_int_equal(console_drain(channel->console, 0, &error), 0);
    assert_true(console_has_room(channel->console, CONSOLE_OUTPUT_RING));
    close(null);
}

static void test_unfit_descriptors(void **state)
{
    struct channel *channel = *state;
    struct console_options options = { .log = &channel->fixture.log, .output_fd = -1 };
    struct error error = ERROR_INIT;
    int ends[2];

    make_pipe(ends);
    options.input_fd = ends[1];
    assert_int_equal(console_create(&channel->console, &options, &error), -EBADF);
    assert_non_null(strstr(error.message, "console input"));
    options.input_fd = -1;
    options.output_fd = ends[0];
    assert_int_equal(console_create(&channel->console, &options, &error), -EBADF);
    options.output_fd = 100000;
    assert_int_equal(console_create(&channel->console, &options, &error), -EBADF);
    assert_null(channel->console);
    close(ends[0]);
    close(ends[1]);
}

static void test_second_device_is_refused(void **state)
{
    struct channel *channel = *state;
    const struct console_peer peer = { .lock = &channel->lock };
    struct error error = ERROR_INIT;

    open_console(channel, -1, -1);
    assert_int_equal(console_attach(channel->console, channel->fixture.env.loop, &peer, &error),
                     -EBUSY);
    console_detach(channel->console);
    console_detach(channel->console);
    attach(channel);
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
        CONSOLE_TEST(test_pipes),
        CONSOLE_TEST(test_terminal),
        CONSOLE_TEST(test_pty_master),
        CONSOLE_TEST(test_full_terminal),
        CONSOLE_TEST(test_terminal_hangs_up),
        CONSOLE_TEST(test_socketpair),
        CONSOLE_TEST(test_full_pipe),
        CONSOLE_TEST(test_closed_pipe),
        CONSOLE_TEST(test_pipe_closes_while_full),
        CONSOLE_TEST(test_full_disk),
        CONSOLE_TEST(test_limit),
        CONSOLE_TEST(test_regular_files),
        CONSOLE_TEST(test_null_devices_and_none),
        CONSOLE_TEST(test_unfit_descriptors),
        CONSOLE_TEST(test_second_device_is_refused),
        CONSOLE_TEST(test_flood),
        CONSOLE_TEST(test_batches_across_threads),
        CONSOLE_TEST(test_end_of_input),
        CONSOLE_TEST(test_input_waits_for_room),
        CONSOLE_TEST(test_filter_may_add_a_byte),
        CONSOLE_TEST(test_filter_and_hanging_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
