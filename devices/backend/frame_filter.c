/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/frame_filter.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/cleanup.h"

#define PORT_DNS 53
#define PORT_DHCP 67
#define PORT_DHCPV6 547
#define TCP_SYN 0x02
#define TCP_ACK 0x10

/* ---- places --------------------------------------------------------------- */

enum place { OUTSIDE, LOCAL, MULTICAST, LINK_LOCAL, NOWHERE };

/* The first match counts, so that what is narrower comes first. */
static const struct {
    uint32_t network;
    uint8_t prefix;
    enum place place;
} places4[] = {
    { 0x00000000, 8, NOWHERE },       /* Linux takes 0.0.0.0 for its own loopback */
    { 0x7f000000, 8, NOWHERE },
    { 0x646464c8, 32, LINK_LOCAL },   /* 100.100.100.200: metadata (Alibaba Cloud) */
    { 0xa83f8110, 32, LINK_LOCAL },   /* 168.63.129.16: the host of the VM (Azure) */
    { 0xa9fe0000, 16, LINK_LOCAL },   /* RFC 3927; metadata at 169.254.169.254 */
    { 0xc0000000, 24, LINK_LOCAL },   /* RFC 6890; metadata at 192.0.0.192 (Oracle) */
    { 0x0a000000, 8, LOCAL },         /* RFC 1918 */
    { 0xac100000, 12, LOCAL },
    { 0xc0a80000, 16, LOCAL },
    { 0x64400000, 10, LOCAL },        /* RFC 6598, providers' own */
    { 0xc6120000, 15, LOCAL },        /* RFC 2544, laboratories' */
    { 0xe0000000, 4, MULTICAST },
    { 0xffffffff, 32, MULTICAST },
    { 0xf0000000, 4, NOWHERE },
};

static const struct {
    uint8_t network[8];
    uint8_t prefix;
    enum place place;
} places6[] = {
    { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, LOCAL }, /* RFC 8215 */
    { { 0 }, 8, NOWHERE }, /* ::, ::1 and IPv4's addresses, which a socket takes for those */
    { { 0xfd, 0x00, 0x0e, 0xc2 }, 32, LINK_LOCAL }, /* metadata (Amazon) */
    { { 0xfc }, 7, LOCAL },                         /* RFC 4193 */
    { { 0xfe, 0x80 }, 10, LINK_LOCAL },
    { { 0xfe, 0xc0 }, 10, LOCAL },
    { { 0xff }, 8, MULTICAST },
};

static enum place place_of_ipv4(const uint8_t bytes[4])
{
    uint32_t address;

    memcpy(&address, bytes, sizeof(address));
    address = ntohl(address);
    for (size_t i = 0; i < ARRAY_LENGTH(places4); i++)
        if ((address ^ places4[i].network) >> (32 - places4[i].prefix) == 0)
            return places4[i].place;
    return OUTSIDE;
}

static bool has_prefix(const uint8_t *bytes, const uint8_t *network, unsigned int prefix)
{
    unsigned int whole = prefix / 8, rest = prefix % 8;

    return memcmp(bytes, network, whole) == 0 &&
           (rest == 0 || (bytes[whole] ^ network[whole]) >> (8 - rest) == 0);
}

/* Translators and tunnels (RFC 6052, RFC 3056) lead to the IPv4 address that is in theirs. */
static enum place place_of_ipv6(const uint8_t bytes[16])
{
    static const uint8_t translated[12] = { 0x00, 0x64, 0xff, 0x9b }, tunnel[2] = { 0x20, 0x02 };

    if (has_prefix(bytes, translated, 96))
        return place_of_ipv4(bytes + 12);
    if (has_prefix(bytes, tunnel, 16))
        return place_of_ipv4(bytes + 2);
    for (size_t i = 0; i < ARRAY_LENGTH(places6); i++)
        if (has_prefix(bytes, places6[i].network, places6[i].prefix))
            return places6[i].place;
    return OUTSIDE;
}

struct in6_addr address_of_ipv4(uint32_t address)
{
    struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

    memcpy(mapped.s6_addr + 12, &address, sizeof(address));
    return mapped;
}

bool address_is_outside(const struct in6_addr *address)
{
    if (IN6_IS_ADDR_V4MAPPED(address))
        return place_of_ipv4(address->s6_addr + 12) == OUTSIDE;
    return place_of_ipv6(address->s6_addr) == OUTSIDE;
}

static bool is_listed(const struct address_list *list, const struct in6_addr *address)
{
    for (size_t i = 0; i < list->count; i++)
        if (memcmp(&list->items[i], address, sizeof(*address)) == 0)
            return true;
    return false;
}

