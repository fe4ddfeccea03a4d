/* SPDX-License-Identifier: Apache-2.0 */
/* Frames over a stream: every cut of them, peers that lie, and sockets that take half. */
#include "devices/backend/frame_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "devices/backend/uplink.h"

#define HEADER sizeof(struct uplink_header)

static struct frame_stream *stream;
static int peer, own; /* OWN is the stream's */
static uint8_t got[HEADER + UPLINK_FRAME_MAX + 64], bytes[UPLINK_FRAME_MAX];

static int set_up(void **state)
{
    int sockets[2];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    stream = frame_stream_create(sockets[0]);
    assert_non_null(stream);
    own = sockets[0];
    peer = sockets[1];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 13 + i / 256);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    frame_stream_destroy(stream);
    if (peer >= 0)
        close(peer);
    return 0;
}

static void peer_writes(const void *what, size_t length)
{
    assert_int_equal(write(peer, what, length), length);
}

static void peer_sends(size_t length)
{
    uint32_t prefix = htonl((uint32_t)length);

    peer_writes(&prefix, sizeof(prefix));
    peer_writes(bytes, length);
}

static ssize_t receive(void)
{
    struct iovec segment = { .iov_base = got, .iov_len = sizeof(got) };

    memset(got, 0xee, HEADER);
    return frame_stream_receive(stream, &segment, 1);
}

static void expect(size_t length)
{
    const struct uplink_header none = { .flags = 0 };

    assert_int_equal(receive(), HEADER + length);
    assert_memory_equal(got, &none, HEADER);
    assert_memory_equal(got + HEADER, bytes, length);
}

static void test_frames_one_after_the_other(void **state)
{
    (void)state;
    assert_int_equal(receive(), -EAGAIN);
    for (size_t length = UPLINK_FRAME_MIN; length < 2000; length += 331)
        peer_sends(length);
    for (size_t length = UPLINK_FRAME_MIN; length < 2000; length += 331)
        expect(length);
    assert_int_equal(receive(), -EAGAIN);
    peer_sends(UPLINK_FRAME_MAX);
    expect(UPLINK_FRAME_MAX);
}

/* The stream is cut after each single byte. */
static void test_every_cut(void **state)
{
    uint8_t message[4 + 40];
    uint32_t prefix = htonl(40);

    (void)state;
    memcpy(message, &prefix, 4);
    memcpy(message + 4, bytes, 40);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof(message); i++) {
            assert_int_equal(receive(), -EAGAIN);
            peer_writes(message + i, 1);
        }
        expect(40);
    }
}

/* Many times the buffer: frames begin at its end and go on at its start. */
static void test_ten_megabytes(void **state)
{
    size_t next = 0, expected = 0;

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        peer_sends(UPLINK_FRAME_MIN + (next++ * 977) % 9000);
        if (i % 5 == 4)
            while (expected < next)
                expect(UPLINK_FRAME_MIN + (expected++ * 977) % 9000);
    }
    assert_int_equal(expected, next);
}

static void test_lengths_that_cannot_be(void **state)
{
    static const uint32_t lies[] = {
        0, 1, UPLINK_FRAME_MIN - 1, UPLINK_FRAME_MAX + 1, 0x7fffffff, 0x80000000, 0xffffffff,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        uint32_t prefix = htonl(lies[i]);

        peer_sends(100);
        peer_writes(&prefix, sizeof(prefix));
        peer_writes(bytes, 1000);
        expect(100);
        assert_int_equal(receive(), -EPROTO);
        /* For good: nothing after it has a meaning. */
        assert_int_equal(receive(), -EPROTO);
        tear_down(NULL);
        set_up(NULL);
    }
}

static void test_the_end_of_the_peer(void **state)
{
    (void)state;
    peer_sends(100);
    peer_writes(bytes, 3);
    close(peer);
    peer = -1;
    expect(100);
    assert_int_equal(receive(), -EPIPE);
}

/* Into pieces of any size; what has no room is cut. */
static void test_scattered(void **state)
{
    struct iovec segments[50];

    (void)state;
    for (size_t size = 1; size < 40; size++) {
        size_t room = 0;

        for (size_t i = 0; i < 50; i++) {
            segments[i] = (struct iovec){ .iov_base = got + room, .iov_len = i % 7 ? size : 0 };
            room += segments[i].iov_len;
        }
        peer_sends(200);
        if (room > HEADER + 200)
            room = HEADER + 200;
        assert_int_equal(frame_stream_receive(stream, segments, 50), room);
        if (room > HEADER)
            assert_memory_equal(got + HEADER, bytes, room - HEADER);
        assert_int_equal(receive(), -EAGAIN);
    }
}

