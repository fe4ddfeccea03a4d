/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONSOLE_BENCH_H
#define MOTE_CONSOLE_BENCH_H

/* The console device under test: its terminal, three ports, and a driver that speaks for the
 * guest. */

#include "tests/support/device_options.h"
#include "tests/support/fake_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/virtio/console.h"
#include "tests/support/test_tool.h"

#define BUFFER 0x1000u /* guest memory below the rings */
#define BUFFER_SIZE 256u

/* The terminal is a socket pair; ports 1 to 3 are a unix socket, a file and a descriptor. */
struct world {
    struct fixture fixture;
    struct fake_driver driver;
    struct test_directory directory;
    void *options;
    struct console *console;
    int terminal; /* our end */
    int given;    /* our end of port 3's */
    char path[80]; /* of port 1 */
    char file[80]; /* of port 2 */
};

static inline void open_terminal(struct world *world)
{
    world->terminal = fixture_terminal(&world->fixture);
    world->console = world->fixture.env.console;
}

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    fixture_init(&world->fixture);
    test_directory_create(&world->directory);
    snprintf(world->path, sizeof(world->path), "%s/s", world->directory.path);
    snprintf(world->file, sizeof(world->file), "%s/log", world->directory.path);
    open_terminal(world);
    world->given = -1;
    *state = world;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;

    fake_driver_destroy(&world->driver);
    console_destroy(world->console);
    device_options_release(world->options);
    close(world->terminal);
    if (world->given >= 0)
        close(world->given);
    test_directory_remove(&world->directory);
    fixture_release(&world->fixture);
    free(world);
    return 0;
}

static inline void add_port(struct world *world, const char *option)
{
    struct error error = ERROR_INIT;

    if (device_options_parse("port", option, &world->options, &error) < 0)
        fail_msg("%s", error.message);
}

/* The terminal alone. */
static inline void start_plain(struct world *world)
{
    fake_driver_create(&world->driver, &world->fixture, &virtio_console_class, NULL);
    fake_driver_start(&world->driver, 0, 2);
}

static inline void create_ports(struct world *world)
{
    char option[128];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    world->given = pair[0];
    snprintf(option, sizeof(option), "talk=unix:%s", world->path);
    add_port(world, option);
    snprintf(option, sizeof(option), "log=file:%s", world->file);
    add_port(world, option);
    snprintf(option, sizeof(option), "given=fd:%d", pair[1]);
    add_port(world, option);
    fake_driver_create(&world->driver, &world->fixture, &virtio_console_class, world->options);
    close(pair[1]);
}

static inline void start_ports(struct world *world)
{
    create_ports(world);
    fake_driver_start(&world->driver, CONSOLE_F_MULTIPORT, 10);
}

static inline void send_text(struct world *world, unsigned int queue, const char *text)
{
    struct fake_buffer buffer = { BUFFER, (uint32_t)strlen(text), false };

    memcpy(fake_memory(&world->driver, BUFFER, buffer.length), text, buffer.length);
    fake_driver_send(&world->driver, queue, FAKE_DIRECT, 1, &buffer);
}

static inline void offer_buffer(struct world *world, unsigned int queue)
{
    struct fake_buffer buffer = { fake_alloc(&world->driver, BUFFER_SIZE, 16), BUFFER_SIZE, true };

    fake_driver_send(&world->driver, queue, FAKE_DIRECT, 1, &buffer);
}

/* What the device put into a buffer of QUEUE, and that buffer. */
static inline size_t take(struct world *world, unsigned int queue, void *bytes,
                          struct fake_buffer *buffer)
{
    struct virtq_used_element used;

    fake_driver_run(&world->driver);
    if (!fake_driver_used(&world->driver, queue, &used))
        return 0;
    *buffer = (struct fake_buffer){
        fake_descriptor(&world->driver, queue, (uint16_t)used.id)->address, BUFFER_SIZE, true
    };
    memcpy(bytes, fake_memory(&world->driver, buffer->address, BUFFER_SIZE), BUFFER_SIZE);
    return used.length;
}

/* The buffer is offered again. */
static inline size_t receive(struct world *world, unsigned int queue, void *bytes)
{
    struct fake_buffer buffer;
    size_t length = take(world, queue, bytes, &buffer);

    if (length > 0)
        fake_driver_send(&world->driver, queue, FAKE_DIRECT, 1, &buffer);
    return length;
}

static inline void assert_receives(struct world *world, unsigned int queue, const char *text)
{
    char bytes[BUFFER_SIZE];

    assert_int_equal(receive(world, queue, bytes), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static inline void assert_receives_nothing(struct world *world, unsigned int queue)
{
    char bytes[BUFFER_SIZE];

    assert_int_equal(receive(world, queue, bytes), 0);
}

static inline void assert_hears(struct world *world, int fd, const char *text)
{
    char bytes[BUFFER_SIZE];

    run_loop_for(world->fixture.env.loop, 5);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void control(struct world *world, uint32_t port, uint16_t event, uint16_t value)
{
    struct console_control message = { .port = port, .event = event, .value = value };
    struct fake_buffer buffer = { 0x800, sizeof(message), false };
    struct virtq_used_element used;

    memcpy(fake_memory(&world->driver, 0x800, sizeof(message)), &message, sizeof(message));
    fake_driver_send(&world->driver, CONSOLE_CONTROL_TX, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_used(&world->driver, CONSOLE_CONTROL_TX, &used));
}

/* LENGTH bytes must be this control message; what follows it stands in REST. */
static inline void assert_control(const uint8_t *bytes, size_t length, uint32_t port,
                                  uint16_t event, uint16_t value, const char *rest)
{
    struct console_control message;

    assert_int_equal(length, sizeof(message) + strlen(rest));
    memcpy(&message, bytes, sizeof(message));
    assert_int_equal(message.port, port);
    assert_int_equal(message.event, event);
    assert_int_equal(message.value, value);
    assert_memory_equal(bytes + sizeof(message), rest, strlen(rest));
}

/* The next control message must be this one. */
static inline void expect_control(struct world *world, uint32_t port, uint16_t event,
                                  uint16_t value, const char *rest)
{
    uint8_t bytes[BUFFER_SIZE];
    size_t length = receive(world, CONSOLE_CONTROL_RX, bytes);

    assert_control(bytes, length, port, event, value, rest);
}

static inline void assert_idle(struct world *world)
{
    struct timespec before, after;
    long spent;

    fake_driver_run(&world->driver);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    run_loop_for(world->fixture.env.loop, 100);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    spent = (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
    assert_in_range(spent, 0, 30000);
}

#endif
