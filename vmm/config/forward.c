/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/forward.h"

#include <arpa/inet.h>
#include <string.h>

/* Digits alone, one to five, up to END; 0 for what is no port. */
static unsigned int read_port(const char *text, const char *end)
{
    unsigned int value = 0;

    if (text == end || end - text > 5)
        return 0;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        value = value * 10 + (unsigned int)(*text - '0');
    }
    return value <= UINT16_MAX ? value : 0;
}

/* An address before a colon, which passt is to understand as we do; its end, or NULL. */
static const char *read_address(const char *text, char address[INET6_ADDRSTRLEN])
{
    bool ipv6 = text[0] == '[';
    const char *begin = text + ipv6, *end = strchr(begin, ipv6 ? ']' : ':');
    uint8_t bytes[16];

    if (!end || end - begin >= INET6_ADDRSTRLEN || end[ipv6] != ':')
        return NULL;
    memcpy(address, begin, (size_t)(end - begin));
    address[end - begin] = '\0';
    return inet_pton(ipv6 ? AF_INET6 : AF_INET, address, bytes) == 1 ? end + ipv6 : NULL;
}

bool forward_address_is_good(const char *address)
{
    uint8_t bytes[16];

    return address[0] == '\0' || inet_pton(strchr(address, ':') ? AF_INET6 : AF_INET, address, bytes) == 1;
}

const char *forward_parse(const char *text, struct passt_forward *forward)
{
    static const char no_pair[] = "is no pair of ports; give HOSTPORT:GUESTPORT";
    const char *ports = text, *colon = strrchr(text, ':');
    unsigned int host, guest;

    if (!colon)
        return no_pair;
    forward->address[0] = '\0';
    if (text[0] == '[' || memchr(text, ':', (size_t)(colon - text))) {
        const char *end = read_address(text, forward->address);

        if (!end)
            return FORWARD_NO_ADDRESS;
        if (end == colon)
            return no_pair;
        ports = end + 1;
    }
    host = read_port(ports, colon);
    guest = read_port(colon + 1, colon + strlen(colon));
    if (host == 0 || guest == 0)
        return "has a port that is no number from 1 to 65535; give others";
    forward->host_port = (uint16_t)host;
    forward->guest_port = (uint16_t)guest;
    return NULL;
}
