/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/socket_handoff.h"
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

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct error error = ERROR_INIT;

    fixture_init(&world->fixture);
    test_directory_create(&world->directory);
    snprintf(world->path, sizeof(world->path), "%s/s", world->directory.path);
    world->options = (struct vsock_options){ .cid = CID, .path = world->path };
    fake_driver_create(&world->driver, &world->fixture, &virtio_vsock_class, &world->options);
    snprintf(world->path, sizeof(world->path), "%s/s_%u", world->directory.path, HOST_PORT);
    assert_int_equal(unix_listener_open(&world->listener, "vsock", world->path, &error), 0);
    *strrchr(world->path, '_') = '\0';
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

/* Without paths: the guest's connections go over a socket. */
static int set_up_handoff(void **state)
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

static int tear_down_handoff(void **state)
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

static void offer_buffers(struct world *world, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        struct fake_buffer buffer = {
            fake_alloc(&world->driver, BUFFER_SIZE, 16), BUFFER_SIZE, true,
        };

        fake_driver_add(&world->driver, VSOCK_RX, FAKE_DIRECT, 1, &buffer);
    }
    fake_driver_kick(&world->driver, VSOCK_RX);
}

static void start(struct world *world, unsigned int buffers)
{
    fake_driver_start(&world->driver, VSOCK_F_STREAM, VSOCK_QUEUES);
    if (buffers)
        offer_buffers(world, buffers);
}

/* The next packet from the device, whose buffer is offered again. */
static bool next_packet(struct world *world)
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

static void expect(struct world *world, uint16_t op)
{
    assert_true(next_packet(world));
    assert_int_equal(world->packet.op, op);
}

static void expect_nothing(struct world *world)
{
    if (next_packet(world))
        fail_msg("a packet with op %u came", world->packet.op);
}

/* As the guest's packets look; every test changes what it is about. */
static struct vsock_header packet_of(uint16_t op)
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
static void send_packet(struct world *world, struct vsock_header header)
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

static void send_op(struct world *world, uint16_t op)
{
    send_packet(world, packet_of(op));
}

static void send_flags(struct world *world, uint16_t op, uint32_t flags)
{
    struct vsock_header header = packet_of(op);

    header.flags = flags;
    send_packet(world, header);
}

static void send_bytes(struct world *world, const void *bytes, uint32_t length)
{
    struct vsock_header header = packet_of(VSOCK_OP_RW);

    header.length = length;
    if (bytes)
        memcpy(fake_memory(&world->driver, PAYLOAD, length), bytes, length);
    send_packet(world, header);
}

/* A connection that the guest asked for; the host's end. */
static int connect_from_guest(struct world *world)
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

