/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net: --net, the configuration space, features, and pairs of queues by the control queue. */
#include "tests/support/fake_driver.h"
#include "tests/support/device_options.h"
#include "tests/support/fake_uplink.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAIRS 3u
#define CONTROL 6u
#define MQ (NET_F_CTRL_VQ | NET_F_MQ)
#define AT 0x100u
#define ANSWER_AT 0x200u

static struct fixture fixture;
static struct fake_driver driver;
static struct fake_uplink *uplink;
static struct fake_net_options options;
static struct virtq_used_element used;

static struct net *net(void)
{
    return (struct net *)virtio_device_of(driver.device);
}

static int set_up_with(unsigned int pairs)
{
    fixture_init(&fixture);
    uplink = fake_uplink_create(pairs);
    options = (struct fake_net_options){
        .net = { .mac = { 0x52, 0x54, 0, 1, 2, 3 } }, .uplink = uplink,
    };
    fake_driver_create(&driver, &fixture, &fake_net_class, &options);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_with(PAIRS);
}

static int set_up_single(void **state)
{
    (void)state;
    return set_up_with(1);
}

static int tear_down(void **state)
{
    (void)state;
    fake_driver_destroy(&driver);
    fixture_release(&fixture);
    return 0;
}

/* ---- configuration space ---- */

static void test_configuration_space(void **state)
{
    struct net_config config;
    uint32_t beyond = 1;

    (void)state;
    fake_driver_start(&driver, NET_F_MAC | NET_F_STATUS | NET_F_MTU | MQ, 2 * PAIRS + 1);
    fake_driver_config(&driver, 0, &config, sizeof(config));
    assert_memory_equal(config.mac, options.net.mac, 6);
    assert_int_equal(config.status, NET_S_LINK_UP);
    assert_int_equal(config.pairs_max, PAIRS);
    assert_int_equal(config.mtu, 1500);
    device_read(driver.device, VIRTIO_MMIO_CONFIG + 10, (uint8_t *)&beyond, 4);
    assert_int_equal(beyond, 0);
    /* Not for the driver to write. */
    fake_driver_write(&driver, VIRTIO_MMIO_CONFIG, 0xffffffff);
    fake_driver_config(&driver, 0, &config, sizeof(config));
    assert_memory_equal(config.mac, options.net.mac, 6);
}

static void test_a_random_mac_is_local_and_of_one(void **state)
{
    uint8_t macs[2][6];

    (void)state;
    for (unsigned int i = 0; i < 2; i++) {
        tear_down(NULL);
        fixture_init(&fixture);
        uplink = fake_uplink_create(1);
        options = (struct fake_net_options){ .uplink = uplink };
        fake_driver_create(&driver, &fixture, &fake_net_class, &options);
        memcpy(macs[i], net()->config.mac, 6);
        assert_int_equal(macs[i][0] & 3, 2);
    }
    assert_memory_not_equal(macs[0], macs[1], 6);
}

/* The host sends what the guest takes, and stops that at a reset and for the next driver. */
static void test_offloads_follow_the_negotiation(void **state)
{
    (void)state;
    fake_driver_start(&driver, NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_USO6, 2);
    assert_int_equal(uplink->offloads_set, UPLINK_CHECKSUM | UPLINK_TSO4 | UPLINK_USO6);
    fake_driver_start(&driver, NET_F_CSUM | NET_F_HOST_TSO4, 2);
    assert_int_equal(uplink->offloads_set, 0);
    /* The host refuses a set that makes no sense: frames come whole. */
    uplink->offloads_set = 99;
    uplink->set_offloads = (struct fake_fault){ .result = -EINVAL, .failures = 1 };
    fake_driver_start(&driver, NET_F_GUEST_CSUM | NET_F_GUEST_TSO6, 2);
    assert_int_equal(uplink->offloads_set, 0);
    assert_false(fake_driver_needs_reset(&driver));
}

/* 5.1.3.1: what a feature needs beside it; refused without, taken with. */
static void test_features_that_need_others(void **state)
{
    static const struct { uint64_t feature, needs; } cases[] = {
        { NET_F_GUEST_TSO4, NET_F_GUEST_CSUM },
        { NET_F_GUEST_TSO6, NET_F_GUEST_CSUM },
        { NET_F_GUEST_ECN, NET_F_GUEST_CSUM | NET_F_GUEST_TSO6 },
        { NET_F_GUEST_USO4, NET_F_GUEST_CSUM },
        { NET_F_GUEST_USO6, NET_F_GUEST_CSUM },
        { NET_F_HOST_TSO4, NET_F_CSUM },
        { NET_F_HOST_TSO6, NET_F_CSUM },
        { NET_F_HOST_ECN, NET_F_CSUM | NET_F_HOST_TSO4 },
        { NET_F_HOST_USO, NET_F_CSUM },
        { NET_F_MQ, NET_F_CTRL_VQ },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t offered = fake_driver_reset(&driver);

        if (!(offered & cases[i].feature))
            continue;
        assert_false(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1 | cases[i].feature));
        fake_driver_reset(&driver);
        assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1 | cases[i].feature |
                                                       cases[i].needs));
        fake_driver_reset(&driver);
        /* Segments without sums below them. */
        assert_false(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1 | NET_F_HOST_ECN |
                                                        NET_F_HOST_TSO4));
    }
}

