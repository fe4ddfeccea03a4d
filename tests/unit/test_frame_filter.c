/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a guest's frames leave by passt: by destination, and as answers. */
#include "devices/backend/frame_filter.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "devices/backend/host_network.h"

#define TCP 6
#define UDP 17
#define SYN 0x02
#define ACK 0x10

static struct frame_filter filter;
static uint8_t frame[FRAME_FILTER_HEAD];
static size_t length;

static int set_up(void **state)
{
    (void)state;
    memset(&filter, 0, sizeof(filter));
    return 0;
}

static struct in6_addr address(const char *text)
{
    struct in6_addr result;
    uint32_t ipv4;

    if (inet_pton(AF_INET, text, &ipv4) == 1)
        return address_of_ipv4(ipv4);
    assert_int_equal(inet_pton(AF_INET6, text, &result), 1);
    return result;
}

static void put_port(uint8_t *at, unsigned int port)
{
    at[0] = (uint8_t)(port >> 8);
    at[1] = (uint8_t)port;
}

/* A frame of PROTOCOL from one address to another. */
static void make(const char *from, const char *to, uint8_t protocol, unsigned int from_port,
                 unsigned int to_port, uint8_t flags)
{
    struct in6_addr source = address(from), target = address(to);
    bool ipv4 = IN6_IS_ADDR_V4MAPPED(&target) && !strchr(to, ':');
    uint8_t *transport = frame + 14 + (ipv4 ? 20 : 40);

    memset(frame, 0, sizeof(frame));
    if (ipv4) {
        memcpy(frame + 12, "\x08\x00\x45", 3);
        frame[14 + 9] = protocol;
        memcpy(frame + 14 + 12, source.s6_addr + 12, 4);
        memcpy(frame + 14 + 16, target.s6_addr + 12, 4);
    } else {
        memcpy(frame + 12, "\x86\xdd\x60", 3);
        frame[14 + 6] = protocol;
        memcpy(frame + 14 + 8, source.s6_addr, 16);
        memcpy(frame + 14 + 24, target.s6_addr, 16);
    }
    put_port(transport, from_port);
    put_port(transport + 2, to_port);
    transport[13] = flags;
    length = sizeof(frame);
}

static bool passes(const char *to, uint8_t protocol, unsigned int port, uint8_t flags)
{
    make(strchr(to, ':') ? "2001:db8::15" : "10.0.2.15", to, protocol, 40000, port, flags);
    return frame_filter_passes(&filter, frame, length);
}

/* ---- places ---- */

enum { NEVER, BY_LOCAL, BY_LINK_LOCAL, ALWAYS };

static const struct {
    const char *address;
    int open;
} places[] = {
    { "0.0.0.0", NEVER }, { "0.1.2.3", NEVER }, { "127.0.0.1", NEVER }, { "127.255.255.255", NEVER },
    { "128.0.0.1", ALWAYS }, { "1.1.1.1", ALWAYS }, { "8.8.8.8", ALWAYS },
    { "9.255.255.255", ALWAYS }, { "10.0.0.0", BY_LOCAL }, { "10.255.255.255", BY_LOCAL },
    { "11.0.0.0", ALWAYS }, { "100.63.255.255", ALWAYS }, { "100.64.0.0", BY_LOCAL },
    { "100.100.100.200", BY_LINK_LOCAL }, { "100.127.255.255", BY_LOCAL }, { "100.128.0.0", ALWAYS },
    { "168.63.129.16", BY_LINK_LOCAL }, { "168.63.129.17", ALWAYS }, { "169.253.255.255", ALWAYS },
    { "169.254.0.0", BY_LINK_LOCAL }, { "169.254.169.254", BY_LINK_LOCAL },
    { "169.254.255.255", BY_LINK_LOCAL }, { "169.255.0.0", ALWAYS }, { "172.15.255.255", ALWAYS },
    { "172.16.0.0", BY_LOCAL }, { "172.31.255.255", BY_LOCAL }, { "172.32.0.0", ALWAYS },
    { "192.0.0.192", BY_LINK_LOCAL }, { "192.0.1.0", ALWAYS }, { "192.0.2.1", ALWAYS },
    { "192.167.255.255", ALWAYS }, { "192.168.0.0", BY_LOCAL }, { "192.168.255.255", BY_LOCAL },
    { "192.169.0.0", ALWAYS }, { "198.18.0.0", BY_LOCAL }, { "198.19.255.255", BY_LOCAL },
    { "198.20.0.0", ALWAYS }, { "223.255.255.255", ALWAYS }, { "224.0.0.251", BY_LOCAL },
    { "239.255.255.250", BY_LOCAL }, { "240.0.0.1", NEVER }, { "255.255.255.254", NEVER },
    { "255.255.255.255", BY_LOCAL },
    { "::", NEVER }, { "::1", NEVER }, { "::127.0.0.1", NEVER }, { "::ffff:127.0.0.1", NEVER },
    { "::ffff:8.8.8.8", NEVER }, { "64:ff9b::127.0.0.1", NEVER }, { "64:ff9b::8.8.8.8", ALWAYS },
    { "64:ff9b::192.168.1.1", BY_LOCAL }, { "64:ff9b::169.254.169.254", BY_LINK_LOCAL },
    { "64:ff9b:1::1", BY_LOCAL }, { "2002:7f00:1::1", NEVER }, { "2002:a9fe:a9fe::1", BY_LINK_LOCAL },
    { "2002:808:808::1", ALWAYS }, { "2001:db8::1", ALWAYS }, { "2606:4700::1111", ALWAYS },
    { "fbff::1", ALWAYS }, { "fc00::1", BY_LOCAL }, { "fd00:ec2::254", BY_LINK_LOCAL },
    { "fdff::1", BY_LOCAL }, { "fe00::1", ALWAYS }, { "fe80::1", BY_LINK_LOCAL },
    { "febf::1", BY_LINK_LOCAL }, { "fec0::1", BY_LOCAL }, { "ff02::fb", BY_LOCAL },
};

