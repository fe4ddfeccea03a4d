/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/backend/unix_listener.h"
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

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    fixture_init(&world->fixture);
    test_directory_create(&world->directory);
    snprintf(world->path, sizeof(world->path), "%s/s", world->directory.path);
    snprintf(world->file, sizeof(world->file), "%s/log", world->directory.path);
    world->terminal = fixture_terminal(&world->fixture);
    world->console = world->fixture.env.console;
    world->given = -1;
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
    if (world->given >= 0)
        close(world->given);
    test_directory_remove(&world->directory);
    fixture_release(&world->fixture);
    free(world);
    return 0;
}

static void add_port(struct world *world, const char *option)
{
    struct error error = ERROR_INIT;

    if (virtio_console_parse(option, &world->options, &error) < 0)
        fail_msg("%s", error.message);
}

/* The terminal alone. */
static void start_plain(struct world *world)
{
    fake_driver_create(&world->driver, &world->fixture, &virtio_console_class, NULL);
    fake_driver_start(&world->driver, 0, 2);
}

static void create_ports(struct world *world)
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

static void start_ports(struct world *world)
{
    create_ports(world);
    fake_driver_start(&world->driver, CONSOLE_F_MULTIPORT, 10);
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

/* What the device put into a buffer of QUEUE, which is offered again. */
static size_t receive(struct world *world, unsigned int queue, void *bytes)
{
    struct virtq_used_element used;
    struct fake_buffer buffer = { .length = BUFFER_SIZE, .writable = true };

    fake_driver_run(&world->driver);
    if (!fake_driver_used(&world->driver, queue, &used))
        return 0;
    buffer.address = fake_descriptor(&world->driver, queue, (uint16_t)used.id)->address;
    memcpy(bytes, fake_memory(&world->driver, buffer.address, BUFFER_SIZE), BUFFER_SIZE);
    fake_driver_send(&world->driver, queue, FAKE_DIRECT, 1, &buffer);
    return used.length;
}

static void assert_receives(struct world *world, unsigned int queue, const char *text)
{
    char bytes[BUFFER_SIZE];

    assert_int_equal(receive(world, queue, bytes), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void assert_receives_nothing(struct world *world, unsigned int queue)
{
    char bytes[BUFFER_SIZE];

    assert_int_equal(receive(world, queue, bytes), 0);
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

static void control(struct world *world, uint32_t port, uint16_t event, uint16_t value)
{
    struct console_control message = { .port = port, .event = event, .value = value };
    struct fake_buffer buffer = { 0x800, sizeof(message), false };
    struct virtq_used_element used;

    memcpy(fake_memory(&world->driver, 0x800, sizeof(message)), &message, sizeof(message));
    fake_driver_send(&world->driver, CONSOLE_CONTROL_TX, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_used(&world->driver, CONSOLE_CONTROL_TX, &used));
}

/* The next control message must be this one; what follows it stands in REST. */
static void expect_control(struct world *world, uint32_t port, uint16_t event, uint16_t value,
                           const char *rest)
{
    struct console_control message;
    uint8_t bytes[BUFFER_SIZE];
    size_t length = receive(world, CONSOLE_CONTROL_RX, bytes);

    assert_int_equal(length, sizeof(message) + strlen(rest));
    memcpy(&message, bytes, sizeof(message));
    assert_int_equal(message.port, port);
    assert_int_equal(message.event, event);
    assert_int_equal(message.value, value);
    assert_memory_equal(bytes + sizeof(message), rest, strlen(rest));
}

static void assert_idle(struct world *world)
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

/* ---- the terminal --------------------------------------------------------- */

static void test_plain_console(void **state)
{
    struct world *world = *state;

    start_plain(world);
    send_text(world, 1, "hello");
    assert_hears(world, world->terminal, "hello");
    say(world->terminal, "typed");
    run_loop_for(world->fixture.env.loop, 5);
    offer_buffer(world, 0);
    assert_receives(world, 0, "typed");
    assert_receives_nothing(world, 0);
    say(world->terminal, "more");
    run_loop_for(world->fixture.env.loop, 5);
    assert_receives(world, 0, "more");
}

/* Nobody reads: the guest's buffers are kept, and given back when somebody does. */
static void test_output_waits_for_its_reader(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffer = { BUFFER, 16384, false };
    static char bytes[1 << 20];
    size_t got = 0;

    start_plain(world);
    for (unsigned int i = 0; i < 50; i++)
        fake_driver_add(&world->driver, 1, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&world->driver, 1);
    run_loop_for(world->fixture.env.loop, 20);
    assert_in_range(fake_used_index(&world->driver, 1), 4, 40);
    assert_idle(world);
    for (unsigned int i = 0; i < 500 && got < 50 * 16384; i++) {
        ssize_t length = recv(world->terminal, bytes, sizeof(bytes), MSG_DONTWAIT);

        got += length > 0 ? (size_t)length : 0;
        run_loop_for(world->fixture.env.loop, 2);
    }
    assert_int_equal(got, 50 * 16384);
    assert_int_equal(fake_used_index(&world->driver, 1), 50);
}

/* A hundred megabytes, to a reader that takes them: memory stays as it was. */
static void test_flood_leaves_memory_flat(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffer = { 0, 0x80000, false };
    struct virtq_used_element used;
    struct rusage before, after;
    static char bytes[1 << 20];
    uint64_t got = 0, wanted = 100ull << 20;
    unsigned int queued = 0;

    start_plain(world);
    getrusage(RUSAGE_SELF, &before);
    while (got < wanted) {
        ssize_t length = recv(world->terminal, bytes, sizeof(bytes), MSG_DONTWAIT);

        got += length > 0 ? (uint64_t)length : 0;
        while (fake_driver_used(&world->driver, 1, &used))
            queued--;
        for (; queued < 32; queued++)
            fake_driver_add(&world->driver, 1, FAKE_DIRECT, 1, &buffer);
        fake_driver_kick(&world->driver, 1);
        run_loop_for(world->fixture.env.loop, 0);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 8192); /* KiB */
}

static void test_reset_with_output_held(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffer = { BUFFER, 16384, false };
    static char bytes[1 << 20];

    start_plain(world);
    for (unsigned int i = 0; i < 50; i++)
        fake_driver_add(&world->driver, 1, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&world->driver, 1);
    run_loop_for(world->fixture.env.loop, 20);
    fake_driver_start(&world->driver, 0, 2);
    memset(fake_memory(&world->driver, BUFFER, 16384), 'Z', 16384); /* no buffer any more */
    for (unsigned int i = 0; i < 100; i++) {
        ssize_t length = recv(world->terminal, bytes, sizeof(bytes), MSG_DONTWAIT);

        assert_true(length <= 0 || !memchr(bytes, 'Z', (size_t)length));
        run_loop_for(world->fixture.env.loop, 2);
    }
    assert_int_equal(fake_used_index(&world->driver, 1), 0);
    send_text(world, 1, "anew");
    assert_hears(world, world->terminal, "anew");
}

static void test_odd_chains(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffers[3] = { { BUFFER, 0, false }, { BUFFER, 3, false },
                                      { BUFFER + 8, 2, true } };
    struct virtq_used_element used;

    start_plain(world);
    memcpy(fake_memory(&world->driver, BUFFER, 3), "abc", 3);
    fake_driver_send(&world->driver, 1, FAKE_DIRECT, 3, buffers);
    assert_hears(world, world->terminal, "abc");
    assert_true(fake_driver_used(&world->driver, 1, &used));
    assert_int_equal(used.length, 0);
    /* Nothing to read into: passed over, input kept. */
    say(world->terminal, "x");
    run_loop_for(world->fixture.env.loop, 5);
    fake_driver_send(&world->driver, 0, FAKE_DIRECT, 2, buffers);
    assert_true(fake_driver_used(&world->driver, 0, &used));
    assert_int_equal(used.length, 0);
    offer_buffer(world, 0);
    assert_receives(world, 0, "x");
}

static void test_a_loop_needs_reset(void **state)
{
    struct world *world = *state;

    start_plain(world);
    *fake_descriptor(&world->driver, 1, 0) = (struct virtq_desc){
        .address = BUFFER, .length = 1, .flags = VIRTQ_DESC_F_NEXT, .next = 0,
    };
    fake_offer(&world->driver, 1, 0);
    fake_driver_kick(&world->driver, 1);
    assert_true(fake_driver_needs_reset(&world->driver));
}

/* Without MULTIPORT the size stands in the configuration space. */
static void test_resize(void **state)
{
    struct world *world = *state;
    struct winsize size = { .ws_row = 33, .ws_col = 77 };
    struct console_options options = { .input_fd = -1, .log = &world->fixture.log };
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct error error = ERROR_INIT;
    struct console_config config;
    struct virtq_used_element used;
    uint32_t reminders = 0, status;

    assert_true(master >= 0);
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    console_destroy(world->console);
    options.output_fd = master;
    assert_int_equal(console_create(&world->console, &options, &error), 0);
    world->fixture.env.console = world->console;
    fake_driver_create(&world->driver, &world->fixture, &virtio_console_class, NULL);
    fake_driver_start(&world->driver, CONSOLE_F_SIZE, 2);
    fake_driver_config(&world->driver, 0, &config, sizeof(config));
    assert_int_equal(config.columns, 77);
    assert_int_equal(config.rows, 33);
    fake_driver_interrupts(&world->driver);
    size.ws_row = 44;
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    for (unsigned int i = 0; i < 2; i++) { /* one interrupt for one change */
        pthread_mutex_lock(&world->driver.device->lock);
        virtio_console_class.refresh(virtio_mmio_device(world->driver.device));
        pthread_mutex_unlock(&world->driver.device->lock);
    }
    assert_int_equal(fake_driver_interrupts(&world->driver), 1);
    fake_driver_config(&world->driver, 0, &config, sizeof(config));
    assert_int_equal(config.rows, 44);
    /* Linux may have missed it while it booted: its first outputs bring it up again, not all. */
    for (unsigned int i = 0; i < 400; i++) {
        send_text(world, 1, "x");
        status = fake_driver_read(&world->driver, VIRTIO_MMIO_INTERRUPT_STATUS);
        fake_driver_write(&world->driver, VIRTIO_MMIO_INTERRUPT_ACK, status);
        reminders += status >> 1 & 1; /* the configuration changed */
        assert_true(i >= 10 || reminders == i + 1);
        while (fake_driver_used(&world->driver, 1, &used))
            ;
    }
    assert_in_range(reminders, 10, 399);
    close(master);
}

/* ---- ports ---------------------------------------------------------------- */

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

/* ---- options -------------------------------------------------------------- */

static void assert_refused(void *options, const char *text, const char *reason,
                           const char *remedy)
{
    struct error error = ERROR_INIT;
    void *before = options;

    assert_true(virtio_console_parse(text, &options, &error) < 0);
    assert_ptr_equal(options, before);
    if (!strstr(error.message, reason) || !strstr(error.message, remedy))
        fail_msg("%s: %s", text, error.message);
}

static void test_options(void **state)
{
    struct virtio_console_options *ports;
    struct error error = ERROR_INIT;
    void *options = NULL;
    char text[256];

    (void)state;
    assert_refused(NULL, "", "name is missing", "give --port NAME=");
    assert_refused(NULL, "file:/x", "name is missing", "give --port NAME=");
    assert_refused(NULL, "a=", "names nothing", "fd:N");
    assert_refused(NULL, "a=/x", "names nothing", "unix:PATH");
    assert_refused(NULL, "a=file:", "names nothing", "file:PATH");
    assert_refused(NULL, "a=tcp:1", "is unknown", "file:PATH");
    assert_refused(NULL, "a b=file:/x", "does not do", "letters");
    assert_refused(NULL, "=file:/x", "name is missing", "NAME=");
    assert_refused(NULL, "a=fd:2", "out of range", "from 3");
    assert_refused(NULL, "a=fd:x", "out of range", "from 3");
    assert_refused(NULL, "a=fd:99999", "is not open", "open it");
    assert_refused(NULL, "a=file:/x,ro", "'ro' is unknown", "man mote");
    snprintf(text, sizeof(text), "a=unix:/%0*d", 108, 0);
    assert_refused(NULL, text, "longer than 107", "shorter");
    snprintf(text, sizeof(text), "%0*d=file:/x", 65, 0);
    assert_refused(NULL, text, "does not do", "1 to 64");
    for (unsigned int i = 0; i < CONSOLE_PORTS_MAX - 1; i++) {
        snprintf(text, sizeof(text), "org.example.%u=file:/tmp/a,,b=%u", i, i);
        assert_int_equal(virtio_console_parse(text, &options, &error), 0);
    }
    ports = options;
    assert_int_equal(ports->count, CONSOLE_PORTS_MAX - 1);
    assert_string_equal(ports->ports[1].name, "org.example.1");
    assert_string_equal(ports->ports[1].host.path, "/tmp/a,b=1");
    assert_refused(options, "more=file:/x", "over 30 ports", "fewer");
    ports->count--;
    free(ports->ports[ports->count].name);
    free(ports->ports[ports->count].host.path);
    assert_refused(options, "org.example.1=file:/x", "given twice", "another name");
    virtio_console_release(options);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_plain_console),
        TEST(test_output_waits_for_its_reader),
        TEST(test_flood_leaves_memory_flat),
        TEST(test_reset_with_output_held),
        TEST(test_odd_chains),
        TEST(test_a_loop_needs_reset),
        TEST(test_resize),
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
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