static void assert_hears(struct world *world, int fd, const char *text)
{
    char bytes[64];

    fake_driver_run(&world->driver);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void assert_ended(struct world *world, int fd)
{
    char byte;

    fake_driver_run(&world->driver);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Fails when the loop, left alone, burns time: something is polled that nobody serves. */
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

/* Sends until the credit is used up: the socket and the ring are full.  How much that was. */
static uint32_t send_all_credit(struct world *world)
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

/* ---- streams -------------------------------------------------------------- */

static void test_config(void **state)
{
    struct world *world = *state;
    uint64_t cid;

    fake_driver_config(&world->driver, 0, &cid, sizeof(cid));
    assert_int_equal(cid, CID);
}

static void test_guest_connects(void **state)
{
    struct world *world = *state;
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    send_bytes(world, "hello", 5);
    assert_hears(world, fd, "hello");
    say(fd, "and back");
    expect(world, VSOCK_OP_RW);
    assert_int_equal(world->packet.length, 8);
    assert_int_equal(world->packet.fwd_cnt, 5);
    assert_memory_equal(world->payload, "and back", 8);
    expect_nothing(world);
    close(fd);
}

static int host_client(struct world *world, const char *line)
{
    int fd = unix_connect(world->path);

    assert_true(fd >= 0);
    say(fd, line);
    return fd;
}

static void test_host_connects(void **state)
{
    struct world *world = *state;
    struct vsock_header response = packet_of(VSOCK_OP_RESPONSE);
    char text[32];
    int fd;

    start(world, 8);
    fd = host_client(world, "CONNECT 1234\nearly");
    expect(world, VSOCK_OP_REQUEST);
    assert_int_equal(world->packet.destination_port, 1234);
    expect_nothing(world); /* what follows the line waits for the guest */
    response.destination_port = world->packet.source_port;
    snprintf(text, sizeof(text), "OK %u\n", world->packet.source_port);
    send_packet(world, response);
    assert_hears(world, fd, text);
    expect(world, VSOCK_OP_RW);
    assert_memory_equal(world->payload, "early", 5);
    close(fd);
}

static void test_two_clients_get_two_ports(void **state)
{
    struct world *world = *state;
    uint32_t first;
    int one, two;

    start(world, 8);
    one = host_client(world, "CONNECT 5\n");
    expect(world, VSOCK_OP_REQUEST);
    first = world->packet.source_port;
    two = host_client(world, "CONNECT 5\n");
    expect(world, VSOCK_OP_REQUEST);
    assert_int_not_equal(world->packet.source_port, first);
    close(one);
    close(two);
}

static void test_guest_refuses_a_client(void **state)
{
    struct world *world = *state;
    struct vsock_header reset = packet_of(VSOCK_OP_RST);
    int fd;

    start(world, 8);
    fd = host_client(world, "CONNECT 1234\n");
    expect(world, VSOCK_OP_REQUEST);
    reset.destination_port = world->packet.source_port;
    send_packet(world, reset);
    assert_ended(world, fd);
    expect_nothing(world);
    close(fd);
}

static void test_client_leaves_before_the_answer(void **state)
{
    struct world *world = *state;

    int fd;

    start(world, 8);
    fd = host_client(world, "CONNECT 1234\n");
    expect(world, VSOCK_OP_REQUEST);
    close(fd);
    expect(world, VSOCK_OP_RST);
    /* So soon that the guest need not know. */
    close(host_client(world, "CONNECT 1234\n"));
    close(host_client(world, "CONNECT 12"));
    expect_nothing(world);
    assert_idle(world);
}

static void test_wrong_lines(void **state)
{
    static const char *const lines[] = {
        "CONNECT\n", "CONNECT \n", "connect 1\n", "CONNECT 4294967296\n", "CONNECT 1 \n",
        "CONNECT -1\n", "\n", "CONNECT 11111111111111111111111111",
        "GET / HTTP/1.1\r\n",
    };
    struct world *world = *state;

    start(world, 8);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        int fd = host_client(world, lines[i]);
        char byte;

        fake_driver_run(&world->driver);
        errno = 0;
        assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0 && errno != EAGAIN);
        expect_nothing(world);
        close(fd);
    }
}

static void test_nobody_listens(void **state)
{
    struct world *world = *state;
    struct vsock_header request = packet_of(VSOCK_OP_REQUEST);

    start(world, 8);
    request.destination_port = 78;
    send_packet(world, request);
    expect(world, VSOCK_OP_RST);
    assert_int_equal(world->packet.source_port, 78);
    assert_int_equal(world->packet.destination_port, GUEST_PORT);
}

/* ---- ends ----------------------------------------------------------------- */

static void test_host_ends_its_half(void **state)
{
    struct world *world = *state;
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    say(fd, "last");
    shutdown(fd, SHUT_WR);
    expect(world, VSOCK_OP_RW);
    expect(world, VSOCK_OP_SHUTDOWN);
    assert_int_equal(world->packet.flags, VSOCK_SHUTDOWN_SEND);
    assert_idle(world);
    /* The other half lives. */
    send_bytes(world, "answer", 6);
    assert_hears(world, fd, "answer");
    send_flags(world, VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_BOTH);
    expect(world, VSOCK_OP_RST);
    assert_ended(world, fd);
    close(fd);
}

