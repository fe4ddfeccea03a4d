/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/probe/probe.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECOND 1000000000ll
#define PIECE (128 << 10)
#define TRIES 50 /* a network of the user's own takes a moment */

/* ---- the card ------------------------------------------------------------- */

static struct sockaddr address_of(const char *text)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    struct sockaddr plain;

    inet_pton(AF_INET, text, &address.sin_addr);
    memcpy(&plain, &address, sizeof(plain));
    return plain;
}

/* The addresses that QEMU's user network has, and passt's as Mote starts it. */
static bool configure_card(void)
{
    struct ifreq request = { .ifr_name = "eth0" };
    struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool done;

    request.ifr_addr = address_of("10.0.2.15");
    done = ioctl(fd, SIOCSIFADDR, &request) == 0;
    request.ifr_netmask = address_of("255.255.255.0");
    done = done && ioctl(fd, SIOCSIFNETMASK, &request) == 0;
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    done = done && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    route.rt_dst = route.rt_genmask = address_of("0.0.0.0");
    route.rt_gateway = address_of("10.0.2.2");
    done = done && ioctl(fd, SIOCADDRT, &route) == 0;
    if (!done)
        probe_failed("eth0");
    close(fd);
    return done;
}

/* ---- the peer ------------------------------------------------------------- */

/* What the host's side does with the connection is its first byte: 'e' echo, 's' swallow. */
static int connect_peer(const char *peer, char kind)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    char *end;
    int one = 1;

    address.sin_addr.s_addr = htonl((uint32_t)strtoul(peer, &end, 16));
    address.sin_port = htons((uint16_t)strtoul(end + (*end == '-'), NULL, 16));
    for (int tries = 0; tries < TRIES; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0 &&
            write(fd, &kind, 1) == 1)
            return fd;
        close(fd);
        usleep(100000);
    }
    probe_failed(peer);
    return -1;
}

static double round_trips(int fd)
{
    int64_t begun = probe_now(), now = begun;
    double done = 0;
    char byte = 'x';

    for (; now - begun < SECOND; done++, now = probe_now())
        if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
            return -1;
    return done * 1e9 / (double)(now - begun);
}

static double data_out(int fd)
{
    static char bytes[PIECE];
    int64_t begun = probe_now();
    double done = 0;
    char byte;

    while (probe_now() - begun < SECOND) {
        ssize_t count = write(fd, bytes, sizeof(bytes));

        if (count < 0)
            return -1;
        done += (double)count;
    }
    shutdown(fd, SHUT_WR);
    if (read(fd, &byte, 1) != 1)
        return -1;
    return done / (1 << 20) * 1e9 / (double)(probe_now() - begun);
}

bool probe_network(const char *peer, bool configure, struct figures *figures)
{
    int fd;

    if (configure && !configure_card())
        return false;
    if ((fd = connect_peer(peer, 'e')) < 0)
        return false;
    figures->first = round_trips(fd);
    close(fd);
    if ((fd = connect_peer(peer, 's')) < 0)
        return false;
    figures->second = data_out(fd);
    close(fd);
    if (figures->first < 0 || figures->second < 0)
        probe_failed("the connection");
    return figures->first >= 0 && figures->second >= 0;
}
