/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/host_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

/* A whole table of the Internet's IPv6 routes has 40 MiB; what is longer is no file of these. */
#define FILE_MAX (256u << 20)
#define FILE_FIRST (16u << 10)

/*
 * All of the file's text, as the routes that matter may be the last: the kernel tells IPv6's narrower ones first.
 * Empty where there is no file; NULL with errno.
 */
static char *read_file(const char *path)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    size_t size = FILE_FIRST, length = 0;
    cleanup_free char *text = malloc(size + 1);
    ssize_t count = 1;

    while (text && fd >= 0 && count > 0) {
        count = read(fd, text + length, size - length);
        length += count > 0 ? (size_t)count : 0;
        if (length == size) {
            char *longer = size < FILE_MAX ? realloc(text, 2 * size + 1) : NULL;

            if (!longer) {
                errno = size < FILE_MAX ? ENOMEM : EFBIG;
                return NULL;
            }
            text = longer;
            size *= 2;
        }
    }
    if (text)
        text[length] = '\0';
    return steal_pointer(&text);
}

/* The next line of *REST, a copy cut to SIZE. */
static bool next_line(const char **rest, char *line, size_t size)
{
    size_t length = strcspn(*rest, "\n");

    if (**rest == '\0')
        return false;
    snprintf(line, size, "%.*s", (int)(length < size ? length : size - 1), *rest);
    *rest += length + ((*rest)[length] == '\n');
    return true;
}

static bool is_loopback(const struct in6_addr *address)
{
    return IN6_IS_ADDR_V4MAPPED(address) ? address->s6_addr[12] == 127 || address->s6_addr[12] == 0
                                         : IN6_IS_ADDR_LOOPBACK(address);
}

void host_network_resolvers(struct host_network *network, const char *text)
{
    char line[512], word[INET6_ADDRSTRLEN + 1];

    while (next_line(&text, line, sizeof(line))) {
        struct in6_addr address;
        uint32_t ipv4;

        /* An IPv6 address may have an interface behind it. */
        if (sscanf(line, "nameserver %46[0-9a-fA-F:.]", word) != 1)
            continue;
        if (inet_pton(AF_INET, word, &ipv4) == 1)
            address = address_of_ipv4(ipv4);
        else if (inet_pton(AF_INET6, word, &address) != 1)
            continue;
        if (is_loopback(&address))
            network->loopback_resolver = true;
        else
            address_list_add(&network->resolvers, &address);
    }
}

/* Interface, destination, gateway, flags, …, the mask the eighth: in hexadecimal, as they lie in memory. */
static void add_routes(struct host_network *network, const char *text)
{
    char line[512];

    while (next_line(&text, line, sizeof(line))) {
        unsigned int destination, gateway, mask;
        struct in6_addr address;

        if (sscanf(line, "%*s %8x %8x %*s %*s %*s %*s %8x", &destination, &gateway, &mask) != 3 ||
            destination != 0 || mask != 0 || gateway == 0)
            continue;
        address = address_of_ipv4(gateway);
        address_list_add(&network->gateways, &address);
    }
}

/* Destination, its prefix, source, its prefix, next hop, …: in hexadecimal, as they are written. */
static void add_routes6(struct host_network *network, const char *text)
{
    char line[512], destination[33], next[33];

    while (next_line(&text, line, sizeof(line))) {
        struct in6_addr address;
        unsigned int prefix;

        if (sscanf(line, "%32[0-9a-f] %2x %*s %*s %32[0-9a-f]", destination, &prefix, next) != 3 ||
            prefix != 0 || strspn(destination, "0") != 32 || strlen(next) != 32)
            continue;
        for (size_t i = 0; i < sizeof(address); i++) {
            const char digits[3] = { next[2 * i], next[2 * i + 1] };

            address.s6_addr[i] = (uint8_t)strtoul(digits, NULL, 16);
        }
        if (!IN6_IS_ADDR_UNSPECIFIED(&address))
            address_list_add(&network->gateways, &address);
    }
}

void host_network_gateways(struct host_network *network, const char *routes, const char *routes6)
{
    add_routes(network, routes);
    add_routes6(network, routes6);
}

static int add_own(struct host_network *network, struct error *error)
{
    struct ifaddrs *all, *one;

    if (getifaddrs(&all) < 0)
        return error_system(error, errno, "--net user: the host's addresses");
    for (one = all; one; one = one->ifa_next) {
        struct in6_addr address;

        if (!one->ifa_addr)
            continue;
        if (one->ifa_addr->sa_family == AF_INET)
            address = address_of_ipv4(((struct sockaddr_in *)(void *)one->ifa_addr)->sin_addr.s_addr);
        else if (one->ifa_addr->sa_family == AF_INET6)
            address = ((struct sockaddr_in6 *)(void *)one->ifa_addr)->sin6_addr;
        else
            continue;
        if (address_is_outside(&address) && !address_list_add(&network->own, &address))
            network->crowded = true;
    }
    freeifaddrs(all);
    return 0;
}

int host_network_read_files(struct host_network *network, const char *resolv, const char *route, const char *route6,
                            struct error *error)
{
    cleanup_free char *resolvers = read_file(resolv);
    cleanup_free char *routes = resolvers ? read_file(route) : NULL;
    cleanup_free char *routes6 = routes ? read_file(route6) : NULL;

    *network = (struct host_network){ .loopback_resolver = false };
    if (!routes6)
        return error_system(error, errno, "--net user: the host's network");
    host_network_resolvers(network, resolvers);
    host_network_gateways(network, routes, routes6);
    return 0;
}

int host_network_read(struct host_network *network, struct error *error)
{
    int result = host_network_read_files(network, "/etc/resolv.conf", "/proc/net/route", "/proc/net/ipv6_route", error);

    return result < 0 ? result : add_own(network, error);
}