static void test_guest_ends_its_half(void **state)
{
    struct world *world = *state;
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    send_bytes(world, "last", 4);
    send_flags(world, VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_SEND);
    assert_hears(world, fd, "last");
    assert_ended(world, fd);
    expect_nothing(world);
    say(fd, "answer");
    expect(world, VSOCK_OP_RW);
    close(fd);
    expect(world, VSOCK_OP_SHUTDOWN);
    assert_int_equal(world->packet.flags, VSOCK_SHUTDOWN_BOTH);
    send_op(world, VSOCK_OP_RST);
    expect_nothing(world);
}

/* The half ends after what is still kept for it, not before. */
static void test_guest_ends_its_half_before_it_is_read(void **state)
{
    struct world *world = *state;
    static char bytes[1 << 20];
    uint32_t sent;
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    sent = send_all_credit(world);
    send_flags(world, VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_SEND);
    for (uint32_t got = 0; got < sent;) {
        ssize_t length = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        assert_true(length > 0);
        got += (uint32_t)length;
        fake_driver_run(&world->driver);
    }
    assert_ended(world, fd);
    /* More from a guest that said it was the end breaks the rules. */
    send_bytes(world, "x", 1);
    while (next_packet(world) && world->packet.op == VSOCK_OP_CREDIT_UPDATE)
        ;
    assert_int_equal(world->packet.op, VSOCK_OP_RST);
    close(fd);
}

static void test_host_closes(void **state)
{
    struct world *world = *state;

    start(world, 8);
    close(connect_from_guest(world));
    expect(world, VSOCK_OP_SHUTDOWN);
    assert_int_equal(world->packet.flags, VSOCK_SHUTDOWN_BOTH);
    assert_idle(world);
    /* What was on its way is dropped, and its credit given back. */
    for (unsigned int i = 0; i < 20; i++)
        send_bytes(world, NULL, 16384);
    for (uint32_t told = 0; told < 8 * 16384; told = world->packet.fwd_cnt)
        expect(world, VSOCK_OP_CREDIT_UPDATE);
    while (next_packet(world))
        assert_int_equal(world->packet.op, VSOCK_OP_CREDIT_UPDATE);
    send_op(world, VSOCK_OP_RST);
    /* The ports are free again. */
    close(connect_from_guest(world));
}

/* What the guest sent before its end arrives, however slowly it is read. */
static void test_guest_closes_with_a_slow_reader(void **state)
{
    struct world *world = *state;
    static char bytes[1 << 20];
    uint32_t got = 0, sent = 0;
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    sent = send_all_credit(world);
    send_flags(world, VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_BOTH);
    while (next_packet(world) && world->packet.op != VSOCK_OP_RST)
        ;
    assert_int_equal(world->packet.op, VSOCK_OP_RST);
    /* The guest may use the ports again at once. */
    for (;;) {
        ssize_t length = recv(fd, bytes, 1000, MSG_DONTWAIT);

        fake_driver_run(&world->driver);
        if (length <= 0)
            break;
        got += (uint32_t)length;
    }
    assert_int_equal(got, sent);
    close(fd);
}

static void test_reset_ends_all(void **state)
{
    struct world *world = *state;
    int fd, client;

    start(world, 8);
    fd = connect_from_guest(world);
    client = host_client(world, "CONNECT 9\n");
    expect(world, VSOCK_OP_REQUEST);
    say(fd, "never read");
    fake_driver_reset(&world->driver);
    assert_idle(world);
    assert_true(recv(client, world->path, 0, MSG_DONTWAIT) == 0);
    start(world, 8);
    expect_nothing(world);
    close(fd);
    close(client);
    close(connect_from_guest(world));
}

/* ---- the hostile guest ---------------------------------------------------- */

static void test_credit_abuse(void **state)
{
    struct world *world = *state;
    unsigned int sent = 0;
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    /* Nobody reads: the socket's buffer fills, then ours, then it is over. */
    for (; sent < 1000; sent++) {
        send_bytes(world, NULL, 16384);
        if (next_packet(world) && world->packet.op == VSOCK_OP_RST)
            break;
    }
    assert_in_range(sent, VSOCK_BUFFER / 16384, 100);
    close(fd);
}

