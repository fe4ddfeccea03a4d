/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net, frames from the guest: headers that lie, frames that are none, and a host that refuses. */
#include "tests/support/fake_driver.h"
#include "tests/support/fake_uplink.h"
#include "tests/support/fetch_watch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEADER sizeof(struct uplink_header)
#define RX 0u
#define TX 1u
#define AT 0x100u       /* a header, and the frame behind it */
#define FRAME_AT 0x1000u

static struct fixture fixture;
static struct fake_driver driver;
static struct fake_uplink *uplink;
static struct fake_net_options options;
static struct virtq_used_element used;
static uint8_t got[HEADER + UPLINK_FRAME_MAX];

static struct net *net(void)
{
    return (struct net *)virtio_mmio_device(driver.device);
}

static int set_up_with(unsigned int pairs)
{
    fixture_init(&fixture);
    uplink = pairs ? fake_uplink_create(pairs) : NULL;
    options.uplink = uplink;
    fake_driver_create(&driver, &fixture, &fake_net_class, &options);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    options = (struct fake_net_options){ .uplink = NULL };
    return set_up_with(1);
}

static int set_up_without_uplink(void **state)
{
    (void)state;
    options = (struct fake_net_options){ .uplink = NULL };
    return set_up_with(0);
}

static int set_up_limited(void **state)
{
    (void)state;
    options = (struct fake_net_options){
        .net.transmit_rate.operations = { .size = 3, .refill_ns = 30000000 },
    };
    return set_up_with(1);
}

static int tear_down(void **state)
{
    (void)state;
    fake_driver_destroy(&driver);
    fixture_release(&fixture);
    return 0;
}

static void start(uint64_t features)
{
    fake_driver_start(&driver, features, 2);
    fake_driver_run(&driver);
}

/* HEADER_BYTES and LENGTH bytes of a frame, in one buffer each; the head. */
static uint16_t send_frame(const struct uplink_header *header, uint32_t length)
{
    memcpy(fake_memory(&driver, AT, HEADER), header, HEADER);
    for (uint32_t i = 0; i < length; i++)
        *(uint8_t *)fake_memory(&driver, FRAME_AT + i, 1) = (uint8_t)(i * 7 + length);
    return fake_driver_send(&driver, TX, FAKE_DIRECT, 2,
                            (struct fake_buffer[]){ { AT, HEADER }, { FRAME_AT, length } });
}

static const struct uplink_header *expect_sent(uint32_t length)
{
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), HEADER + length);
    assert_memory_equal(got + HEADER, fake_memory(&driver, FRAME_AT, length), length);
    return (const struct uplink_header *)(const void *)got;
}

static void expect_nothing_sent(void)
{
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), 0);
}

static const struct uplink_header empty;

static void test_a_frame_leaves(void **state)
{
    uint16_t head;

    (void)state;
    start(0);
    head = send_frame(&empty, 1000);
    assert_memory_equal(expect_sent(1000), &empty, HEADER);
    assert_true(fake_driver_used(&driver, TX, &used));
    assert_int_equal(used.id, head);
    assert_int_equal(used.length, 0);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    /* The driver is asked to tell of the next. */
    assert_int_equal(fake_avail_event(&driver, TX), 1);
    fake_uplink_expect_idle(fixture.env.loop);
}

/* Header and frame split anywhere, also in the same buffer, also byte by byte. */
static void test_every_split_of_the_header(void **state)
{
    struct fake_buffer pieces[80];
    uint8_t *bytes;

    (void)state;
    start(0);
    bytes = fake_memory(&driver, AT, 200);
    for (uint32_t i = 0; i < 200; i++)
        bytes[i] = i < HEADER ? 0 : (uint8_t)i;
    for (uint32_t cut = 0; cut <= 72; cut++) {
        fake_driver_send(&driver, TX, FAKE_DIRECT, 2,
                         (struct fake_buffer[]){ { AT, cut }, { AT + cut, 72 - cut } });
        assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), 72);
        assert_memory_equal(got, bytes, 72);
        assert_true(fake_driver_used(&driver, TX, &used));
    }
    for (uint32_t i = 0; i < 80; i++)
        pieces[i] = (struct fake_buffer){ AT + i, 1 };
    fake_driver_send(&driver, TX, FAKE_INDIRECT, 80, pieces);
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), 80);
    assert_memory_equal(got, bytes, 80);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 1, (struct fake_buffer[]){ { AT, 200 } });
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), 200);
}