static void test_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        for (int word = NEVER; word < ALWAYS; word++) {
            bool wanted = places[i].open == ALWAYS || (word != NEVER && places[i].open == word);

            filter.rules = (struct frame_rules){ .local = word == BY_LOCAL,
                                                 .link_local = word == BY_LINK_LOCAL };
            if (passes(places[i].address, TCP, 80, SYN) != wanted ||
                passes(places[i].address, UDP, 80, 0) != wanted ||
                passes(places[i].address, 1, 0x800, 0) != wanted)
                fail_msg("%s with word %d: wanted %d", places[i].address, word, wanted);
        }
}

static void test_the_hosts_own_addresses(void **state)
{
    struct in6_addr own = address("203.0.113.7"), own6 = address("2001:db8::7");

    (void)state;
    assert_true(passes("203.0.113.7", TCP, 22, SYN));
    address_list_add(&filter.rules.own, &own);
    address_list_add(&filter.rules.own, &own6);
    assert_false(passes("203.0.113.7", TCP, 22, SYN));
    assert_false(passes("2001:db8::7", TCP, 22, SYN));
    assert_true(passes("203.0.113.8", TCP, 22, SYN));
    filter.rules.local = true;
    assert_true(passes("203.0.113.7", TCP, 22, SYN));
}

/* ---- names and the gateway ---- */

static void test_name_servers(void **state)
{
    struct in6_addr resolver = address("192.168.1.1"), forwarder = address("10.0.2.3");

    (void)state;
    address_list_add(&filter.rules.resolvers, &resolver);
    address_list_add(&filter.rules.forwarders, &forwarder);
    assert_true(passes("192.168.1.1", UDP, 53, 0));
    assert_true(passes("192.168.1.1", TCP, 53, SYN));
    assert_false(passes("192.168.1.1", TCP, 80, SYN));
    assert_false(passes("192.168.1.1", UDP, 54, 0));
    assert_false(passes("192.168.1.1", 1, 53, 0));
    assert_false(passes("192.168.1.2", UDP, 53, 0));
    assert_true(passes("10.0.2.3", UDP, 53, 0));
    assert_false(passes("10.0.2.3", TCP, 53, SYN));
    /* A later fragment has no ports, wherever its first one said that it goes. */
    make("10.0.2.15", "192.168.1.1", UDP, 40000, 53, 0);
    frame[14 + 7] = 1;
    assert_false(frame_filter_passes(&filter, frame, length));
    /* Ports behind a header that is longer than it says, or not there. */
    make("10.0.2.15", "192.168.1.1", UDP, 40000, 53, 0);
    frame[14] = 0x44;
    assert_false(frame_filter_passes(&filter, frame, length));
    make("10.0.2.15", "192.168.1.1", UDP, 40000, 53, 0);
    assert_false(frame_filter_passes(&filter, frame, 14 + 20 + 3));
}