static void test_one_packet_above_all_credit(void **state)
{
    struct world *world = *state;
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    send_bytes(world, NULL, VSOCK_BUFFER + 1);
    expect(world, VSOCK_OP_RST);
    assert_ended(world, fd);
    close(fd);
}

/* CVE-2026-23069: buf_alloc below what is on its way must not become a huge credit. */
static void test_credit_never_underflows(void **state)
{
    struct world *world = *state;
    struct vsock_header update = packet_of(VSOCK_OP_CREDIT_UPDATE);
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    say(fd, "0123456789");
    expect(world, VSOCK_OP_RW);
    update.buf_alloc = 4;
    send_packet(world, update);
    say(fd, "more");
    expect_nothing(world);
    assert_idle(world);
    update.buf_alloc = 12; /* two bytes of room */
    send_packet(world, update);
    expect(world, VSOCK_OP_RW);
    assert_int_equal(world->packet.length, 2);
    expect_nothing(world);
    close(fd);
}

static void test_forwarded_more_than_was_sent(void **state)
{
    struct world *world = *state;
    struct vsock_header update = packet_of(VSOCK_OP_CREDIT_UPDATE);
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    update.fwd_cnt = 1;
    send_packet(world, update);
    expect(world, VSOCK_OP_RST);
    assert_ended(world, fd);
    close(fd);
}

static void test_connection_flood(void **state)
{
    struct world *world = *state;
    struct vsock_header request = packet_of(VSOCK_OP_REQUEST);
    static int fds[VSOCK_CONNECTIONS_MAX];
    struct rlimit limit;
    int client;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    start(world, 8);
    for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++) {
        request.source_port = i;
        send_packet(world, request);
        expect(world, VSOCK_OP_RESPONSE);
        fds[i] = unix_listener_accept(&world->listener);
        assert_true(fds[i] >= 0);
    }
    for (unsigned int i = 0; i < 100; i++) {
        request.source_port = VSOCK_CONNECTIONS_MAX + i;
        send_packet(world, request);
        expect(world, VSOCK_OP_RST);
    }
    client = host_client(world, "CONNECT 5\n");
    fake_driver_run(&world->driver);
    assert_true(recv(client, fds, 1, MSG_DONTWAIT) <= 0);
    close(client);
    /* One that ends makes room for one. */
    request.source_port = 3;
    request.op = VSOCK_OP_RST;
    send_packet(world, request);
    request.source_port = 5000;
    request.op = VSOCK_OP_REQUEST;
    send_packet(world, request);
    expect(world, VSOCK_OP_RESPONSE);
    for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
        close(fds[i]);
}

/* A guest that sends nonsense and takes no answers waits; nothing is lost or grows. */
static void test_answers_wait_for_buffers(void **state)
{
    struct world *world = *state;
    struct vsock_header header = packet_of(VSOCK_OP_RW);
    struct fake_buffer buffer = { 0x800, sizeof(header), false };
    unsigned int answers = 0;

    start(world, 0);
    memcpy(fake_memory(&world->driver, 0x800, sizeof(header)), &header, sizeof(header));
    for (unsigned int i = 0; i < 200; i++)
        fake_driver_add(&world->driver, VSOCK_TX, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&world->driver, VSOCK_TX);
    assert_in_range(fake_used_index(&world->driver, VSOCK_TX), 1, 100);
    assert_idle(world);
    offer_buffers(world, 8);
    while (next_packet(world)) {
        assert_int_equal(world->packet.op, VSOCK_OP_RST);
        answers++;
    }
    assert_int_equal(answers, 200);
    assert_int_equal(fake_used_index(&world->driver, VSOCK_TX), 200);
}