static void test_a_header_too_short(void **state)
{
    (void)state;
    for (uint32_t length = 0; length < HEADER; length += 11) {
        start(0);
        fake_driver_send(&driver, TX, FAKE_DIRECT, 1, (struct fake_buffer[]){ { AT, length } });
        assert_true(fake_driver_needs_reset(&driver));
        expect_nothing_sent();
    }
}

static void test_a_frame_in_writable_memory(void **state)
{
    (void)state;
    start(0);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 2,
                     (struct fake_buffer[]){ { AT, 100 }, { FRAME_AT, 100, true } });
    assert_true(fake_driver_needs_reset(&driver));
    expect_nothing_sent();
}

static void test_a_frame_across_the_hole(void **state)
{
    (void)state;
    start(0);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 2,
                     (struct fake_buffer[]){ { AT, HEADER }, { FIXTURE_LOW_SIZE - 50, 100 } });
    assert_true(fake_driver_needs_reset(&driver));
    expect_nothing_sent();
}

/* Runts and giants are dropped and given back; the next one leaves. */
static void test_frames_of_no_size_are_dropped_and_counted(void **state)
{
    struct fake_buffer giant[3] = {
        { AT, HEADER }, { FRAME_AT, UPLINK_FRAME_MAX }, { FRAME_AT, 1 },
    };

    (void)state;
    start(0);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 1, (struct fake_buffer[]){ { AT, HEADER } });
    send_frame(&empty, UPLINK_FRAME_MIN - 1);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 3, giant);
    /* The same megabyte many times over: amplified by descriptors, not by us. */
    for (unsigned int i = 0; i < 2; i++)
        giant[i + 1] = (struct fake_buffer){ 0, FIXTURE_LOW_SIZE };
    fake_driver_send(&driver, TX, FAKE_DIRECT, 3, giant);
    expect_nothing_sent();
    assert_int_equal(net()->counters.sent_dropped, 4);
    for (unsigned int i = 0; i < 4; i++)
        assert_true(fake_driver_used(&driver, TX, &used));
    send_frame(&empty, UPLINK_FRAME_MIN);
    expect_sent(UPLINK_FRAME_MIN);
    fake_driver_send(&driver, TX, FAKE_DIRECT, 2, (struct fake_buffer[]){
        { AT, HEADER }, { 0x40000, UPLINK_FRAME_MAX } });
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), HEADER + UPLINK_FRAME_MAX);
    assert_memory_equal(got + HEADER, fake_memory(&driver, 0x40000, UPLINK_FRAME_MAX),
                        UPLINK_FRAME_MAX);
    assert_false(fake_driver_needs_reset(&driver));
}