static ssize_t send_frame(size_t length)
{
    struct uplink_header header = { .flags = 0 };
    struct iovec segments[3] = {
        { .iov_base = &header, .iov_len = HEADER },
        { .iov_base = bytes, .iov_len = length / 3 },
        { .iov_base = bytes + length / 3, .iov_len = length - length / 3 },
    };

    return frame_stream_send(stream, segments, 3);
}

static bool flushing = true; /* while the peer reads */

static void peer_reads(void *into, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t part = read(peer, (uint8_t *)into + done, length - done);

        assert_true(part > 0);
        done += (size_t)part;
        if (flushing)
            frame_stream_flush(stream);
    }
}

static void peer_expects(size_t length)
{
    uint32_t prefix;

    peer_reads(&prefix, sizeof(prefix));
    assert_int_equal(ntohl(prefix), length);
    peer_reads(got, length);
    assert_memory_equal(got, bytes, length);
}

/* A socket that takes little: whole frames or none for the caller, and no byte too few. */
static void test_short_writes(void **state)
{
    int small = 1;
    size_t sent = 0, taken = 0;

    (void)state;
    setsockopt(own, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    while (taken < 300) {
        ssize_t result = send_frame(UPLINK_FRAME_MIN + (sent * 7919) % 60000);

        if (result == -EAGAIN || sent - taken > 100) {
            peer_expects(UPLINK_FRAME_MIN + (taken * 7919) % 60000);
            taken++;
        }
        if (result >= 0)
            sent++;
    }
    assert_true(sent >= taken);
}

static void test_nothing_to_flush(void **state)
{
    (void)state;
    assert_true(frame_stream_flush(stream));
    assert_true(send_frame(100) > 0);
    assert_true(frame_stream_flush(stream));
    peer_expects(100);
}

static void test_what_is_left_must_be_flushed(void **state)
{
    size_t sent = 0;

    (void)state;
    while (send_frame(60000) > 0)
        sent++;
    assert_false(frame_stream_flush(stream));
    for (size_t i = 0; i < sent; i++)
        peer_expects(60000);
    assert_true(frame_stream_flush(stream));
}

/* There is room again, and nobody has flushed: the next frame must not cut in. */
static void test_a_frame_follows_the_rest_of_the_one_before(void **state)
{
    size_t sent = 0;

    (void)state;
    while (send_frame(60000) > 0)
        sent++;
    assert_true(sent >= 2);
    flushing = false;
    peer_expects(60000);
    flushing = true;
    assert_true(send_frame(100) > 0);
    for (size_t i = 1; i < sent; i++)
        peer_expects(60000);
    peer_expects(100);
}

static void test_sending_to_nobody(void **state)
{
    (void)state;
    close(peer);
    peer = -1;
    assert_int_equal(send_frame(100), -EPIPE);
}

static void test_a_frame_too_large_to_send(void **state)
{
    struct uplink_header header = { .flags = 0 };
    struct iovec segments[3] = {
        { .iov_base = &header, .iov_len = HEADER },
        { .iov_base = bytes, .iov_len = UPLINK_FRAME_MAX },
        { .iov_base = bytes, .iov_len = 1 },
    };

    (void)state;
    assert_int_equal(frame_stream_send(stream, segments, 3), -EMSGSIZE);
    assert_true(send_frame(100) > 0);
    peer_expects(100);
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(test_frames_one_after_the_other),
        STREAM_TEST(test_every_cut),
        STREAM_TEST(test_ten_megabytes),
        STREAM_TEST(test_lengths_that_cannot_be),
        STREAM_TEST(test_the_end_of_the_peer),
        STREAM_TEST(test_scattered),
        STREAM_TEST(test_short_writes),
        STREAM_TEST(test_nothing_to_flush),
        STREAM_TEST(test_what_is_left_must_be_flushed),
        STREAM_TEST(test_a_frame_follows_the_rest_of_the_one_before),
        STREAM_TEST(test_sending_to_nobody),
        STREAM_TEST(test_a_frame_too_large_to_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
