/* SPDX-License-Identifier: Apache-2.0 */
/* Connections from either side, and how they end. */
#include "tests/support/vsock_bench.h"

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

/* As clients of Firecracker's sockets write it, whose words these are. */
static void test_lines_in_other_hands(void **state)
{
    static const char *const lines[] = {
        "connect 1234\n", "CONNECT 1234\r\n", "Connect\t1234\r\n", " CONNECT  1234 \n",
        "CONNECT 00000000000000001234\r\n", "CONNECT 0000000000000000001234\r\n",
    };
    struct world *world = *state;

    start(world, 8);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        int fd = host_client(world, lines[i]);

        expect(world, VSOCK_OP_REQUEST);
        assert_int_equal(world->packet.destination_port, 1234);
        close(fd);
        expect(world, VSOCK_OP_RST);
    }
}

static void test_wrong_lines(void **state)
{
    static const char *const lines[] = {
        "CONNECT\n", "CONNECT \n", "CONNECT1\n", "CONNECT 4294967296\n", "CONNECT 1 2\n",
        "CONNECT -1\n", "\n", "\r\n", " \n", "CONNECT 1x\r\n", "CONNEC 1\n", "CONNECT \r\n",
        /* 2^64 + 1 */
        "CONNECT 18446744073709551617\n", "CONNECT 11111111111111111111111111",
        "CONNECT                         1\n", "GET / HTTP/1.1\r\n",
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config),
        TEST(test_guest_connects),
        TEST(test_host_connects),
        TEST(test_two_clients_get_two_ports),
        TEST(test_guest_refuses_a_client),
        TEST(test_client_leaves_before_the_answer),
        TEST(test_lines_in_other_hands),
        TEST(test_wrong_lines),
        TEST(test_nobody_listens),
        TEST(test_host_ends_its_half),
        TEST(test_guest_ends_its_half),
        TEST(test_guest_ends_its_half_before_it_is_read),
        TEST(test_host_closes),
        TEST(test_guest_closes_with_a_slow_reader),
        TEST(test_reset_ends_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