bool address_list_add(struct address_list *list, const struct in6_addr *address)
{
    if (is_listed(list, address))
        return true;
    if (list->count == FRAME_FILTER_ADDRESSES)
        return false;
    list->items[list->count++] = *address;
    return true;
}

/* ---- frames --------------------------------------------------------------- */

/* What of a frame is looked at.  No ports: a later fragment, other headers before them, or cut short. */
struct packet {
    struct in6_addr from, to;
    enum place from_place, to_place;
    uint8_t protocol;
    bool has_ports;
    uint16_t from_port, to_port; /* as the host counts */
    uint8_t flags;               /* of TCP; a SYN where they are not there */
    uint8_t icmp_type;
};

static uint16_t read_port(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void read_transport(struct packet *packet, const uint8_t *bytes, size_t length)
{
    if (packet->protocol == IPPROTO_ICMPV6 && length >= 1)
        packet->icmp_type = bytes[0];
    if ((packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP) || length < 4)
        return;
    packet->has_ports = true;
    packet->from_port = read_port(bytes);
    packet->to_port = read_port(bytes + 2);
    if (packet->protocol == IPPROTO_TCP && length >= 14)
        packet->flags = bytes[13];
}

static bool read_ipv4(struct packet *packet, const uint8_t *bytes, size_t length)
{
    size_t header;
    uint32_t from, to;

    if (length < 20)
        return false;
    header = (bytes[0] & 0xfu) * 4u;
    memcpy(&from, bytes + 12, sizeof(from));
    memcpy(&to, bytes + 16, sizeof(to));
    packet->from = address_of_ipv4(from);
    packet->to = address_of_ipv4(to);
    packet->from_place = place_of_ipv4(bytes + 12);
    packet->to_place = place_of_ipv4(bytes + 16);
    packet->protocol = bytes[9];
    if (bytes[0] >> 4 != 4 || header < 20 || header > length || (read_port(bytes + 6) & 0x1fff))
        return true;
    read_transport(packet, bytes + header, length - header);
    return true;
}

static bool read_ipv6(struct packet *packet, const uint8_t *bytes, size_t length)
{
    if (length < 40)
        return false;
    memcpy(&packet->from, bytes + 8, sizeof(packet->from));
    memcpy(&packet->to, bytes + 24, sizeof(packet->to));
    packet->from_place = place_of_ipv6(bytes + 8);
    packet->to_place = place_of_ipv6(bytes + 24);
    packet->protocol = bytes[6];
    if (bytes[0] >> 4 == 6)
        read_transport(packet, bytes + 40, length - 40);
    return true;
}

enum kind { KIND_OTHER, KIND_ARP, KIND_IP };

static enum kind read_packet(struct packet *packet, const uint8_t *head, size_t length)
{
    uint16_t type = length >= ETH_HLEN ? read_port(head + 12) : 0;
    bool whole = false;

    *packet = (struct packet){ .flags = TCP_SYN };
    if (type == ETHERTYPE_ARP)
        return KIND_ARP;
    if (type == ETHERTYPE_IP)
        whole = read_ipv4(packet, head + ETH_HLEN, length - ETH_HLEN);
    else if (type == ETHERTYPE_IPV6)
        whole = read_ipv6(packet, head + ETH_HLEN, length - ETH_HLEN);
    return whole ? KIND_IP : KIND_OTHER;
}

/* ---- answers -------------------------------------------------------------- */

/* FNV-1a; who chooses addresses to have two of them meet loses their own answers. */
static struct frame_flow *slot_of(struct frame_filter *filter, const struct frame_flow *flow)
{
    uint32_t hash = 0x811c9dc5;

    for (size_t i = 0; i < sizeof(flow->address); i++)
        hash = (hash ^ flow->address.s6_addr[i]) * 0x01000193;
    hash = (hash ^ flow->port) * 0x01000193;
    hash = (hash ^ flow->own_port) * 0x01000193;
    return &filter->flows[(hash ^ flow->protocol) % FRAME_FILTER_FLOWS];
}

static bool is_answer(struct frame_filter *filter, const struct packet *packet)
{
    struct frame_flow flow = {
        .address = packet->to, .port = packet->to_port, .own_port = packet->from_port,
        .protocol = packet->protocol,
    };
    const struct frame_flow *slot = slot_of(filter, &flow);

    return packet->has_ports && slot->protocol == flow.protocol && slot->port == flow.port &&
           slot->own_port == flow.own_port &&
           memcmp(&slot->address, &flow.address, sizeof(flow.address)) == 0;
}

void frame_filter_learn(struct frame_filter *filter, const uint8_t *head, size_t length)
{
    struct packet packet;
    struct frame_flow flow;

    if (read_packet(&packet, head, length) != KIND_IP || !packet.has_ports ||
        packet.from_place == NOWHERE ||
        (packet.protocol == IPPROTO_TCP && (packet.flags & (TCP_SYN | TCP_ACK)) != TCP_SYN))
        return;
    flow = (struct frame_flow){
        .address = packet.from, .port = packet.from_port, .own_port = packet.to_port,
        .protocol = packet.protocol,
    };
    *slot_of(filter, &flow) = flow;
}

/* ---- the decision --------------------------------------------------------- */

/*
 * What passt itself answers, whatever the address, and never passes on: addresses,
 * routes and neighbours.
 */
static bool is_for_passt(const struct packet *packet)
{
    if (packet->protocol == IPPROTO_ICMPV6)
        return packet->icmp_type >= ND_ROUTER_SOLICIT && packet->icmp_type <= ND_NEIGHBOR_ADVERT;
    if (packet->protocol != IPPROTO_UDP || !packet->has_ports)
        return false;
    if (!IN6_IS_ADDR_V4MAPPED(&packet->to))
        return packet->to_port == PORT_DHCPV6 && packet->to_place == MULTICAST;
    return packet->to_port == PORT_DHCP && packet->to_place != NOWHERE;
}

static bool is_name_lookup(const struct frame_rules *rules, const struct packet *packet)
{
    if (!packet->has_ports || packet->to_port != PORT_DNS)
        return false;
    return is_listed(&rules->resolvers, &packet->to) ||
           (packet->protocol == IPPROTO_UDP && is_listed(&rules->forwarders, &packet->to));
}

static bool is_open(const struct frame_rules *rules, const struct packet *packet)
{
    if (rules->gateways_mapped && is_listed(&rules->gateways, &packet->to))
        return rules->host_loopback;
    switch (packet->to_place) {
    case OUTSIDE:
        return rules->local || !is_listed(&rules->own, &packet->to);
    case LOCAL:
    case MULTICAST:
        return rules->local;
    case LINK_LOCAL:
        return rules->link_local;
    case NOWHERE:
        return false;
    }
    return false;
}

enum reason { REASON_LOCAL, REASON_LINK_LOCAL, REASON_LOOPBACK };

static const struct {
    const char *what, *word;
} reasons[] = {
    [REASON_LOCAL] = { "is on a local network of the host's", "local" },
    [REASON_LINK_LOCAL] = { "is a link's or a cloud's own", "link-local" },
    [REASON_LOOPBACK] = { "leads to the host's loopback", "host-loopback" },
};

static void tell(struct frame_filter *filter, const struct packet *packet)
{
    const struct frame_rules *rules = &filter->rules;
    enum reason reason = packet->to_place == LINK_LOCAL ? REASON_LINK_LOCAL : REASON_LOCAL;
    char text[INET6_ADDRSTRLEN];

    /* Programs announce themselves to all the time; and no word opens what is nowhere. */
    if (packet->to_place == MULTICAST || packet->to_place == NOWHERE)
        return;
    if (rules->gateways_mapped && is_listed(&rules->gateways, &packet->to))
        reason = REASON_LOOPBACK;
    if (filter->told & 1u << reason)
        return;
    filter->told |= 1u << reason;
    if (IN6_IS_ADDR_V4MAPPED(&packet->to))
        inet_ntop(AF_INET, packet->to.s6_addr + 12, text, sizeof(text));
    else
        inet_ntop(AF_INET6, &packet->to, text, sizeof(text));
    snprintf(filter->refusal, sizeof(filter->refusal), "%s %s and is closed to the guest; open it by "
             "--net user,%s", text, reasons[reason].what, reasons[reason].word);
}

bool frame_filter_passes(struct frame_filter *filter, const uint8_t *head, size_t length)
{
    struct packet packet;

    filter->refusal[0] = '\0';
    switch (read_packet(&packet, head, length)) {
    case KIND_OTHER:
        return false;
    case KIND_ARP:
        return true;
    case KIND_IP:
        break;
    }
    if (is_for_passt(&packet) || is_name_lookup(&filter->rules, &packet) ||
        is_open(&filter->rules, &packet))
        return true;
    if (packet.to_place != NOWHERE &&
        ((packet.protocol == IPPROTO_TCP && packet.has_ports && !(packet.flags & TCP_SYN)) ||
         is_answer(filter, &packet)))
        return true;
    tell(filter, &packet);
    return false;
}