/* The host's side has something, and the guest no room: nobody may spin meanwhile. */
static void test_starvation_does_not_spin(void **state)
{
    struct world *world = *state;
    struct vsock_header update = packet_of(VSOCK_OP_CREDIT_UPDATE);
    struct vsock_header request = packet_of(VSOCK_OP_REQUEST);
    char full[4096] = "";
    int fd, other;

    start(world, 1);
    fd = connect_from_guest(world);
    request.source_port++;
    send_packet(world, request);
    expect(world, VSOCK_OP_RESPONSE);
    other = unix_listener_accept(&world->listener);
    update.buf_alloc = 0;
    send_packet(world, update);
    say(fd, "no credit");
    assert_idle(world);
    shutdown(fd, SHUT_WR);
    assert_idle(world);
    close(fd);
    assert_idle(world);
    /* More than its one buffer takes, which is not given back. */
    for (unsigned int i = 0; i < 8; i++)
        assert_int_equal(send(other, full, sizeof(full), 0), sizeof(full));
    assert_idle(world);
    close(other);
    assert_idle(world);
    /* Credit for the first: what was left comes, then its end. */
    update.buf_alloc = 100;
    send_packet(world, update);
    for (unsigned int i = 0; i < 20; i++) {
        if (next_packet(world) && world->packet.destination_port == GUEST_PORT &&
            world->packet.op == VSOCK_OP_SHUTDOWN)
            return;
    }
    fail_msg("the end did not come");
}

/* The host's peer stops reading: the guest's credit ends, and nothing spins. */
static void test_reader_that_stops(void **state)
{
    struct world *world = *state;
    static char bytes[1 << 20];
    uint32_t sent;
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    sent = send_all_credit(world);
    assert_idle(world);
    for (uint32_t got = 0; got < sent;) {
        ssize_t length = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        assert_true(length > 0);
        got += (uint32_t)length;
        fake_driver_run(&world->driver);
    }
    while (next_packet(world))
        ;
    assert_in_range(sent - world->packet.fwd_cnt, 0, VSOCK_BUFFER / 4);
    close(fd);
}

static void test_unknown_operations(void **state)
{
    static const uint16_t ops[] = { VSOCK_OP_INVALID, VSOCK_OP_RESPONSE, VSOCK_OP_REQUEST, 8, 99,
                                    UINT16_MAX };
    struct world *world = *state;

    start(world, 8);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        int fd = connect_from_guest(world);

        send_op(world, ops[i]);
        expect(world, VSOCK_OP_RST);
        assert_ended(world, fd);
        close(fd);
    }
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (ops[i] == VSOCK_OP_REQUEST)
            continue;
        send_op(world, ops[i]); /* of no connection */
        expect(world, VSOCK_OP_RST);
    }
    send_op(world, VSOCK_OP_RST);
    expect_nothing(world);
}

static void test_unknown_type_and_addresses(void **state)
{
    struct world *world = *state;
    struct vsock_header header = packet_of(VSOCK_OP_REQUEST);

    start(world, 8);
    header.type = 2;
    send_packet(world, header);
    expect(world, VSOCK_OP_RST);
    assert_int_equal(world->packet.type, 2);
    header.type = VSOCK_TYPE_STREAM;
    header.destination_cid = 1;
    send_packet(world, header);
    expect(world, VSOCK_OP_RST);
    assert_int_equal(world->packet.source_cid, 1);
    header.destination_cid = VSOCK_CID_HOST;
    for (unsigned int i = 0; i < 100; i++) {
        header.source_cid = CID + 1 + i;
        send_packet(world, header);
    }
    expect_nothing(world);
    assert_in_range(memory_log_lines(&world->fixture.log), 1, 12);
}

static void test_short_packets(void **state)
{
    struct world *world = *state;
    struct vsock_header header = packet_of(VSOCK_OP_RW);
    struct fake_buffer buffer = { 0x800, sizeof(header), false };

    start(world, 8);
    buffer.length = sizeof(header) - 1;
    fake_driver_send(&world->driver, VSOCK_TX, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_needs_reset(&world->driver));
    start(world, 8);
    header.length = 1; /* and no byte follows */
    buffer.length = sizeof(header);
    memcpy(fake_memory(&world->driver, 0x800, sizeof(header)), &header, sizeof(header));
    fake_driver_send(&world->driver, VSOCK_TX, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_needs_reset(&world->driver));
    start(world, 8);
    close(connect_from_guest(world));
}

