/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passt_probe OPTIONS TARGET…: a guest on --net user, as far as passt can tell: OPTIONS are those of --net, such as
 * "user,private,local", and frames leave as a guest's do, by the same uplink.  A line for each TARGET:
 *
 *   tcp:ADDRESS:PORT     a connection: "open", "refused" or "closed" (nobody answers)
 *   udp:ADDRESS:PORT     a datagram: "open" when one comes back, else "closed"
 *   serve:PORT           waits for a connection to the guest's port and answers it: "served" or "nobody"
 *   dns:ADDRESS          asks a name server for a name: "open" when it answers, else "closed"
 *
 * IPv6 addresses are in brackets.  A refusal that the user would hear goes to standard error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/config/device.h"

#define WAIT_MS 1500
#define SERVE_MS 20000
#define GUEST "10.0.2.15"
#define GUEST6 "2001:db8:7::15"

static struct uplink *uplink;
static uint8_t frame[2048];
static uint8_t got[70000];

struct end {
    int family;
    uint8_t bytes[16];
    uint16_t port; /* in network byte order */
};

static size_t address_size(int family) { return family == AF_INET ? 4 : 16; }
static size_t header_size(int family) { return family == AF_INET ? 20 : 40; }

static uint32_t sum(uint32_t value, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        value += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    return value;
}

static void put_sum(uint8_t *at, uint32_t value)
{
    while (value >> 16)
        value = (value & 0xffff) + (value >> 16);
    at[0] = (uint8_t)(~value >> 8);
    at[1] = (uint8_t)~value;
}