/* Flags are masked by what was negotiated; hints are cut; the rest of a header is empty. */
static void test_what_passes_of_a_header(void **state)
{
    const struct uplink_header all = {
        .flags = 0xff, .header_length = 60000, .checksum_start = 34, .checksum_offset = 16,
        .gso_size = 99, .buffers = 77,
    };
    const struct uplink_header *sent;

    (void)state;
    start(0);
    send_frame(&all, 100);
    sent = expect_sent(100);
    assert_int_equal(sent->flags, 0);
    assert_int_equal(sent->checksum_start, 0);
    assert_int_equal(sent->checksum_offset, 0);
    start(NET_F_CSUM);
    send_frame(&all, 100);
    sent = expect_sent(100);
    assert_int_equal(sent->flags, NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(sent->checksum_start, 34);
    assert_int_equal(sent->checksum_offset, 16);
    assert_int_equal(sent->header_length, 100);
    assert_int_equal(sent->gso_size, 0);
    assert_int_equal(sent->buffers, 0);
}

static void test_a_checksum_outside_of_the_frame_is_dropped(void **state)
{
    static const uint16_t places[][2] = { { 99, 0 }, { 0, 99 }, { 65535, 65535 }, { 50, 49 } };

    (void)state;
    start(NET_F_CSUM);
    for (size_t i = 0; i < 4; i++) {
        struct uplink_header header = {
            .flags = NET_HDR_F_NEEDS_CSUM,
            .checksum_start = places[i][0],
            .checksum_offset = places[i][1],
        };

        send_frame(&header, 100);
        expect_nothing_sent();
        assert_int_equal(net()->counters.sent_dropped, i + 1);
    }
    assert_false(fake_driver_needs_reset(&driver));
}

static const struct gso_case {
    uint8_t type;
    uint64_t features;
} gso_cases[] = {
    { NET_GSO_TCPV4, NET_F_HOST_TSO4 },
    { NET_GSO_TCPV6, NET_F_HOST_TSO6 },
    { NET_GSO_TCPV4 | NET_GSO_ECN, NET_F_HOST_TSO4 | NET_F_HOST_ECN },
    { NET_GSO_TCPV6 | NET_GSO_ECN, NET_F_HOST_TSO6 | NET_F_HOST_ECN },
    { NET_GSO_UDP, NET_F_HOST_UFO },
    { NET_GSO_UDP_L4, NET_F_HOST_USO },
};

static void test_segmentation_as_negotiated(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(gso_cases) / sizeof(gso_cases[0]); i++) {
        struct uplink_header header = {
            .flags = NET_HDR_F_NEEDS_CSUM, .gso_type = gso_cases[i].type, .gso_size = 1448,
        };

        start(NET_F_CSUM | gso_cases[i].features);
        send_frame(&header, 9000);
        assert_int_equal(expect_sent(9000)->gso_type, gso_cases[i].type);
        /* No size to cut it into. */
        header.gso_size = 0;
        send_frame(&header, 9000);
        expect_nothing_sent();
        assert_false(fake_driver_needs_reset(&driver));
    }
}

static void test_segmentation_that_was_not_negotiated(void **state)
{
    static const uint64_t all = NET_F_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_ECN |
                                NET_F_HOST_UFO | NET_F_HOST_USO;

    (void)state;
    for (unsigned int type = 1; type < 256; type++) {
        struct uplink_header header = { .gso_type = (uint8_t)type, .gso_size = 1448 };
        uint64_t features = all;

        for (size_t i = 0; i < sizeof(gso_cases) / sizeof(gso_cases[0]); i++)
            if (gso_cases[i].type == type)
                features &= ~gso_cases[i].features;
        start(features);
        send_frame(&header, 200);
        assert_true(fake_driver_needs_reset(&driver));
        expect_nothing_sent();
    }
}

/* The host's queue is full: the frame stays, in its order, and leaves by EPOLLOUT. */
static void test_eagain_keeps_the_frame(void **state)
{
    (void)state;
    start(0);
    uplink->send = (struct fake_fault){ .result = -EAGAIN, .failures = 3 };
    send_frame(&empty, 100);
    /* Each round of the loop is one try: nothing spins. */
    assert_true(fake_driver_wait(&driver, TX, &used));
    assert_int_equal(uplink->sends, 4);
    expect_sent(100);
    expect_nothing_sent();
    assert_int_equal(net()->counters.sent_dropped, 0);
}