/* ---- the control queue ---- */

static void start_pairs(void)
{
    fake_driver_start(&driver, MQ, 2 * PAIRS + 1);
    fake_driver_run(&driver);
}

static uint8_t command(unsigned int queue, const void *bytes, uint32_t length)
{
    uint8_t *answer = fake_memory(&driver, ANSWER_AT, 1);

    *answer = 0xee;
    memcpy(fake_memory(&driver, AT, length), bytes, length);
    fake_driver_send(&driver, queue, FAKE_DIRECT, 3, (struct fake_buffer[]){
        { AT, 2 }, { AT + 2, length - 2 }, { ANSWER_AT, 1, true } });
    assert_true(fake_driver_used(&driver, queue, &used));
    assert_int_equal(used.length, 1);
    return *answer;
}

static void receive_on(unsigned int pair, bool expected)
{
    const uint8_t frame[60] = { (uint8_t)pair };

    fake_driver_add(&driver, 2 * pair, FAKE_DIRECT, 1,
                    (struct fake_buffer[]){ { 0x2000 + 0x800 * pair, 1526, true } });
    fake_driver_kick(&driver, 2 * pair);
    fake_uplink_put(uplink, pair, frame, sizeof(frame));
    fake_driver_run(&driver);
    assert_int_equal(fake_driver_used(&driver, 2 * pair, &used), expected);
}

static void test_pairs_by_the_control_queue(void **state)
{
    (void)state;
    start_pairs();
    assert_int_equal(uplink->pairs_set, 1);
    receive_on(0, true);
    receive_on(1, false);
    assert_int_equal(command(CONTROL, (uint8_t[]){ 4, 0, PAIRS, 0 }, 4), 0);
    assert_int_equal(uplink->pairs_set, PAIRS);
    fake_driver_run(&driver);
    /* What waited arrives now, without another kick. */
    assert_true(fake_driver_used(&driver, 2, &used));
    receive_on(2, true);
    /* With a buffer left it waits for frames; they must not wake it when it is unused. */
    fake_driver_send(&driver, 4, FAKE_DIRECT, 1, (struct fake_buffer[]){ { 0x3800, 1526, true } });
    assert_int_equal(command(CONTROL, (uint8_t[]){ 4, 0, 1, 0 }, 4), 0);
    assert_int_equal(uplink->pairs_set, 1);
    receive_on(2, false);
    fake_uplink_expect_idle(fixture.env.loop);
    receive_on(0, true);
}

static void test_wrong_commands_are_refused(void **state)
{
    static const uint8_t wrong[][4] = {
        { 4, 0, 0, 0 }, { 4, 0, PAIRS + 1, 0 }, { 4, 0, 0xff, 0xff }, { 4, 1, 1, 0 },
        { 0, 0, 1, 0 }, { 5, 0, 1, 0 },         { 255, 255, 1, 0 },   { 4, 0, 1, 1 },
    };

    (void)state;
    start_pairs();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(command(CONTROL, wrong[i], 4), 1);
    assert_int_equal(command(CONTROL, (uint8_t[]){ 4, 0, 1 }, 3), 1);
    uplink->set_pairs = (struct fake_fault){ .result = -EINVAL, .failures = 1 };
    assert_int_equal(command(CONTROL, (uint8_t[]){ 4, 0, 2, 0 }, 4), 1);
    assert_int_equal(net()->active, 1);
    assert_false(fake_driver_needs_reset(&driver));
}

static void test_a_command_that_is_none(void **state)
{
    (void)state;
    start_pairs();
    fake_driver_send(&driver, CONTROL, FAKE_DIRECT, 2,
                     (struct fake_buffer[]){ { AT, 1 }, { ANSWER_AT, 1, true } });
    assert_true(fake_driver_needs_reset(&driver));
    start_pairs();
    fake_driver_send(&driver, CONTROL, FAKE_DIRECT, 1, (struct fake_buffer[]){ { AT, 4 } });
    assert_true(fake_driver_needs_reset(&driver));
}

/* Without MQ the control queue is the third, and the others are nothing (5.1.2). */
static void test_the_control_queue_without_mq(void **state)
{
    (void)state;
    fake_driver_start(&driver, NET_F_CTRL_VQ, 3);
    fake_driver_run(&driver);
    assert_int_equal(command(2, (uint8_t[]){ 4, 0, 2, 0 }, 4), 1);
    assert_int_equal(uplink->pairs_set, 1);
}