/* The headers before LENGTH bytes of PROTOCOL, which are there; its checksum is OFFSET bytes in. */
static size_t put_headers(const struct end *from, const struct end *to, uint8_t protocol, size_t length,
                          size_t offset)
{
    size_t header = header_size(to->family), size = address_size(to->family);
    uint8_t *ip = frame + 14, *transport = ip + header;
    static const uint8_t hardware[12] = { 255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
    uint32_t value = sum(protocol + (uint32_t)length, from->bytes, size);

    memset(ip, 0, header);
    memcpy(frame, hardware, sizeof(hardware));
    memcpy(frame + 12, to->family == AF_INET ? "\x08\x00" : "\x86\xdd", 2);
    memset(transport + offset, 0, 2);
    put_sum(transport + offset, sum(sum(value, to->bytes, size), transport, length));
    memcpy(ip + header - 2 * size, from->bytes, size);
    memcpy(ip + header - size, to->bytes, size);
    if (to->family == AF_INET) {
        ip[0] = 0x45;
        ip[3] = (uint8_t)(header + length);
        ip[8] = 64;
        ip[9] = protocol;
        put_sum(ip + 10, sum(0, ip, header));
    } else {
        ip[0] = 0x60;
        ip[5] = (uint8_t)length;
        ip[6] = protocol;
        ip[7] = 64;
    }
    return 14 + header + length;
}

static bool send_frame(size_t length)
{
    struct uplink_header header = { .flags = 0 };
    struct iovec segments[2] = { { &header, sizeof(header) }, { frame, length } };
    ssize_t result = uplink->ops->send(uplink, 0, segments, 2);
    const char *refusal = result == -EACCES ? uplink->ops->refusal(uplink) : NULL;

    if (refusal)
        fprintf(stderr, "%s\n", refusal);
    return result > 0;
}

static bool send_tcp(const struct end *from, const struct end *to, uint32_t acknowledged, uint8_t flags)
{
    uint8_t *tcp = frame + 14 + header_size(to->family);

    memset(tcp, 0, 20);
    memcpy(tcp, &from->port, 2);
    memcpy(tcp + 2, &to->port, 2);
    tcp[7] = 1;
    acknowledged = htonl(acknowledged);
    memcpy(tcp + 8, &acknowledged, 4);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    tcp[14] = 0xff;
    return send_frame(put_headers(from, to, IPPROTO_TCP, 20, 16));
}

static bool send_udp(const struct end *from, const struct end *to, const char *text, size_t length)
{
    uint8_t *udp = frame + 14 + header_size(to->family);

    memcpy(udp, &from->port, 2);
    memcpy(udp + 2, &to->port, 2);
    udp[4] = 0;
    udp[5] = (uint8_t)(8 + length);
    memcpy(udp + 8, text, length);
    return send_frame(put_headers(from, to, IPPROTO_UDP, 8 + length, 6));
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The next frame for PORT of the guest by PROTOCOL until UNTIL; its transport header, or NULL. */
static const uint8_t *await(uint16_t port, uint8_t protocol, int64_t until)
{
    struct iovec segment = { got, sizeof(got) };
    struct pollfd readable = { .fd = uplink->fds[0], .events = POLLIN };

    while (now_ms() < until) {
        const uint8_t *ip = got + 12 + 14;
        ssize_t length = uplink->ops->receive(uplink, 0, &segment, 1);
        bool ipv4 = got[12 + 12] == 8;

        if (length == -EAGAIN) {
            poll(&readable, 1, 50);
            continue;
        }
        if (length < 0) {
            printf("passt: %s\n", uplink->ops->reason(uplink));
            exit(1);
        }
        if (length >= 12 + 14 + (ipv4 ? 20 : 40) + 8 && (ipv4 ? ip[9] : ip[6]) == protocol &&
            memcmp(ip + (ipv4 ? 20 : 40) + 2, &port, 2) == 0)
            return ip + (ipv4 ? 20 : 40);
    }
    return NULL;
}

static struct end guest(int family, unsigned int port)
{
    struct end end = { .family = family, .port = htons((uint16_t)port) };

    inet_pton(family, family == AF_INET ? GUEST : GUEST6, end.bytes);
    return end;
}

static bool parse(const char *text, struct end *end)
{
    char copy[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    char *begin = copy;

    if (!colon || colon - text >= (ptrdiff_t)sizeof(copy))
        return false;
    snprintf(copy, sizeof(copy), "%.*s", (int)(colon - text), text);
    end->family = copy[0] == '[' ? AF_INET6 : AF_INET;
    if (copy[0] == '[') {
        copy[strlen(copy) - 1] = '\0';
        begin++;
    }
    end->port = htons((uint16_t)atoi(colon + 1));
    return inet_pton(end->family, begin, end->bytes) == 1;
}

static const char *try_tcp(const struct end *to, unsigned int port)
{
    struct end from = guest(to->family, port);
    const uint8_t *tcp = send_tcp(&from, to, 0, 2) ? await(from.port, IPPROTO_TCP, now_ms() + WAIT_MS) : NULL;

    return !tcp ? "closed" : tcp[13] & 4 ? "refused" : "open";
}

static const char *try_udp(const struct end *to, unsigned int port, const char *text, size_t length)
{
    struct end from = guest(to->family, port);

    return send_udp(&from, to, text, length) && await(from.port, IPPROTO_UDP, now_ms() + WAIT_MS)
               ? "open" : "closed";
}

/* For the address of mote.test. */
static const char *ask_name(const char *address, unsigned int port)
{
    static const char query[] = "\0\1\1\0\0\1\0\0\0\0\0\0\4mote\4test\0\0\1\0\1";
    struct end server = { .family = AF_INET, .port = htons(53) };

    return inet_pton(AF_INET, address, server.bytes) == 1 ? try_udp(&server, port, query, sizeof(query) - 1)
                                                          : "unknown";
}

/* Takes one connection as far as the client knows of it: our SYN and ACK bring its ACK. */
static const char *serve(unsigned int port)
{
    struct end us = guest(AF_INET, port), client = { .family = AF_INET };
    int64_t until = now_ms() + SERVE_MS;
    const uint8_t *tcp;
    uint32_t sequence;

    printf("ready\n");
    fflush(stdout);
    do
        if (!(tcp = await(us.port, IPPROTO_TCP, until)))
            return "nobody";
    while (!(tcp[13] & 2));
    memcpy(client.bytes, tcp - 8, 4);
    memcpy(&client.port, tcp, 2);
    memcpy(&sequence, tcp + 4, 4);
    if (!send_tcp(&us, &client, ntohl(sequence) + 1, 0x12))
        return "closed";
    tcp = await(us.port, IPPROTO_TCP, now_ms() + WAIT_MS);
    return tcp && tcp[13] & 0x10 ? "served" : "nobody";
}

int main(int argc, char **argv)
{
    struct error error = ERROR_INIT;
    struct config_pool pool = { NULL };
    struct device_config device;

    if (argc < 3)
        return 2;
    device_config_init(&device, DEVICE_TYPE_NET);
    if (device_config_parse(&device, argv[1], &pool, &error) < 0 ||
        device_config_validate(&device, &error) < 0 ||
        passt_start(&uplink, &device.net.user, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    config_pool_release(&pool);
    await(0, 0, now_ms() + 300); /* passt looks around first */
    for (int i = 2; i < argc; i++) {
        unsigned int port = 40000 + (unsigned int)i;
        const char *result = "unknown";
        struct end to;

        if (strncmp(argv[i], "dns:", 4) == 0)
            result = ask_name(argv[i] + 4, port);
        else if (strncmp(argv[i], "serve:", 6) == 0)
            result = serve((unsigned int)atoi(argv[i] + 6));
        else if (strncmp(argv[i], "tcp:", 4) == 0 && parse(argv[i] + 4, &to))
            result = try_tcp(&to, port);
        else if (strncmp(argv[i], "udp:", 4) == 0 && parse(argv[i] + 4, &to))
            result = try_udp(&to, port, "x", 1);
        printf("%s %s\n", argv[i], result);
        fflush(stdout);
    }
    uplink->ops->destroy(uplink);
    return 0;
}
