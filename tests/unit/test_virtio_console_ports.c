/* SPDX-License-Identifier: Apache-2.0 */
/* The console device with ports, as Linux uses them and as a hostile driver does. */
#include "tests/support/console_bench.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/backend/unix_listener.h"
#include "devices/virtio/console.h"
#include "tests/support/test_tool.h"

/* As Linux does it. */
static void introduce_ports(struct world *world)
{
    for (unsigned int i = 0; i < 4; i++)
        offer_buffer(world, CONSOLE_CONTROL_RX);
    control(world, 0, CONSOLE_DEVICE_READY, 1);
    for (uint32_t port = 0; port < 4; port++)
        expect_control(world, port, CONSOLE_PORT_ADD, 1, "");
    control(world, 0, CONSOLE_PORT_READY, 1);
    expect_control(world, 0, CONSOLE_CONSOLE_PORT, 1, "");
    expect_control(world, 0, CONSOLE_PORT_OPEN, 1, "");
    control(world, 1, CONSOLE_PORT_READY, 1);
    expect_control(world, 1, CONSOLE_PORT_NAME, 1, "talk");
    expect_control(world, 1, CONSOLE_PORT_OPEN, 0, "");
    control(world, 2, CONSOLE_PORT_READY, 1);
    expect_control(world, 2, CONSOLE_PORT_NAME, 1, "log");
    expect_control(world, 2, CONSOLE_PORT_OPEN, 1, "");
    control(world, 3, CONSOLE_PORT_READY, 1);
    expect_control(world, 3, CONSOLE_PORT_NAME, 1, "given");
    expect_control(world, 3, CONSOLE_PORT_OPEN, 1, "");
    assert_receives_nothing(world, CONSOLE_CONTROL_RX);
}

static void test_ports_are_introduced(void **state)
{
    struct world *world = *state;
    struct console_config config;

    start_ports(world);
    fake_driver_config(&world->driver, 0, &config, sizeof(config));
    assert_int_equal(config.ports_max, 4);
    introduce_ports(world);
    send_text(world, 1, "to the terminal");
    assert_hears(world, world->terminal, "to the terminal");
}

static int connect_peer(struct world *world)
{
    int fd = unix_connect(world->path);

    assert_true(fd >= 0);
    fake_driver_run(&world->driver);
    return fd;
}

static void test_unix_port(void **state)
{
    struct world *world = *state;
    int first, second;

    start_ports(world);
    introduce_ports(world);
    send_text(world, 5, "to nobody");
    first = connect_peer(world);
    expect_control(world, 1, CONSOLE_PORT_OPEN, 1, "");
    send_text(world, 5, "hello");
    assert_hears(world, first, "hello");
    offer_buffer(world, 4);
    say(first, "hi");
    assert_receives_nothing(world, 4); /* the guest has not opened it */
    control(world, 1, CONSOLE_PORT_OPEN, 1);
    assert_receives(world, 4, "hi");
    /* The next one waits for its turn. */
    second = connect_peer(world);
    say(second, "me too");
    assert_receives_nothing(world, 4);
    close(first);
    expect_control(world, 1, CONSOLE_PORT_OPEN, 0, "");
    expect_control(world, 1, CONSOLE_PORT_OPEN, 1, "");
    assert_receives(world, 4, "me too");
    /* Half of it ends; the other half goes on. */
    shutdown(second, SHUT_WR);
    assert_idle(world);
    assert_receives_nothing(world, CONSOLE_CONTROL_RX);
    send_text(world, 5, "still");
    assert_hears(world, second, "still");
    close(second);
    expect_control(world, 1, CONSOLE_PORT_OPEN, 0, "");
    assert_idle(world);
}

