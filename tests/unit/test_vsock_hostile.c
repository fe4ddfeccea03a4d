/* SPDX-License-Identifier: Apache-2.0 */
/* The hostile guest: credit, floods, packets that break the rules. */
#include "tests/support/vsock_bench.h"

#include <sys/resource.h>

#include "devices/virtio/vsock_internal.h"

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

/* Each connection that the host is asked for costs it: so many in a second, and RST for the others. */
static void test_requests_have_a_rate(void **state)
{
    struct world *world = *state;
    struct vsock_header request = packet_of(VSOCK_OP_REQUEST);
    unsigned int refused = 0;
    struct timespec before, after;
    uint64_t milliseconds;

    start(world, 8);
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (unsigned int i = 0; i < 4 * VSOCK_CONNECTS_AT_ONCE; i++) {
        int fd;

        request.source_port = i;
        request.op = VSOCK_OP_REQUEST;
        send_packet(world, request);
        assert_true(next_packet(world));
        if (world->packet.op == VSOCK_OP_RST) {
            refused++;
            continue;
        }
        assert_int_equal(world->packet.op, VSOCK_OP_RESPONSE);
        fd = unix_listener_accept(&world->listener);
        assert_true(fd >= 0);
        request.op = VSOCK_OP_RST;
        send_packet(world, request);
        close(fd);
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    milliseconds = (uint64_t)((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000);
    assert_true(4 * VSOCK_CONNECTS_AT_ONCE - refused <=
                VSOCK_CONNECTS_AT_ONCE + 2 + milliseconds * VSOCK_CONNECTS_IN_A_SECOND / 1000);
    /* Soon after it goes on. */
    usleep(20000);
    request.op = VSOCK_OP_REQUEST;
    request.source_port = 9999;
    send_packet(world, request);
    expect(world, VSOCK_OP_RESPONSE);
}

/* Clients that say nothing keep nobody out, however many they are. */
static void test_silent_clients_keep_nobody_out(void **state)
{
    struct world *world = *state;
    static int silent[2 * VSOCK_NAMING_MAX];
    unsigned int open_ones = 0;
    char byte;
    int client;

    start(world, 8);
    for (unsigned int i = 0; i < 2 * VSOCK_NAMING_MAX; i++) {
        silent[i] = host_client(world, "CONN");
        fake_driver_run(&world->driver);
    }
    for (unsigned int i = 0; i < 2 * VSOCK_NAMING_MAX; i++)
        open_ones += recv(silent[i], &byte, 1, MSG_DONTWAIT) < 0;
    assert_in_range(open_ones, 1, VSOCK_NAMING_MAX);
    assert_int_equal(recv(silent[0], &byte, 1, MSG_DONTWAIT), 0);
    client = host_client(world, "CONNECT 5\n");
    expect(world, VSOCK_OP_REQUEST);
    assert_int_equal(world->packet.destination_port, 5);
    close(client);
    for (unsigned int i = 0; i < 2 * VSOCK_NAMING_MAX; i++)
        close(silent[i]);
}

static void test_a_silent_client_has_its_time(void **state)
{
    struct world *world = *state;
    struct vsock *vsock = (struct vsock *)virtio_device_of(world->driver.device);
    int silent, named, late;
    char byte;

    start(world, 8);
    silent = host_client(world, "");
    named = host_client(world, "CONNECT 5\n");
    expect(world, VSOCK_OP_REQUEST);
    assert_true(vsock->naming_timed);
    assert_int_equal(recv(silent, &byte, 1, MSG_DONTWAIT), -1);
    /* As if it were later. */
    for (struct vsock_connection *one = TAILQ_FIRST(&vsock->table.living); one; one = TAILQ_NEXT(one, in_list))
        one->accepted -= VSOCK_NAMING_SECONDS * 1000000000ull;
    vsock->naming_timed = false;
    late = host_client(world, "");
    for (int i = 0; i < 100 && vsock->table.count > 2; i++)
        run_loop_for(world->fixture.env.loop, 5);
    fake_driver_run(&world->driver);
    assert_int_equal(recv(silent, &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(named, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(recv(late, &byte, 1, MSG_DONTWAIT), -1);
    assert_true(vsock->naming_timed);
    close(silent);
    close(named);
    close(late);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_credit_abuse),
        TEST(test_one_packet_above_all_credit),
        TEST(test_credit_never_underflows),
        TEST(test_forwarded_more_than_was_sent),
        TEST(test_connection_flood),
        TEST(test_requests_have_a_rate),
        TEST(test_silent_clients_keep_nobody_out),
        TEST(test_a_silent_client_has_its_time),
        TEST(test_answers_wait_for_buffers),
        TEST(test_starvation_does_not_spin),
        TEST(test_reader_that_stops),
        TEST(test_unknown_operations),
        TEST(test_unknown_type_and_addresses),
        TEST(test_short_packets),
        TEST(test_small_buffers),
        TEST(test_split_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
