/* SPDX-License-Identifier: Apache-2.0 */
/* What a console can be on the host: pipes, terminals, sockets, files, nothing. */
#include "tests/support/console_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "devices/backend/console.h"

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
        CONSOLE_TEST(test_regular_files),
        CONSOLE_TEST(test_null_devices_and_none),
        CONSOLE_TEST(test_unfit_descriptors),
        CONSOLE_TEST(test_second_device_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