/* No descriptor is left for whom comes: they wait, and nobody is busy with that. */
static void test_unix_port_without_descriptors(void **state)
{
    struct world *world = *state;
    struct rlimit limit, none;
    int first, second, lowest;

    start_ports(world);
    introduce_ports(world);
    first = unix_connect(world->path);
    lowest = dup(first);
    assert_true(first >= 0 && lowest >= 0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    /* The one that is left is for the clock of whoever runs the loop. */
    none = (struct rlimit){ .rlim_cur = (rlim_t)lowest + 1, .rlim_max = limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_idle(world);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    second = connect_peer(world);
    expect_control(world, 1, CONSOLE_PORT_OPEN, 1, "");
    send_text(world, 5, "hello");
    assert_hears(world, first, "hello");
    close(first);
    close(second);
}

static void test_peer_that_stops_reading(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffer = { 0, 0x40000, false };
    int peer;

    start_ports(world);
    introduce_ports(world);
    peer = connect_peer(world);
    for (unsigned int i = 0; i < 8; i++)
        fake_driver_add(&world->driver, 5, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&world->driver, 5);
    assert_in_range(fake_used_index(&world->driver, 5), 0, 4);
    assert_idle(world);
    /* The other ports do not wait for it. */
    send_text(world, 1, "terminal");
    assert_hears(world, world->terminal, "terminal");
    close(peer);
    fake_driver_run(&world->driver);
    assert_int_equal(fake_used_index(&world->driver, 5), 8);
    assert_idle(world);
}

static void test_peer_without_buffers_does_not_spin(void **state)
{
    struct world *world = *state;
    int peer;

    start_ports(world);
    introduce_ports(world);
    control(world, 1, CONSOLE_PORT_OPEN, 1);
    peer = connect_peer(world);
    say(peer, "nobody takes this");
    assert_idle(world);
    close(peer);
    assert_idle(world);
    offer_buffer(world, 4);
    assert_receives(world, 4, "nobody takes this");
}

static void test_file_and_descriptor(void **state)
{
    struct world *world = *state;
    char text[32] = "";
    FILE *file;

    test_directory_write(&world->directory, "log", "before ", 7);
    start_ports(world);
    introduce_ports(world);
    send_text(world, 7, "after");
    file = fopen(world->file, "r");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_string_equal(text, "before after");
    send_text(world, 9, "out");
    assert_hears(world, world->given, "out");
    control(world, 3, CONSOLE_PORT_OPEN, 1);
    offer_buffer(world, 8);
    say(world->given, "in");
    assert_receives(world, 8, "in");
}

/* Longer than one turn's share: the rest comes in the next ones. */
static void test_huge_chain_to_a_file(void **state)
{
    struct world *world = *state;
    struct fake_buffer pieces[8];
    struct stat status;

    start_ports(world);
    introduce_ports(world);
    for (unsigned int i = 0; i < 8; i++)
        pieces[i] = (struct fake_buffer){ 0, 0x100000 - 1, false };
    fake_driver_send(&world->driver, 7, FAKE_INDIRECT, 8, pieces);
    fake_driver_run(&world->driver);
    assert_int_equal(stat(world->file, &status), 0);
    assert_int_equal(status.st_size, 8 * (0x100000 - 1));
    assert_int_equal(fake_used_index(&world->driver, 7), 1);
}

/* ---- the hostile driver --------------------------------------------------- */

/* Messages are owed, not queued: ten thousand requests for them cost nothing. */
static void test_control_flood(void **state)
{
    struct world *world = *state;

    start_ports(world);
    for (unsigned int i = 0; i < 10000; i++) {
        control(world, 0, CONSOLE_DEVICE_READY, 1);
        control(world, 1, CONSOLE_PORT_READY, 1);
    }
    assert_idle(world);
    /* Nothing is owed to the driver of before a reset. */
    fake_driver_start(&world->driver, CONSOLE_F_MULTIPORT, 10);
    for (unsigned int i = 0; i < 8; i++)
        offer_buffer(world, CONSOLE_CONTROL_RX);
    assert_receives_nothing(world, CONSOLE_CONTROL_RX);
    fake_driver_start(&world->driver, CONSOLE_F_MULTIPORT, 10);
    control(world, 0, CONSOLE_DEVICE_READY, 1);
    control(world, 0, CONSOLE_DEVICE_READY, 1);
    control(world, 1, CONSOLE_PORT_READY, 1);
    for (unsigned int i = 0; i < 8; i++)
        offer_buffer(world, CONSOLE_CONTROL_RX);
    expect_control(world, 0, CONSOLE_PORT_ADD, 1, "");
    expect_control(world, 1, CONSOLE_PORT_ADD, 1, "");
    expect_control(world, 1, CONSOLE_PORT_NAME, 1, "talk");
    expect_control(world, 1, CONSOLE_PORT_OPEN, 0, "");
    expect_control(world, 2, CONSOLE_PORT_ADD, 1, "");
    expect_control(world, 3, CONSOLE_PORT_ADD, 1, "");
    assert_receives_nothing(world, CONSOLE_CONTROL_RX);
}

static void test_short_control_message(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffer = { 0x800, sizeof(struct console_control) - 1, false };

    start_ports(world);
    fake_driver_send(&world->driver, CONSOLE_CONTROL_TX, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_needs_reset(&world->driver));
    fake_driver_start(&world->driver, CONSOLE_F_MULTIPORT, 10);
    introduce_ports(world);
}

static void test_short_control_buffer(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffer = { 0x900, sizeof(struct console_control) - 1, true };

    start_ports(world);
    fake_driver_send(&world->driver, CONSOLE_CONTROL_RX, FAKE_DIRECT, 1, &buffer);
    control(world, 0, CONSOLE_DEVICE_READY, 1);
    assert_true(fake_driver_needs_reset(&world->driver));
}

static void test_unknown_ports_and_events(void **state)
{
    static const uint32_t ports[] = { 4, 5, 31, 1000, 0x80000000u, UINT32_MAX };
    struct world *world = *state;

    start_ports(world);
    offer_buffer(world, CONSOLE_CONTROL_RX);
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        for (uint16_t event = CONSOLE_PORT_ADD; event < 20; event++)
            control(world, ports[i], event, 1);
    for (uint16_t event = 8; event < 1000; event++)
        control(world, 1, event, event);
    assert_receives_nothing(world, CONSOLE_CONTROL_RX);
    assert_false(fake_driver_needs_reset(&world->driver));
    assert_in_range(memory_log_lines(&world->fixture.log), 1, 12);
}

/* A driver that does not know MULTIPORT gets the terminal. */
static void test_driver_without_multiport(void **state)
{
    struct world *world = *state;

    create_ports(world);
    fake_driver_start(&world->driver, 0, 2);
    send_text(world, 1, "plain");
    assert_hears(world, world->terminal, "plain");
    offer_buffer(world, 0);
    say(world->terminal, "typed");
    run_loop_for(world->fixture.env.loop, 5);
    assert_receives(world, 0, "typed");
    close(connect_peer(world));
    assert_idle(world);
}

/* With the terminal elsewhere, port 0 is not there. */
static void test_no_terminal(void **state)
{
    struct world *world = *state;

    world->fixture.env.console = NULL;
    start_ports(world);
    for (unsigned int i = 0; i < 4; i++)
        offer_buffer(world, CONSOLE_CONTROL_RX);
    control(world, 0, CONSOLE_DEVICE_READY, 1);
    expect_control(world, 1, CONSOLE_PORT_ADD, 1, "");
    control(world, 0, CONSOLE_PORT_READY, 1);
    expect_control(world, 2, CONSOLE_PORT_ADD, 1, "");
    offer_buffer(world, 0);
    send_text(world, 1, "to nobody");
    assert_int_equal(fake_used_index(&world->driver, 1), 1);
    assert_receives_nothing(world, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ports_are_introduced),
        TEST(test_unix_port),
        TEST(test_unix_port_without_descriptors),
        TEST(test_peer_that_stops_reading),
        TEST(test_peer_without_buffers_does_not_spin),
        TEST(test_file_and_descriptor),
        TEST(test_huge_chain_to_a_file),
        TEST(test_control_flood),
        TEST(test_short_control_message),
        TEST(test_short_control_buffer),
        TEST(test_unknown_ports_and_events),
        TEST(test_driver_without_multiport),
        TEST(test_no_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
