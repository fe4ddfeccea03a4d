/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: the saved VM keeps its connections, the loaded one is told that it has none. */
#include "tests/support/fake_driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/unix_listener.h"
#include "devices/virtio/vsock.h"
#include "tests/support/saved.h"
#include "tests/support/test_tool.h"

#define CID 7u
#define GUEST_PORT 1234u
#define HOST_PORT 77u
#define BUFFER_SIZE 4096u
#define PAYLOAD 0x1000u

struct world {
    struct fixture fixture;
    struct fake_driver driver;
    struct test_directory directory;
    struct vsock_options options;
    struct unix_listener listener; /* at PATH_77 */
    char path[96];
    struct vsock_header packet; /* the last */
    uint8_t payload[BUFFER_SIZE];
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct error error = ERROR_INIT;
    char path[128];

    fixture_init(&world->fixture);
    test_directory_create(&world->directory);
    snprintf(world->path, sizeof(world->path), "%s/s", world->directory.path);
    snprintf(path, sizeof(path), "%s_%u", world->path, HOST_PORT);
    world->options = (struct vsock_options){ .cid = CID, .path = world->path, .handoff = -1 };
    assert_int_equal(unix_listener_open(&world->listener, "vsock", path, &error), 0);
    fake_driver_create(&world->driver, &world->fixture, &virtio_vsock_class, &world->options);
    fake_driver_start(&world->driver, VSOCK_F_STREAM, VSOCK_QUEUES);
    for (unsigned int i = 0; i < 8; i++)
        fake_driver_add(&world->driver, VSOCK_RX, FAKE_DIRECT, 1, (struct fake_buffer[]){
            { fake_alloc(&world->driver, BUFFER_SIZE, 16), BUFFER_SIZE, true } });
    fake_driver_add(&world->driver, VSOCK_EVENT, FAKE_DIRECT, 1,
                    (struct fake_buffer[]){ { 0x700, 4, true } });
    fake_driver_kick(&world->driver, VSOCK_RX);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    fake_driver_destroy(&world->driver);
    unix_listener_close(&world->listener);
    test_directory_remove(&world->directory);
    fixture_release(&world->fixture);
    free(world);
    return 0;
}

static bool next_packet(struct world *world)
{
    struct virtq_used_element used;
    struct fake_buffer buffer = { .length = BUFFER_SIZE, .writable = true };

    fake_driver_run(&world->driver);
    if (!fake_driver_used(&world->driver, VSOCK_RX, &used))
        return false;
    buffer.address = fake_descriptor(&world->driver, VSOCK_RX, (uint16_t)used.id)->address;
    memcpy(world->payload, fake_memory(&world->driver, buffer.address, BUFFER_SIZE), BUFFER_SIZE);
    memcpy(&world->packet, world->payload, sizeof(world->packet));
    fake_driver_send(&world->driver, VSOCK_RX, FAKE_DIRECT, 1, &buffer);
    return true;
}

static void expect(struct world *world, uint16_t op)
{
    assert_true(next_packet(world));
    assert_int_equal(world->packet.op, op);
}

static void send_packet(struct world *world, uint64_t cid, uint16_t op, const char *bytes)
{
    struct vsock_header header = {
        .source_cid = cid, .destination_cid = VSOCK_CID_HOST, .source_port = GUEST_PORT,
        .destination_port = HOST_PORT, .type = VSOCK_TYPE_STREAM, .op = op, .buf_alloc = 1 << 20,
        .length = (uint32_t)strlen(bytes),
    };
    struct fake_buffer buffers[2] = { { 0x800, sizeof(header) }, { PAYLOAD, header.length } };
    struct virtq_used_element used;

    memcpy(fake_memory(&world->driver, 0x800, sizeof(header)), &header, sizeof(header));
    memcpy(fake_memory(&world->driver, PAYLOAD, 64), bytes, header.length);
    fake_driver_send(&world->driver, VSOCK_TX, FAKE_DIRECT, header.length ? 2 : 1, buffers);
    assert_true(fake_driver_used(&world->driver, VSOCK_TX, &used));
}