static void test_small_buffers(void **state)
{
    struct world *world = *state;
    struct fake_buffer buffer = { 0x800, sizeof(struct vsock_header), true };

    start(world, 0);
    fake_driver_send(&world->driver, VSOCK_RX, FAKE_DIRECT, 1, &buffer);
    send_op(world, VSOCK_OP_RW);
    assert_true(fake_driver_needs_reset(&world->driver));
}

/* A header in pieces, and a payload of many. */
static void test_split_packet(void **state)
{
    struct world *world = *state;
    struct vsock_header header = packet_of(VSOCK_OP_RW);
    struct fake_buffer pieces[49];
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    header.length = 5;
    memcpy(fake_memory(&world->driver, 0x2000, sizeof(header)), &header, sizeof(header));
    memcpy(fake_memory(&world->driver, 0x2000 + sizeof(header), 5), "split", 5);
    for (unsigned int i = 0; i < 49; i++)
        pieces[i] = (struct fake_buffer){ 0x2000 + i, 1, false };
    fake_driver_send(&world->driver, VSOCK_TX, FAKE_INDIRECT, 49, pieces);
    assert_hears(world, fd, "split");
    close(fd);
}

static void test_transport_reset(void **state)
{
    struct world *world = *state;
    struct virtio_device *device = virtio_mmio_device(world->driver.device);
    struct fake_buffer buffer = { 0x900, 4, true };
    struct virtq_used_element used;
    int fd;

    start(world, 8);
    fd = connect_from_guest(world);
    memset(fake_memory(&world->driver, 0x900, 4), 0xff, 4);
    pthread_mutex_lock(&world->driver.device->lock);
    virtio_vsock_transport_reset(device);
    pthread_mutex_unlock(&world->driver.device->lock);
    assert_ended(world, fd);
    fake_driver_send(&world->driver, VSOCK_EVENT, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_used(&world->driver, VSOCK_EVENT, &used));
    assert_int_equal(used.length, 4);
    assert_int_equal(*(uint32_t *)fake_memory(&world->driver, 0x900, 4), 0);
    /* Once. */
    fake_driver_send(&world->driver, VSOCK_EVENT, FAKE_DIRECT, 1, &buffer);
    assert_false(fake_driver_used(&world->driver, VSOCK_EVENT, &used));
    close(fd);
}

/* ---- connections handed over ---------------------------------------------- */

static void test_handoff(void **state)
{
    struct world *world = *state;
    uint32_t port;
    int fd;

    start(world, 4);
    assert_int_equal(socket_handoff_receive(world->supervisor, &port), -EAGAIN);
    send_op(world, VSOCK_OP_REQUEST);
    expect(world, VSOCK_OP_RESPONSE);
    fd = socket_handoff_receive(world->supervisor, &port);
    assert_true(fd >= 0);
    assert_int_equal(port, HOST_PORT);
    send_bytes(world, "from the guest", 14);
    assert_hears(world, fd, "from the guest");
    say(fd, "from the host");
    expect(world, VSOCK_OP_RW);
    assert_memory_equal(world->payload, "from the host", 13);
    send_flags(world, VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_SEND);
    assert_ended(world, fd);
    assert_idle(world);
    close(fd);
    expect(world, VSOCK_OP_SHUTDOWN);
}