static void test_the_gateway(void **state)
{
    struct in6_addr gateway = address("203.0.113.1"), local = address("192.168.1.1");

    (void)state;
    address_list_add(&filter.rules.gateways, &gateway);
    address_list_add(&filter.rules.gateways, &local);
    assert_true(passes("203.0.113.1", TCP, 80, SYN)); /* it is one as others */
    filter.rules.gateways_mapped = true;
    assert_false(passes("203.0.113.1", TCP, 80, SYN));
    assert_non_null(strstr(filter.refusal, "203.0.113.1 leads to the host's loopback and is closed "
                                           "to the guest; open it by --net user,host-loopback"));
    filter.rules.local = true;
    assert_false(passes("192.168.1.1", TCP, 80, SYN));
    filter.rules.host_loopback = true;
    filter.rules.local = false;
    assert_true(passes("203.0.113.1", TCP, 80, SYN));
    assert_true(passes("192.168.1.1", TCP, 80, SYN));
    assert_false(passes("127.0.0.1", TCP, 80, SYN));
}

/* ---- what passt answers itself ---- */

static void test_addresses_and_neighbours(void **state)
{
    (void)state;
    assert_true(passes("255.255.255.255", UDP, 67, 0));
    assert_true(passes("192.168.1.1", UDP, 67, 0));
    assert_false(passes("127.0.0.1", UDP, 67, 0));
    assert_false(passes("192.168.1.1", UDP, 547, 0)); /* of IPv6 alone */
    assert_true(passes("ff02::1:2", UDP, 547, 0));
    assert_false(passes("fe80::1", UDP, 547, 0));
    assert_false(passes("fd00::1", UDP, 67, 0));
    for (unsigned int type = 128; type < 145; type++) {
        make("fe80::2", "fe80::1", 58, type << 8, 0, 0);
        assert_int_equal(frame_filter_passes(&filter, frame, length), type >= 133 && type <= 136);
    }
    make("10.0.2.15", "192.168.1.1", TCP, 1, 1, SYN);
    memcpy(frame + 12, "\x08\x06", 2); /* ARP */
    assert_true(frame_filter_passes(&filter, frame, length));
    memcpy(frame + 12, "\x81\x00", 2); /* a VLAN's tag: no packet that is looked into */
    assert_false(frame_filter_passes(&filter, frame, length));
    memcpy(frame + 12, "\x08\x00", 2);
    for (size_t cut = 0; cut < 14 + 20; cut++)
        assert_false(frame_filter_passes(&filter, frame, cut));
}

/* ---- answers ---- */

static void called_by(const char *from, uint8_t protocol, uint8_t flags)
{
    make(from, "10.0.2.15", protocol, 5555, 80, flags);
    frame_filter_learn(&filter, frame, length);
}

static bool answers(const char *to, uint8_t protocol, unsigned int from, unsigned int port,
                    uint8_t flags)
{
    make("10.0.2.15", to, protocol, from, port, flags);
    return frame_filter_passes(&filter, frame, length);
}

static void test_answers(void **state)
{
    (void)state;
    for (int udp = 0; udp < 2; udp++) {
        uint8_t protocol = udp ? UDP : TCP, first = udp ? 0 : SYN | ACK;

        assert_false(answers("192.168.1.9", protocol, 80, 5555, first));
        called_by("192.168.1.9", protocol, SYN);
        assert_true(answers("192.168.1.9", protocol, 80, 5555, first));
        assert_false(answers("192.168.1.9", protocol, 81, 5555, first));
        assert_false(answers("192.168.1.9", protocol, 80, 5556, first));
        assert_false(answers("192.168.1.8", protocol, 80, 5555, first));
        /* None that claims to come from the loopback is one. */
        called_by("127.0.0.1", protocol, SYN);
        assert_false(answers("127.0.0.1", protocol, 80, 5555, first));
    }
    /* A connection's other segments open nothing; its SYN and ACK come of a SYN alone. */
    assert_true(answers("192.168.1.9", TCP, 40000, 22, ACK));
    assert_false(answers("127.0.0.1", TCP, 40000, 22, ACK));
    called_by("192.168.1.7", TCP, SYN | ACK);
    assert_false(answers("192.168.1.7", TCP, 80, 5555, SYN));
    /* A segment without room for its flags may be a SYN. */
    make("10.0.2.15", "192.168.1.9", TCP, 40000, 22, ACK);
    assert_false(frame_filter_passes(&filter, frame, 14 + 20 + 13));
}

/* ---- what the user hears ---- */