/* Each switch of a tap's queues has the host's kernel wait for all its CPUs: there are so many in a second. */
static void test_more_commands_than_the_rate(void **state)
{
    unsigned int answers = 0;

    (void)state;
    start_pairs();
    memcpy(fake_memory(&driver, AT, 4), (uint8_t[]){ 4, 0, 1, 0 }, 4);
    for (unsigned int i = 0; i < 80; i++)
        fake_driver_add(&driver, CONTROL, FAKE_DIRECT, 2,
                        (struct fake_buffer[]){ { AT, 4 }, { ANSWER_AT, 1, true } });
    fake_driver_kick(&driver, CONTROL);
    while (fake_driver_used(&driver, CONTROL, &used))
        answers++;
    assert_in_range(answers, 16, 40);
    /* The others have their turn without a kick. */
    while (answers < 80 && fake_driver_wait(&driver, CONTROL, &used))
        answers++;
    assert_int_equal(answers, 80);
    /* And by notification, as the event index says. */
    assert_int_equal(fake_avail_event(&driver, CONTROL), 80);
}

/* ---- --net ---- */

static struct net_options parsed;

static int parse(const char *text, struct error *error)
{
    void *created = NULL;
    int result;

    *error = (struct error)ERROR_INIT;
    result = device_options_parse("net", text, &created, error);
    if (result == 0) {
        parsed = *(struct net_options *)created;
        device_options_release(created);
    }
    return result;
}

static void test_options(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(parse("none", &error), 0);
    assert_int_equal(parsed.kind, NET_NONE);
    assert_int_equal(parsed.mac[0] | parsed.mac[5], 0);
    assert_int_equal(parsed.pairs, 1);
    assert_int_equal(parse("tap:tap0,mac=52:54:00:AB:cd:01,queues=7,rate=10M,offloads=off", &error),
                     0);
    assert_int_equal(parsed.kind, NET_TAP);
    assert_string_equal(parsed.tap, "tap0");
    assert_memory_equal(parsed.mac, ((uint8_t[]){ 0x52, 0x54, 0, 0xab, 0xcd, 1 }), 6);
    assert_int_equal(parsed.pairs, 7);
    assert_int_equal(parsed.receive_rate.bytes.size, 10 << 20);
    assert_int_equal(parsed.transmit_rate.bytes.size, 10 << 20);
    assert_false(parsed.offloads);
    /* Either direction may have a limit of its own. */
    assert_int_equal(parse("none,rate=10M,tx-rate=1M,tx-once=3M,rx-ops=9", &error), 0);
    assert_int_equal(parsed.receive_rate.bytes.size, 10 << 20);
    assert_int_equal(parsed.receive_rate.operations.size, 9);
    assert_int_equal(parsed.transmit_rate.bytes.size, 1 << 20);
    assert_int_equal(parsed.transmit_rate.bytes.once, 3 << 20);
    assert_int_equal(parsed.transmit_rate.operations.size, 0);
    assert_true(parse("none,rx-burst=1M", &error) < 0);
    assert_non_null(strstr(error.message, "rx-burst= is nothing without a rate; add rx-rate="));
    assert_int_equal(parse("tap-fd:5", &error), 0);
    assert_int_equal(parsed.kind, NET_TAP_FD);
    assert_int_equal(parsed.fd, 5);
    assert_int_equal(parse("user,forward=tcp:8080:80,forward=udp:53:5353", &error), 0);
    assert_int_equal(parsed.kind, NET_USER);
    assert_int_equal(parsed.user.forward_count, 2);
    assert_false(parsed.user.forwards[0].udp);
    assert_int_equal(parsed.user.forwards[0].host_port, 8080);
    assert_int_equal(parsed.user.forwards[0].guest_port, 80);
    assert_true(parsed.user.forwards[1].udp);
    /* The network of mote run, whose addresses every host gives alike. */
    assert_false(parsed.user.private_network);
    assert_int_equal(parse("user,private,forward=tcp:8080:80", &error), 0);
    assert_true(parsed.user.private_network);
    /* What is open to the guest is what was asked for, a word each. */
    assert_false(parsed.user.local || parsed.user.link_local || parsed.user.host_loopback);
    assert_int_equal(parse("user,local", &error), 0);
    assert_true(parsed.user.local && !parsed.user.link_local && !parsed.user.host_loopback);
    assert_int_equal(parse("user,link-local", &error), 0);
    assert_true(!parsed.user.local && parsed.user.link_local && !parsed.user.host_loopback);
    assert_int_equal(parse("user,host-loopback", &error), 0);
    assert_true(!parsed.user.local && !parsed.user.link_local && parsed.user.host_loopback);
    assert_int_equal(parse("user,forward=tcp:127.0.0.1:8080:80,forward=udp:[::1]:53:5353,"
                           "forward=tcp:127.0.0.2:8081:80", &error), 0);
    assert_int_equal(parsed.user.forward_count, 3);
    assert_string_equal(parsed.user.forwards[0].address, "127.0.0.1");
    assert_string_equal(parsed.user.forwards[1].address, "::1");
    assert_int_equal(parsed.user.forwards[1].guest_port, 5353);
}