/* Nobody is there any more, or does not look: the guest is refused, and nothing waits. */
static void test_handoff_refused(void **state)
{
    struct world *world = *state;
    unsigned int accepted = 0;
    uint32_t port;
    int fd;

    start(world, 4);
    for (uint32_t source = 1; source < 2000; source++) {
        struct vsock_header header = packet_of(VSOCK_OP_REQUEST);

        header.source_port = source;
        send_packet(world, header);
        assert_true(next_packet(world));
        if (world->packet.op == VSOCK_OP_RST)
            break;
        accepted++;
    }
    assert_true(accepted > 0 && accepted <= VSOCK_CONNECTIONS_MAX);
    assert_int_equal(world->packet.op, VSOCK_OP_RST);
    while ((fd = socket_handoff_receive(world->supervisor, &port)) >= 0)
        close(fd);
    close(world->supervisor);
    world->supervisor = -1;
    while (next_packet(world))
        ;
    send_op(world, VSOCK_OP_REQUEST);
    expect(world, VSOCK_OP_RST);
}

/* What comes over the socket is a descriptor and a port, or nothing. */
static void test_handoff_messages(void **state)
{
    uint32_t port = 5;
    int ends[2], fd;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(send(ends[0], &port, sizeof(port), 0), sizeof(port));
    assert_int_equal(socket_handoff_receive(ends[1], &port), -EPROTO);
    assert_int_equal(send(ends[0], "x", 1, 0), 1);
    assert_int_equal(socket_handoff_receive(ends[1], &port), -EPROTO);
    fd = socket_handoff_send(ends[0], UINT32_MAX);
    assert_true(fd >= 0);
    close(fd);
    fd = socket_handoff_receive(ends[1], &port);
    assert_true(fd >= 0);
    assert_int_equal(port, UINT32_MAX);
    close(fd);
    close(ends[0]);
    assert_int_equal(socket_handoff_receive(ends[1], &port), -ENOTCONN);
    assert_true(socket_handoff_send(ends[1], 1) < 0);
    close(ends[1]);
}

static void test_handoff_options(void **state)
{
    struct error error = ERROR_INIT;
    void *options = NULL;
    char text[64];
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    snprintf(text, sizeof(text), "9,handoff=%d", ends[0]);
    assert_int_equal(virtio_vsock_class.parse(text, &options, &error), 0);
    assert_int_equal(((struct vsock_options *)options)->cid, 9);
    assert_int_equal(((struct vsock_options *)options)->handoff, ends[0]);
    assert_null(((struct vsock_options *)options)->path);
    virtio_vsock_class.release(options);
    close(ends[0]);
    close(ends[1]);
    options = NULL;
    assert_true(virtio_vsock_class.parse("3,handoff=999999", &options, &error) < 0);
    assert_non_null(strstr(error.message, "SOCK_SEQPACKET"));
    assert_true(virtio_vsock_class.parse("3:/x,handoff=0", &options, &error) < 0);
    assert_non_null(strstr(error.message, "give one of them"));
    assert_true(virtio_vsock_class.parse("2,handoff=0", &options, &error) < 0);
    assert_true(virtio_vsock_class.parse("3,handoff=-1", &options, &error) < 0);
    assert_null(options);
}

/* ---- options and the socket's file ---------------------------------------- */

static void assert_refused(const char *text, const char *reason, const char *remedy)
{
    struct error error = ERROR_INIT;
    void *options = NULL;

    assert_true(virtio_vsock_class.parse(text, &options, &error) < 0);
    assert_null(options);
    if (!strstr(error.message, reason) || !strstr(error.message, remedy))
        fail_msg("%s: %s", text, error.message);
}

static void test_options(void **state)
{
    struct error error = ERROR_INIT;
    void *options = NULL;
    char path[256];

    (void)state;
    assert_refused("2:/x", "out of range", "from 3 to");
    assert_refused("4294967295:/x", "out of range", "to 4294967294");
    assert_refused("abc:/x", "out of range", "from 3");
    assert_refused("3", "path is missing", "CID:PATH");
    assert_refused("3:", "path is missing", "CID:PATH");
    assert_refused("", "is missing", "CID:PATH");
    assert_refused("3:/x,ro", "'ro' is unknown", "man mote");
    snprintf(path, sizeof(path), "3:/%0*d", 97, 0);
    assert_refused(path, "longer than 96 bytes", "shorter");
    assert_int_equal(virtio_vsock_class.parse("3:/x", &options, &error), 0);
    assert_int_equal(((struct vsock_options *)options)->cid, 3);
    assert_string_equal(((struct vsock_options *)options)->path, "/x");
    assert_true(virtio_vsock_class.parse("4:/y", &options, &error) < 0);
    assert_non_null(strstr(error.message, "given twice"));
    virtio_vsock_class.release(options);
}

