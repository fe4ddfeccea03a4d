/* SPDX-License-Identifier: Apache-2.0 */
/* The console device without ports: the terminal alone. */
#include "tests/support/console_bench.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/virtio/console.h"

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
        virtio_console_class.refresh(virtio_device_of(world->driver.device));
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
