/* SPDX-License-Identifier: Apache-2.0 */
/* The console device and its ports, moved from one process's terminal to another's. */
#include "tests/support/console_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "devices/backend/unix_listener.h"
#include "devices/virtio/console_port.h"
#include "tests/support/saved.h"

/* Another process has another terminal; returns our end of the old one. */
static int move(struct world *world)
{
    struct error error = ERROR_INIT;
    struct console *old = world->console;
    int terminal = world->terminal;
    struct saved saved, again;

    device_save(world->driver.device, &saved);
    device_save(world->driver.device, &again);
    assert_true(saved_equal(&saved, &again));
    fake_driver_destroy(&world->driver);
    console_drain(old, 1000, &error); /* what it holds is its own to write */
    console_destroy(old);
    open_terminal(world);
    fake_driver_make(&world->driver, &virtio_console_class, world->options);
    error = (struct error)ERROR_INIT;
    if (device_load(world->driver.device, &saved, &error) < 0)
        fail_msg("%s", error.message);
    saved_release(&saved);
    saved_release(&again);
    return terminal;
}

/* Port 1 alone, and no buffer that the driver offers. */
static void start_port(struct world *world)
{
    char option[128];

    snprintf(option, sizeof(option), "talk=unix:%s", world->path);
    add_port(world, option);
    fake_driver_create(&world->driver, &world->fixture, &virtio_console_class, world->options);
    fake_driver_start(&world->driver, CONSOLE_F_MULTIPORT, 6);
}

static void test_a_console_goes_on(void **state)
{
    struct world *world = *state;
    int old;

    start_plain(world);
    send_text(world, 1, "before");
    assert_hears(world, world->terminal, "before");
    offer_buffer(world, 0);
    old = move(world);
    send_text(world, 1, "after");
    assert_hears(world, world->terminal, "after");
    say(world->terminal, "typed");
    run_loop_for(world->fixture.env.loop, 5);
    assert_receives(world, 0, "typed");
    close(old);
}

/*
 * Nobody reads, and the device holds a chain that is half written: the old
 * terminal has the one half, the new one gets the other.
 */
