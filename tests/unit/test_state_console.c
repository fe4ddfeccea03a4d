/* SPDX-License-Identifier: Apache-2.0 */
/* The console device and its ports, moved from one process's terminal to another's. */
#include "tests/support/fake_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/backend/unix_listener.h"
#include "devices/virtio/console_port.h"
#include "tests/support/saved.h"
#include "tests/support/test_tool.h"

#define BUFFER 0x1000u /* guest memory below the rings */
#define BUFFER_SIZE 256u

/* The terminal is a socket pair, whose other end is TERMINAL. */
struct world {
    struct fixture fixture;
    struct fake_driver driver;
    struct test_directory directory;
    void *options;
    struct console *console;
    int terminal;
    char path[80]; /* of port 1 */
};

static void open_terminal(struct world *world)
{
    world->terminal = fixture_terminal(&world->fixture);
    world->console = world->fixture.env.console;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    fixture_init(&world->fixture);
    test_directory_create(&world->directory);
    snprintf(world->path, sizeof(world->path), "%s/s", world->directory.path);
    open_terminal(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    fake_driver_destroy(&world->driver);
    console_destroy(world->console);
    virtio_console_release(world->options);
    close(world->terminal);
    test_directory_remove(&world->directory);
    fixture_release(&world->fixture);
    free(world);
    return 0;
}

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

static void start_ports(struct world *world)
{
    struct error error = ERROR_INIT;
    char option[128];

    snprintf(option, sizeof(option), "talk=unix:%s", world->path);
    assert_int_equal(virtio_console_parse(option, &world->options, &error), 0);
    fake_driver_create(&world->driver, &world->fixture, &virtio_console_class, world->options);
    fake_driver_start(&world->driver, CONSOLE_F_MULTIPORT, 6);
}

static void send_text(struct world *world, unsigned int queue, const char *text)
{
    struct fake_buffer buffer = { BUFFER, (uint32_t)strlen(text), false };

    memcpy(fake_memory(&world->driver, BUFFER, buffer.length), text, buffer.length);
    fake_driver_send(&world->driver, queue, FAKE_DIRECT, 1, &buffer);
}

static void offer_buffer(struct world *world, unsigned int queue)
{
    struct fake_buffer buffer = { fake_alloc(&world->driver, BUFFER_SIZE, 16), BUFFER_SIZE, true };

    fake_driver_send(&world->driver, queue, FAKE_DIRECT, 1, &buffer);
}

/* What the device put into a buffer of QUEUE. */
static size_t receive(struct world *world, unsigned int queue, void *bytes)
{
    struct virtq_used_element used;
    uint64_t address;

    run_loop_for(world->fixture.env.loop, 5);
    fake_driver_run(&world->driver);
    if (!fake_driver_used(&world->driver, queue, &used))
        return 0;
    address = fake_descriptor(&world->driver, queue, (uint16_t)used.id)->address;
    memcpy(bytes, fake_memory(&world->driver, address, BUFFER_SIZE), BUFFER_SIZE);
    return used.length;
}

static void expect_text(struct world *world, unsigned int queue, const char *text)
{
    char bytes[BUFFER_SIZE];

    assert_int_equal(receive(world, queue, bytes), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void assert_hears(struct world *world, int fd, const char *text)
{
    char bytes[BUFFER_SIZE];

    run_loop_for(world->fixture.env.loop, 5);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void test_a_console_goes_on(void **state)
{
    struct world *world = *state;
    int old;

    fake_driver_create(&world->driver, &world->fixture, &virtio_console_class, NULL);
    fake_driver_start(&world->driver, 0, 2);
    send_text(world, 1, "before");
    assert_hears(world, world->terminal, "before");
    offer_buffer(world, 0);
    old = move(world);
    send_text(world, 1, "after");
    assert_hears(world, world->terminal, "after");
    say(world->terminal, "typed");
    expect_text(world, 0, "typed");
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

    fake_driver_create(&world->driver, &world->fixture, &virtio_console_class, NULL);
    fake_driver_start(&world->driver, 0, 2);
    text = fake_memory(&world->driver, buffer.address, buffer.length);
    for (size_t i = 0; i < buffer.length; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
    /* More than terminal and ring take. */
    for (unsigned int i = 0; i < 4; i++)
        fake_driver_add(&world->driver, 1, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&world->driver, 1);
    run_loop_for(world->fixture.env.loop, 20);
    assert_true(fake_used_index(&world->driver, 1) < 4);
    assert_true(((struct virtio_console *)virtio_mmio_device(world->driver.device))
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
        console = (struct virtio_console *)virtio_mmio_device(world->driver.device);
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

static void control(struct world *world, uint32_t port, uint16_t event, uint16_t value)
{
    struct console_control message = { .port = port, .event = event, .value = value };
    struct fake_buffer buffer = { 0x800, sizeof(message), false };
    struct virtq_used_element used;

    memcpy(fake_memory(&world->driver, 0x800, sizeof(message)), &message, sizeof(message));
    fake_driver_send(&world->driver, CONSOLE_CONTROL_TX, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_used(&world->driver, CONSOLE_CONTROL_TX, &used));
}

static void expect_control(struct world *world, uint32_t port, uint16_t event, uint16_t value)
{
    struct console_control message;
    uint8_t bytes[BUFFER_SIZE];

    assert_true(receive(world, CONSOLE_CONTROL_RX, bytes) >= sizeof(message));
    memcpy(&message, bytes, sizeof(message));
    assert_int_equal(message.port, port);
    assert_int_equal(message.event, event);
    assert_int_equal(message.value, value);
}

/* Messages that the driver had no buffer for come when it has; and a port's end may differ. */
static void test_what_is_owed_about_ports_comes(void **state)
{
    struct world *world = *state;
    char bytes[BUFFER_SIZE];
    int peer;

    start_ports(world);
    peer = unix_connect(world->path);
    assert_true(peer >= 0);
    run_loop_for(world->fixture.env.loop, 5);
    control(world, 0, CONSOLE_DEVICE_READY, 1);
    close(move(world));
    offer_buffer(world, CONSOLE_CONTROL_RX);
    expect_control(world, 0, CONSOLE_PORT_ADD, 1);
    offer_buffer(world, CONSOLE_CONTROL_RX);
    expect_control(world, 1, CONSOLE_PORT_ADD, 1);
    control(world, 1, CONSOLE_PORT_READY, 1);
    offer_buffer(world, CONSOLE_CONTROL_RX);
    expect_control(world, 1, CONSOLE_PORT_NAME, 1);
    offer_buffer(world, CONSOLE_CONTROL_RX);
    expect_control(world, 1, CONSOLE_PORT_OPEN, 0); /* the peer was the old process's */
    close(peer);
    control(world, 1, CONSOLE_PORT_OPEN, 1);
    offer_buffer(world, 4);
    peer = unix_connect(world->path);
    assert_true(peer >= 0);
    offer_buffer(world, CONSOLE_CONTROL_RX);
    expect_control(world, 1, CONSOLE_PORT_OPEN, 1);
    close(move(world));
    close(peer);
    /* Now it hears that nobody is there, and of the next one, to whom it listens still. */
    offer_buffer(world, CONSOLE_CONTROL_RX);
    expect_control(world, 1, CONSOLE_PORT_OPEN, 0);
    peer = unix_connect(world->path);
    assert_true(peer >= 0);
    say(peer, "hello");
    offer_buffer(world, CONSOLE_CONTROL_RX);
    expect_control(world, 1, CONSOLE_PORT_OPEN, 1);
    expect_text(world, 4, "hello");
    assert_int_equal(receive(world, CONSOLE_CONTROL_RX, bytes), 0);
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

    start_ports(world);
    device_save(world->driver.device, &saved);
    fake_driver_destroy(&world->driver);
    virtio_console_release(world->options);
    world->options = NULL;
    snprintf(option, sizeof(option), "tell=unix:%s", world->path);
    assert_int_equal(virtio_console_parse(option, &world->options, &error), 0);
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