static int connect_from_guest(struct world *world, uint64_t cid)
{
    int fd;

    send_packet(world, cid, VSOCK_OP_REQUEST, "");
    expect(world, VSOCK_OP_RESPONSE);
    fd = unix_listener_accept(&world->listener);
    assert_true(fd >= 0);
    return fd;
}

static void assert_hears(struct world *world, int fd, const char *text)
{
    char bytes[64];

    fake_driver_run(&world->driver);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void test_the_saved_one_keeps_its_connections(void **state)
{
    struct world *world = *state;
    int fd = connect_from_guest(world, CID);
    struct saved saved, again;

    send_packet(world, CID, VSOCK_OP_RW, "one");
    device_save(world->driver.device, &saved);
    device_save(world->driver.device, &again);
    assert_true(saved_equal(&saved, &again));
    assert_hears(world, fd, "one");
    send_packet(world, CID, VSOCK_OP_RW, "two");
    assert_hears(world, fd, "two");
    assert_int_equal(send(fd, "three", 5, 0), 5);
    expect(world, VSOCK_OP_RW);
    assert_memory_equal(world->payload + sizeof(world->packet), "three", 5);
    assert_int_equal(fake_used_index(&world->driver, VSOCK_EVENT), 0);
    saved_release(&saved);
    saved_release(&again);
    close(fd);
}

static void test_the_loaded_one_is_told_that_it_has_none(void **state)
{
    struct world *world = *state;
    int fd = connect_from_guest(world, CID), other;
    struct virtq_used_element used;
    char byte;

    world->options.cid = 9;
    fake_driver_move(&world->driver, &virtio_vsock_class, &world->options);
    assert_int_equal(fake_used_index(&world->driver, VSOCK_EVENT), 0);
    fake_driver_interrupts(&world->driver);
    fake_driver_run(&world->driver);
    assert_true(fake_driver_used(&world->driver, VSOCK_EVENT, &used));
    assert_int_equal(used.length, 4);
    assert_int_equal(*(uint32_t *)fake_memory(&world->driver, 0x700, 4), 0);
    assert_int_equal(fake_driver_interrupts(&world->driver), 1);
    fake_driver_config(&world->driver, 0, &byte, 1);
    assert_int_equal(byte, 9);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    /* A packet of the past is refused; new connections come about in both directions. */
    send_packet(world, 9, VSOCK_OP_RW, "late");
    expect(world, VSOCK_OP_RST);
    other = connect_from_guest(world, 9);
    send_packet(world, 9, VSOCK_OP_RW, "new");
    assert_hears(world, other, "new");
    close(fd);
    fd = unix_connect(world->path);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "CONNECT 5\n", 10, 0), 10);
    expect(world, VSOCK_OP_REQUEST);
    assert_int_equal(world->packet.destination_port, 5);
    assert_int_equal(world->packet.destination_cid, 9);
    close(fd);
    close(other);
}

/* It offers no buffer for that yet: it is told when it does, and once. */
static void test_the_loaded_one_is_told_late(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffer = { 0x700, 4, true };
    struct virtq_used_element used;

    fake_driver_move(&world->driver, &virtio_vsock_class, &world->options);
    fake_driver_run(&world->driver);
    assert_true(fake_driver_used(&world->driver, VSOCK_EVENT, &used));
    fake_driver_move(&world->driver, &virtio_vsock_class, &world->options);
    fake_driver_run(&world->driver);
    assert_false(fake_driver_used(&world->driver, VSOCK_EVENT, &used));
    memset(fake_memory(&world->driver, 0x700, 4), 0xff, 4);
    fake_driver_send(&world->driver, VSOCK_EVENT, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_used(&world->driver, VSOCK_EVENT, &used));
    assert_int_equal(used.length, 4);
    assert_int_equal(*(uint32_t *)fake_memory(&world->driver, 0x700, 4), 0);
    fake_driver_send(&world->driver, VSOCK_EVENT, FAKE_DIRECT, 1, &buffer);
    assert_false(fake_driver_used(&world->driver, VSOCK_EVENT, &used));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_saved_one_keeps_its_connections, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_loaded_one_is_told_that_it_has_none, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_loaded_one_is_told_late, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
