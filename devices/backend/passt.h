/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PASST_H
#define MOTE_PASST_H

/*
 * User-mode networking by passt, a program of its own: it ends the guest's TCP
 * and UDP in sockets of the host's and needs neither rights nor configuration.
 *
 * passt gets one end of a socket pair and leaves when the other is closed, so
 * it ends with the monitor however that ends.  It takes no offloads.  It goes
 * wherever the host can; what of that a guest may reach is frame_filter.h's.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "devices/backend/uplink.h"

#define PASST_FORWARDS_MAX 28

/* A port of the host that leads to one of the guest. */
struct passt_forward {
    bool udp;
    uint16_t host_port;
    uint16_t guest_port;
    char address[INET6_ADDRSTRLEN]; /* of the host's; empty: all */
};

static inline bool passt_forward_is_ipv6(const struct passt_forward *forward)
{
    return strchr(forward->address, ':') != NULL;
}

/*
 * The private network: addresses that need no DHCP and are the same on every
 * host; IPv4 alone.
 */
#define PASST_PRIVATE_ADDRESS "10.0.2.15"
#define PASST_PRIVATE_PREFIX 24
#define PASST_PRIVATE_GATEWAY "10.0.2.2"
#define PASST_PRIVATE_NAME_SERVER "10.0.2.3"

struct passt_options {
    bool private_network; /* else the guest gets the host's own addresses, by DHCP */
    bool local, link_local, host_loopback; /* what is open besides: frame_filter.h */
    size_t forward_count;
    struct passt_forward forwards[PASST_FORWARDS_MAX];
};

int passt_start(struct uplink **uplink, const struct passt_options *options, struct error *error);

#endif
