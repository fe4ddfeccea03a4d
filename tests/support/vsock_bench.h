/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VSOCK_BENCH_H
#define MOTE_VSOCK_BENCH_H

/* A vsock device under test: a driver that speaks for the guest, and the host's sockets. */

#include "tests/support/fake_driver.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "devices/backend/unix_listener.h"
#include "devices/virtio/vsock.h"
#include "devices/virtio/vsock_connection.h"
#include "tests/support/test_tool.h"

#define CID 7u
#define GUEST_PORT 1234u
#define HOST_PORT 77u
#define BUFFER_SIZE 4096u
#define PAYLOAD 0x1000u /* guest memory below the rings: what a test sends */

/* A device, a driver with buffers, and a folder with the host's sockets. */
struct world {
    struct fixture fixture;
    struct fake_driver driver;
    struct test_directory directory;
    struct vsock_options options;
    struct unix_listener listener; /* at PATH_77 */
    char path[96];
    int supervisor; /* the other end of options.handoff */
    struct vsock_header packet; /* of the last expect() */
    const uint8_t *payload;
};

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct error error = ERROR_INIT;

    fixture_init(&world->fixture);
    test_directory_create(&world->directory);
    snprintf(world->path, sizeof(world->path), "%s/s", world->directory.path);
    world->options = (struct vsock_options){ .cid = CID, .path = world->path, .handoff = -1 };
    fake_driver_create(&world->driver, &world->fixture, &virtio_vsock_class, &world->options);
    snprintf(world->path, sizeof(world->path), "%s/s_%u", world->directory.path, HOST_PORT);
    assert_int_equal(unix_listener_open(&world->listener, "vsock", world->path, &error), 0);
    *strrchr(world->path, '_') = '\0';
    *state = world;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;

    fake_driver_destroy(&world->driver);
    unix_listener_close(&world->listener);
    test_directory_remove(&world->directory);
    fixture_release(&world->fixture);
    free(world);
    return 0;
}

/* Without paths: the guest's connections go over a socket. */
static inline int set_up_handoff(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    int ends[2];

    fixture_init(&world->fixture);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    world->options = (struct vsock_options){ .cid = CID, .handoff = ends[0] };
    world->supervisor = ends[1];
    fake_driver_create(&world->driver, &world->fixture, &virtio_vsock_class, &world->options);
    *state = world;
    return 0;
}

static inline int tear_down_handoff(void **state)
{
    struct world *world = *state;

    fake_driver_destroy(&world->driver);
    close(world->options.handoff);
    if (world->supervisor >= 0)
        close(world->supervisor);
    fixture_release(&world->fixture);
    free(world);
    return 0;
}

static inline void offer_buffers(struct world *world, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        struct fake_buffer buffer = {
            fake_alloc(&world->driver, BUFFER_SIZE, 16), BUFFER_SIZE, true,
        };

        fake_driver_add(&world->driver, VSOCK_RX, FAKE_DIRECT, 1, &buffer);
    }
    fake_driver_kick(&world->driver, VSOCK_RX);
}

static inline void start(struct world *world, unsigned int buffers)
{
    fake_driver_start(&world->driver, VSOCK_F_STREAM, VSOCK_QUEUES);
    if (buffers)
        offer_buffers(world, buffers);
}

/* The next packet from the device, whose buffer is offered again. */
static inline bool next_packet(struct world *world)
{
    struct virtq_used_element used;
    struct fake_buffer buffer = { .length = BUFFER_SIZE, .writable = true };
    static uint8_t copy[BUFFER_SIZE];

    fake_driver_run(&world->driver);
    if (!fake_driver_used(&world->driver, VSOCK_RX, &used))
        return false;
    buffer.address = fake_descriptor(&world->driver, VSOCK_RX, (uint16_t)used.id)->address;
    memcpy(copy, fake_memory(&world->driver, buffer.address, BUFFER_SIZE), BUFFER_SIZE);
    memcpy(&world->packet, copy, sizeof(world->packet));
    world->payload = copy + sizeof(world->packet);
    assert_int_equal(used.length, sizeof(world->packet) + world->packet.length);
    assert_int_equal(world->packet.destination_cid, CID);
    fake_driver_send(&world->driver, VSOCK_RX, FAKE_DIRECT, 1, &buffer);
    return true;
}

