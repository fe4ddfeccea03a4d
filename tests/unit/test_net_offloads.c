/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net, what a frame from the guest says of itself: headers that lie. */
#include "tests/support/net_bench.h"
#include "tests/support/fetch_watch.h"

#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_passes_of_a_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_checksum_outside_of_the_frame_is_dropped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_segmentation_as_negotiated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_segmentation_that_was_not_negotiated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_header_is_fetched_once, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