static void test_a_full_host_keeps_the_order(void **state)
{
    unsigned int sent = 0, taken = 0;

    (void)state;
    start(0);
    memcpy(fake_memory(&driver, AT, HEADER), &empty, HEADER);
    /* More than the socket takes at once. */
    for (unsigned int i = 0; i < 100; i++) {
        uint64_t address = 0x20000 + 4096 * i;

        memset(fake_memory(&driver, address, 4000), (int)i, 4000);
        fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                        (struct fake_buffer[]){ { AT, HEADER }, { address, 4000 } });
    }
    fake_driver_kick(&driver, TX);
    while (fake_driver_used(&driver, TX, &used))
        sent++;
    assert_in_range(sent, 1, 99);
    for (unsigned int tries = 0; taken < 100 && tries < 100000; tries++) {
        if (fake_uplink_take(uplink, 0, got, sizeof(got)) == 0) {
            fake_driver_run(&driver);
            continue;
        }
        assert_int_equal(got[HEADER], taken);
        assert_int_equal(got[HEADER + 3999], taken);
        taken++;
    }
    assert_int_equal(taken, 100);
    while (fake_driver_used(&driver, TX, &used))
        sent++;
    assert_int_equal(sent, 100);
}

static void test_errors_of_the_host_drop_and_count(void **state)
{
    static const int errors[] = { EIO, ENETDOWN, ENOBUFS, EINVAL, ENOMEM, EMSGSIZE };

    (void)state;
    start(0);
    for (unsigned int i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        uplink->send = (struct fake_fault){ .result = -errors[i], .failures = 1 };
        send_frame(&empty, 100);
        assert_true(fake_driver_used(&driver, TX, &used));
        expect_nothing_sent();
        assert_int_equal(net()->counters.sent_dropped, i + 1);
        send_frame(&empty, 100);
        assert_true(fake_driver_used(&driver, TX, &used));
        expect_sent(100);
    }
}

/* A guest whose uplink has ended does not hang: its frames go nowhere. */
static void test_frames_after_the_end_of_the_uplink(void **state)
{
    (void)state;
    start(NET_F_STATUS);
    uplink->send = (struct fake_fault){ .result = -EPIPE, .failures = 1 };
    for (unsigned int i = 0; i < 5; i++) {
        send_frame(&empty, 100);
        assert_true(fake_driver_used(&driver, TX, &used));
    }
    assert_int_equal(uplink->sends, 1);
    assert_int_equal(net()->counters.sent_dropped, 5);
    assert_int_equal(memory_log_lines(&fixture.log), 1);
    assert_false(fake_driver_needs_reset(&driver));
}

static void test_what_was_sent_in_part_is_flushed(void **state)
{
    unsigned int before;

    (void)state;
    start(0);
    uplink->unflushed = true;
    send_frame(&empty, 100);
    before = uplink->flushes;
    fake_driver_run(&driver);
    assert_true(uplink->flushes > before);
    uplink->unflushed = false;
    fake_driver_run(&driver);
    before = uplink->flushes;
    fake_driver_run(&driver);
    assert_int_equal(uplink->flushes, before);
}

static void refill(void)
{
    /* The chain before is given back by now: its descriptors are free. */
    fake_driver_used(&driver, TX, &used);
    fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                    (struct fake_buffer[]){ { AT, HEADER }, { FRAME_AT, 60 } });
}

/* A guest that refills as fast as the device drains starves nobody: a round has an end. */

static void test_a_round_ends_at_the_queue_size(void **state)
{
    (void)state;
    start(0);
    for (uint16_t i = 0; i < 100; i++)
        fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                        (struct fake_buffer[]){ { AT, HEADER }, { FRAME_AT, 60 } });
    uplink->send = (struct fake_fault){ .result = 60, .failures = 100000 };
    uplink->sent = refill;
    pthread_mutex_lock(&driver.device->lock);
    net_class.kick(&net()->virtio, TX);
    pthread_mutex_unlock(&driver.device->lock);
    assert_int_equal(uplink->sends, NET_QUEUE_SIZE);
    /* And it goes on by itself, after the others. */
    fake_driver_run(&driver);
    assert_true(uplink->sends >= 2 * NET_QUEUE_SIZE);
    uplink->sent = NULL;
    uplink->send.failures = 0;
}