static void test_what_is_told(void **state)
{
    (void)state;
    passes("192.168.1.5", TCP, 80, SYN);
    assert_string_equal(filter.refusal, "192.168.1.5 is on a local network of the host's and is "
                                        "closed to the guest; open it by --net user,local");
    passes("10.1.2.3", TCP, 80, SYN); /* once of each kind */
    assert_string_equal(filter.refusal, "");
    passes("169.254.169.254", TCP, 80, SYN);
    assert_string_equal(filter.refusal, "169.254.169.254 is a link's or a cloud's own and is closed "
                                        "to the guest; open it by --net user,link-local");
    passes("fe80::1", TCP, 80, SYN);
    assert_string_equal(filter.refusal, "");
    /* Nothing of what goes on all the time, or that no word opens. */
    memset(&filter, 0, sizeof(filter));
    passes("224.0.0.251", UDP, 5353, 0);
    assert_string_equal(filter.refusal, "");
    passes("127.0.0.1", TCP, 80, SYN);
    assert_string_equal(filter.refusal, "");
}

/* ---- the host's network ---- */

static void test_the_hosts_resolvers(void **state)
{
    struct host_network network = { .crowded = false };

    (void)state;
    host_network_resolvers(&network, "# nameserver 9.9.9.9\nsearch a.b\nnameserver 192.168.1.1\n"
                                     "nameserver\tfe80::1%eth0\nnameserver x\nnameserver\n"
                                     "nameserver 1.2.3\r\nnameserver 9.9.9.10\r\nnameserver ::ffff");
    assert_int_equal(network.resolvers.count, 4);
    assert_memory_equal(&network.resolvers.items[0], &(struct in6_addr[]){ address("192.168.1.1") }, 16);
    assert_memory_equal(&network.resolvers.items[1], &(struct in6_addr[]){ address("fe80::1") }, 16);
    assert_memory_equal(&network.resolvers.items[2], &(struct in6_addr[]){ address("9.9.9.10") }, 16);
    assert_false(network.loopback_resolver);
    host_network_resolvers(&network, "nameserver 127.0.0.53");
    assert_true(network.loopback_resolver);
    assert_int_equal(network.resolvers.count, 4);
}

static void test_the_hosts_gateways(void **state)
{
    struct host_network network = { .crowded = false };

    (void)state;
    host_network_gateways(
        &network,
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "v0\t00000000\t0107A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "v0\t00000000\t0207A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n"
        "v0\t0007A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
        "20010db8000700000000000000000000 40 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 00000100 00000001 00000000 00000001 v0\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "20010db8000700000000000000000001 00000400 00000001 00000000 00000003 v0\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n");
    assert_int_equal(network.gateways.count, 2);
    assert_memory_equal(&network.gateways.items[0], &(struct in6_addr[]){ address("192.168.7.1") }, 16);
    assert_memory_equal(&network.gateways.items[1], &(struct in6_addr[]){ address("2001:db8:7::1") }, 16);
}

/* The kernel tells IPv6's narrower routes first: on a router the default one comes after all of them. */
static void test_a_gateway_behind_many_routes(void **state)
{
    static const char row[] = "%032x %s 00000000000000000000000000000000 00 20010db800070000000000000000%04x "
                              "00000400 00000001 00000000 00000003 v0\n";
    struct host_network network = { .crowded = false };
    struct error error = ERROR_INIT;
    char path[] = "/tmp/routes.XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    (void)state;
    assert_non_null(file);
    for (unsigned int i = 1; i < 20000; i++)
        fprintf(file, row, i, "30", 2);
    fprintf(file, row, 0, "00", 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(host_network_read_files(&network, "/dev/null", "/nothing/there", path, &error), 0);
    unlink(path);
    assert_int_equal(network.gateways.count, 1);
    assert_memory_equal(&network.gateways.items[0], &(struct in6_addr[]){ address("2001:db8:7::1") }, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_places, set_up),
        cmocka_unit_test_setup(test_the_hosts_own_addresses, set_up),
        cmocka_unit_test_setup(test_name_servers, set_up),
        cmocka_unit_test_setup(test_the_gateway, set_up),
        cmocka_unit_test_setup(test_addresses_and_neighbours, set_up),
        cmocka_unit_test_setup(test_answers, set_up),
        cmocka_unit_test_setup(test_what_is_told, set_up),
        cmocka_unit_test(test_the_hosts_resolvers),
        cmocka_unit_test(test_the_hosts_gateways),
        cmocka_unit_test(test_a_gateway_behind_many_routes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