static void test_output_amid_a_chain_goes_on(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffer = { 0x40000, 0x40000, false };
    static uint8_t bytes[0x40000];
    size_t got = 0;
    uint8_t *text;
    int old = -1;

    start_plain(world);
    text = fake_memory(&world->driver, buffer.address, buffer.length);
    for (size_t i = 0; i < buffer.length; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
    /* More than terminal and ring take. */
    for (unsigned int i = 0; i < 4; i++)
        fake_driver_add(&world->driver, 1, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&world->driver, 1);
    run_loop_for(world->fixture.env.loop, 20);
    assert_true(fake_used_index(&world->driver, 1) < 4);
    assert_true(((struct virtio_console *)virtio_device_of(world->driver.device))
                    ->ports[0].holds);
    /* The old one's ring goes to the old terminal, for which there is room now. */
    {
        uint16_t done = fake_used_index(&world->driver, 1);
        struct virtio_console *console;
        uint64_t written;
        ssize_t length;

        while ((length = recv(world->terminal, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
            got += (size_t)length;
        old = move(world);
        console = (struct virtio_console *)virtio_device_of(world->driver.device);
        written = console->ports[0].written;
        while ((length = recv(old, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
            got += (size_t)length;
        assert_int_equal(got, (uint64_t)done * buffer.length + written);
        assert_true(written > 0);
    }
    for (unsigned int i = 0; i < 500 && got < 4 * buffer.length; i++) {
        ssize_t length;

        run_loop_for(world->fixture.env.loop, 2);
        length = recv(world->terminal, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (length > 0)
            assert_memory_equal(bytes, text + got % buffer.length,
                                (size_t)length < buffer.length - got % buffer.length
                                    ? (size_t)length : buffer.length - got % buffer.length);
        got += length > 0 ? (size_t)length : 0;
    }
    assert_int_equal(got, 4 * buffer.length);
    assert_int_equal(fake_used_index(&world->driver, 1), 4);
    close(old);
}

/* The driver has a buffer for one control message: it must be this one. */
static void expect_owed(struct world *world, uint32_t port, uint16_t event, uint16_t value,
                        const char *rest)
{
    uint8_t bytes[BUFFER_SIZE];
    struct fake_buffer buffer;

    offer_buffer(world, CONSOLE_CONTROL_RX);
    run_loop_for(world->fixture.env.loop, 5);
    assert_control(bytes, take(world, CONSOLE_CONTROL_RX, bytes, &buffer), port, event, value,
                   rest);
}

/* Messages that the driver had no buffer for come when it has; and a port's end may differ. */
static void test_what_is_owed_about_ports_comes(void **state)
{
    struct world *world = *state;
    int peer;

    start_port(world);
    peer = unix_connect(world->path);
    assert_true(peer >= 0);
    run_loop_for(world->fixture.env.loop, 5);
    control(world, 0, CONSOLE_DEVICE_READY, 1);
    close(move(world));
    expect_owed(world, 0, CONSOLE_PORT_ADD, 1, "");
    expect_owed(world, 1, CONSOLE_PORT_ADD, 1, "");
    control(world, 1, CONSOLE_PORT_READY, 1);
    expect_owed(world, 1, CONSOLE_PORT_NAME, 1, "talk");
    expect_owed(world, 1, CONSOLE_PORT_OPEN, 0, ""); /* the peer was the old process's */
    close(peer);
    control(world, 1, CONSOLE_PORT_OPEN, 1);
    offer_buffer(world, 4);
    peer = unix_connect(world->path);
    assert_true(peer >= 0);
    expect_owed(world, 1, CONSOLE_PORT_OPEN, 1, "");
    close(move(world));
    close(peer);
    /* Now it hears that nobody is there, and of the next one, to whom it listens still. */
    expect_owed(world, 1, CONSOLE_PORT_OPEN, 0, "");
    peer = unix_connect(world->path);
    assert_true(peer >= 0);
    say(peer, "hello");
    expect_owed(world, 1, CONSOLE_PORT_OPEN, 1, "");
    assert_receives(world, 4, "hello");
    assert_receives_nothing(world, CONSOLE_CONTROL_RX);
    close(peer);
}

/* The new terminal has another size: the driver hears of that, by the loop. */
static void test_another_size_is_told(void **state)
{
    struct world *world = *state;
    struct winsize size = { .ws_row = 33, .ws_col = 77 };
    struct console_options options = { .input_fd = -1, .log = &world->fixture.log };
    int masters[2];
    struct error error = ERROR_INIT;
    struct console_config config;
    struct saved saved;

    for (int i = 0; i < 2; i++) {
        masters[i] = options.output_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(masters[i] >= 0);
        assert_int_equal(ioctl(masters[i], TIOCSWINSZ, &size), 0);
        size.ws_col++;
        console_destroy(world->console);
        assert_int_equal(console_create(&world->console, &options, &error), 0);
        world->fixture.env.console = world->console;
        if (i == 0) {
            fake_driver_create(&world->driver, &world->fixture, &virtio_console_class, NULL);
            fake_driver_start(&world->driver, CONSOLE_F_SIZE, 2);
            device_save(world->driver.device, &saved);
            fake_driver_destroy(&world->driver);
        }
    }
    fake_driver_make(&world->driver, &virtio_console_class, NULL);
    assert_int_equal(device_load(world->driver.device, &saved, &error), 0);
    fake_driver_interrupts(&world->driver);
    fake_driver_run(&world->driver);
    assert_int_equal(fake_driver_interrupts(&world->driver) > 0, 1);
    fake_driver_config(&world->driver, 0, &config, sizeof(config));
    assert_int_equal(config.columns, 78);
    saved_release(&saved);
    /* None at all: what the driver knows stays. */
    device_save(world->driver.device, &saved);
    fake_driver_destroy(&world->driver);
    console_destroy(world->console);
    close(world->terminal);
    open_terminal(world);
    fake_driver_make(&world->driver, &virtio_console_class, NULL);
    assert_int_equal(device_load(world->driver.device, &saved, &error), 0);
    fake_driver_config(&world->driver, 0, &config, sizeof(config));
    assert_int_equal(config.columns, 78);
    saved_release(&saved);
    for (int i = 0; i < 2; i++)
        close(masters[i]);
}

static void test_ports_of_another_name_are_refused(void **state)
{
    struct world *world = *state;
    struct error error = ERROR_INIT;
    struct saved saved;
    char option[128];

    start_port(world);
    device_save(world->driver.device, &saved);
    fake_driver_destroy(&world->driver);
    device_options_release(world->options);
    world->options = NULL;
    snprintf(option, sizeof(option), "tell=unix:%s", world->path);
    add_port(world, option);
    fake_driver_make(&world->driver, &virtio_console_class, world->options);
    assert_int_equal(device_load(world->driver.device, &saved, &error), -EINVAL);
    assert_non_null(strstr(error.message, "the name of a port"));
    saved_release(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_console_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_output_amid_a_chain_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_owed_about_ports_comes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_size_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ports_of_another_name_are_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