static void assert_open_fails(const char *path, const char *reason, const char *remedy)
{
    struct unix_listener listener;
    struct error error = ERROR_INIT;

    assert_true(unix_listener_open(&listener, "vsock", path, &error) < 0);
    if (!strstr(error.message, reason) || !strstr(error.message, remedy))
        fail_msg("%s: %s", path, error.message);
}

static void test_socket_file(void **state)
{
    struct world *world = *state;
    struct error error = ERROR_INIT;
    struct unix_listener listener;
    struct stat status;
    char path[96];

    assert_open_fails(world->path, "in use by another", "choose another path");
    snprintf(path, sizeof(path), "%s/missing/s", world->directory.path);
    assert_open_fails(path, "directory does not exist", "create it");
    test_directory_write(&world->directory, "file", "x", 1);
    snprintf(path, sizeof(path), "%s/file", world->directory.path);
    assert_open_fails(path, "is no socket", "choose another path");
    assert_int_equal(stat(path, &status), 0);
    /* A killed process leaves a socket: closed, but still there. */
    snprintf(path, sizeof(path), "%s/stale", world->directory.path);
    assert_int_equal(unix_listener_open(&listener, "vsock", path, &error), 0);
    close(dup2(world->listener.fd, listener.fd));
    assert_int_equal(stat(path, &status), 0);
    free(listener.path);
    assert_int_equal(unix_listener_open(&listener, "vsock", path, &error), 0);
    /* Somebody else's file stays. */
    assert_int_equal(unlink(path), 0);
    test_directory_write(&world->directory, "stale", "x", 1);
    unix_listener_close(&listener);
    assert_int_equal(stat(path, &status), 0);
}

static void test_file_goes_with_the_device(void **state)
{
    struct world *world = *state;
    struct stat status;

    assert_int_equal(stat(world->path, &status), 0);
    fake_driver_destroy(&world->driver);
    assert_int_equal(stat(world->path, &status), -1);
    fake_driver_create(&world->driver, &world->fixture, &virtio_vsock_class, &world->options);
    assert_int_equal(stat(world->path, &status), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config),
        TEST(test_guest_connects),
        TEST(test_host_connects),
        TEST(test_two_clients_get_two_ports),
        TEST(test_guest_refuses_a_client),
        TEST(test_client_leaves_before_the_answer),
        TEST(test_wrong_lines),
        TEST(test_nobody_listens),
        TEST(test_host_ends_its_half),
        TEST(test_guest_ends_its_half),
        TEST(test_guest_ends_its_half_before_it_is_read),
        TEST(test_host_closes),
        TEST(test_guest_closes_with_a_slow_reader),
        TEST(test_reset_ends_all),
        TEST(test_credit_abuse),
        TEST(test_one_packet_above_all_credit),
        TEST(test_credit_never_underflows),
        TEST(test_forwarded_more_than_was_sent),
        TEST(test_connection_flood),
        TEST(test_answers_wait_for_buffers),
        TEST(test_starvation_does_not_spin),
        TEST(test_reader_that_stops),
        TEST(test_unknown_operations),
        TEST(test_unknown_type_and_addresses),
        TEST(test_short_packets),
        TEST(test_small_buffers),
        TEST(test_split_packet),
        TEST(test_transport_reset),
        cmocka_unit_test(test_options),
        cmocka_unit_test_setup_teardown(test_handoff, set_up_handoff, tear_down_handoff),
        cmocka_unit_test_setup_teardown(test_handoff_refused, set_up_handoff, tear_down_handoff),
        cmocka_unit_test(test_handoff_messages),
        cmocka_unit_test(test_handoff_options),
        TEST(test_socket_file),
        TEST(test_file_goes_with_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