static void test_no_device_behind(void **state)
{
    uint16_t status;

    (void)state;
    start(NET_F_STATUS | NET_F_MAC);
    fake_driver_config(&driver, 6, &status, sizeof(status));
    assert_int_equal(status, 0);
    send_frame(&empty, 100);
    assert_true(fake_driver_used(&driver, TX, &used));
    fake_driver_send(&driver, RX, FAKE_DIRECT, 1,
                     (struct fake_buffer[]){ { FRAME_AT, 1526, true } });
    assert_false(fake_driver_used(&driver, RX, &used));
}

/* Three at once, the others when it is time, each without a kick. */
static void test_a_rate_limit_holds_and_goes_on(void **state)
{
    unsigned int sent = 0;

    (void)state;
    start(0);
    memcpy(fake_memory(&driver, AT, HEADER), &empty, HEADER);
    for (uint16_t i = 0; i < 9; i++)
        fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                        (struct fake_buffer[]){ { AT, HEADER }, { FRAME_AT, 60 } });
    fake_driver_kick(&driver, TX);
    assert_in_range(uplink->sends, 1, 6);
    while (fake_driver_wait(&driver, TX, &used))
        if (++sent == 9)
            break;
    assert_int_equal(sent, 9);
}

static void corrupt(void *context, uint8_t *page, size_t offset)
{
    (void)context;
    page[offset] = 0xff;
}

/* The header is read once; what the guest writes there afterwards is not seen. */
static void test_a_header_is_fetched_once(void **state)
{
    struct uplink_header header = {
        .flags = NET_HDR_F_NEEDS_CSUM, .checksum_start = 34, .checksum_offset = 16,
    };

    (void)state;
    if (!fetch_watch_works())
        skip();
    start(NET_F_CSUM);
    memcpy(fake_memory(&driver, 0x3000, HEADER), &header, HEADER);
    fake_driver_add(&driver, TX, FAKE_DIRECT, 2,
                    (struct fake_buffer[]){ { 0x3000, HEADER }, { FRAME_AT, 100 } });
    fetch_watch_start(fake_memory(&driver, 0x3000, FETCH_WATCH_PAGE), corrupt, NULL);
    pthread_mutex_lock(&driver.device->lock);
    net_class.kick(&net()->virtio, TX);
    pthread_mutex_unlock(&driver.device->lock);
    fetch_watch_stop();
    assert_int_equal(fetch_watch_most(), 1);
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), HEADER + 100);
}

#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(test_a_frame_leaves),
        NET_TEST(test_every_split_of_the_header),
        NET_TEST(test_a_header_too_short),
        NET_TEST(test_a_frame_in_writable_memory),
        NET_TEST(test_a_frame_across_the_hole),
        NET_TEST(test_frames_of_no_size_are_dropped_and_counted),
        NET_TEST(test_what_passes_of_a_header),
        NET_TEST(test_a_checksum_outside_of_the_frame_is_dropped),
        NET_TEST(test_segmentation_as_negotiated),
        NET_TEST(test_segmentation_that_was_not_negotiated),
        NET_TEST(test_eagain_keeps_the_frame),
        NET_TEST(test_a_full_host_keeps_the_order),
        NET_TEST(test_errors_of_the_host_drop_and_count),
        NET_TEST(test_frames_after_the_end_of_the_uplink),
        NET_TEST(test_what_was_sent_in_part_is_flushed),
        NET_TEST(test_a_round_ends_at_the_queue_size),
        cmocka_unit_test_setup_teardown(test_no_device_behind, set_up_without_uplink, tear_down),
        cmocka_unit_test_setup_teardown(test_a_rate_limit_holds_and_goes_on, set_up_limited,
                                        tear_down),
        NET_TEST(test_a_header_is_fetched_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