static void test_options_that_are_wrong(void **state)
{
    static const char *const wrong[][2] = {
        { "", "is missing" },
        { "bridge", "is unknown" },
        { "tap:", "no interface's name" },
        { "tap:a/b", "no interface's name" },
        { "tap-fd:", "no whole number" },
        { "tap-fd:2", "out of range" },
        { "tap-fd:x", "no whole number" },
        { "user,mac=1", "no MAC address" },
        { "user,mac=52:54:00:12:34:5", "no MAC address" },
        { "user,mac=52:54:00:12:34:567", "no MAC address" },
        { "user,mac=52-54-00-12-34-56", "no MAC address" },
        { "user,mac=52:54:00:12:34:+6", "no MAC address" },
        { "user,mac=52:54:00:12:34: 6", "no MAC address" },
        { "user,mac=0x:54:00:12:34:56", "no MAC address" },
        { "user,mac=53:54:00:12:34:56", "no single interface" },
        { "user,mac=00:00:00:00:00:00", "no single interface" },
        { "user,forward=80", "no forward" },
        { "user,forward=tcp:80", "no pair of ports" },
        { "user,forward=tcp:0:80", "no number from 1 to 65535" },
        { "user,forward=tcp:80:65536", "no number from 1 to 65535" },
        { "user,forward=tcp:80:80x", "no number from" },
        { "user,forward=tcp:080808:80", "no number from" },
        { "user,forward=sctp:80:80", "no forward" },
        { "user,forward=tcp:-1:80", "no number from" },
        { "user,forward=tcp:80:80,forward=tcp:80:81", "forwarded already" },
        { "tap:tap0,forward=tcp:80:80", "--net user" },
        { "tap:tap0,private", "private is for --net user" },
        { "none,private", "private is for --net user" },
        { "tap:tap0,local", "local is for --net user" },
        { "none,link-local", "link-local is for --net user" },
        { "tap:tap0,host-loopback", "host-loopback is for --net user" },
        { "user,host-lopback", "did you mean 'host-loopback'" },
        { "user,forward=tcp:localhost:8080:80", "no address of the host's" },
        { "user,forward=tcp:::1:8080:80", "no address of the host's" },
        { "user,forward=tcp:[::1]8080:80", "no address of the host's" },
        { "user,forward=tcp:127.0.0.1:8080:80,forward=tcp:127.0.0.2:8080:81", "forwarded already" },
        { "user,private=perhaps", "on or off" },
        { "user,queues=2", "tap:NAME" },
        { "tap:tap0,queues=0", "out of range" },
        { "tap:tap0,queues=8", "out of range" },
        { "tap:tap0,mca=52:54:00:12:34:56", "did you mean 'mac'" },
        { "tap:tap0,mac=52:54:00:12:34:56,mac=52:54:00:12:34:56", "twice" },
        { "user,offloads=maybe", "on or off" },
    };
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (parse(wrong[i][0], &error) != -EINVAL && parse(wrong[i][0], &error) != -ERANGE)
            fail_msg("'%s' was taken, or failed otherwise: %s", wrong[i][0], error.message);
        if (!strstr(error.message, wrong[i][1]) || !strchr(error.message, ';'))
            fail_msg("'%s': %s", wrong[i][0], error.message);
    }
}

static void test_too_many_forwards(void **state)
{
    char text[2048] = "user";
    struct error error;

    (void)state;
    for (int i = 0; i <= PASST_FORWARDS_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), ",forward=tcp:%d:80", 1000 + i);
    assert_int_equal(parse(text, &error), -E2BIG);
}

#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(test_configuration_space),
        cmocka_unit_test_setup_teardown(test_a_random_mac_is_local_and_of_one, set_up_single,
                                        tear_down),
        NET_TEST(test_offloads_follow_the_negotiation),
        NET_TEST(test_features_that_need_others),
        NET_TEST(test_pairs_by_the_control_queue),
        NET_TEST(test_wrong_commands_are_refused),
        NET_TEST(test_a_command_that_is_none),
        NET_TEST(test_the_control_queue_without_mq),
        NET_TEST(test_more_commands_than_the_rate),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_options_that_are_wrong),
        cmocka_unit_test(test_too_many_forwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