static inline void expect(struct world *world, uint16_t op)
{
    assert_true(next_packet(world));
    assert_int_equal(world->packet.op, op);
}

static inline void expect_nothing(struct world *world)
{
    if (next_packet(world))
        fail_msg("a packet with op %u came", world->packet.op);
}

/* As the guest's packets look; every test changes what it is about. */
static inline struct vsock_header packet_of(uint16_t op)
{
    return (struct vsock_header){
        .source_cid = CID,
        .destination_cid = VSOCK_CID_HOST,
        .source_port = GUEST_PORT,
        .destination_port = HOST_PORT,
        .type = VSOCK_TYPE_STREAM,
        .op = op,
        .buf_alloc = 1 << 20,
    };
}

/* Puts a packet into the queue, its payload at PAYLOAD in the guest's memory. */
static inline void send_packet(struct world *world, struct vsock_header header)
{
    static uint64_t place;
    struct virtq_used_element used;
    struct fake_buffer buffers[2] = { { 0x800 + 64 * (place++ % 16), sizeof(header), false },
                                      { PAYLOAD, header.length, false } };

    while (fake_driver_used(&world->driver, VSOCK_TX, &used))
        assert_int_equal(used.length, 0);
    memcpy(fake_memory(&world->driver, buffers[0].address, sizeof(header)), &header,
           sizeof(header));
    fake_driver_send(&world->driver, VSOCK_TX, FAKE_DIRECT, header.length ? 2 : 1, buffers);
}

static inline void send_op(struct world *world, uint16_t op)
{
    send_packet(world, packet_of(op));
}

static inline void send_flags(struct world *world, uint16_t op, uint32_t flags)
{
    struct vsock_header header = packet_of(op);

    header.flags = flags;
    send_packet(world, header);
}

static inline void send_bytes(struct world *world, const void *bytes, uint32_t length)
{
    struct vsock_header header = packet_of(VSOCK_OP_RW);

    header.length = length;
    if (bytes)
        memcpy(fake_memory(&world->driver, PAYLOAD, length), bytes, length);
    send_packet(world, header);
}

/* A connection that the guest asked for; the host's end. */
static inline int connect_from_guest(struct world *world)
{
    int fd;

    send_op(world, VSOCK_OP_REQUEST);
    expect(world, VSOCK_OP_RESPONSE);
    assert_int_equal(world->packet.source_port, HOST_PORT);
    assert_int_equal(world->packet.destination_port, GUEST_PORT);
    assert_int_equal(world->packet.source_cid, VSOCK_CID_HOST);
    assert_int_equal(world->packet.buf_alloc, VSOCK_BUFFER);
    fd = unix_listener_accept(&world->listener);
    assert_true(fd >= 0);
    return fd;
}

static inline void assert_hears(struct world *world, int fd, const char *text)
{
    char bytes[64];

    fake_driver_run(&world->driver);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static inline void assert_ended(struct world *world, int fd)
{
    char byte;

    fake_driver_run(&world->driver);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Fails when the loop, left alone, burns time: something is polled that nobody serves. */
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

/* Sends until the credit is used up: the socket and the ring are full.  How much that was. */
static inline uint32_t send_all_credit(struct world *world)
{
    uint32_t sent = 0, credit = VSOCK_BUFFER;

    while (credit >= 16384) {
        send_bytes(world, NULL, 16384);
        sent += 16384;
        while (next_packet(world))
            assert_int_equal(world->packet.op, VSOCK_OP_CREDIT_UPDATE);
        credit = VSOCK_BUFFER - (sent - world->packet.fwd_cnt);
    }
    return sent;
}

static inline int host_client(struct world *world, const char *line)
{
    int fd = unix_connect(world->path);

    assert_true(fd >= 0);
    say(fd, line);
    return fd;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
