/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_HOST_NETWORK_H
#define MOTE_HOST_NETWORK_H

/*
 * What the host's network is when a guest's begins; what changes later is not
 * known here.  Of its own addresses only those that are not closed as a private
 * network's: frame_filter.h.
 */

#include <stdbool.h>

#include "devices/backend/frame_filter.h"
#include "vmm/base/error.h"

struct host_network {
    struct address_list own, gateways, resolvers;
    bool crowded;           /* there are more of its own than the list holds */
    bool loopback_resolver; /* as systemd-resolved is; not among the resolvers */
};

/* Of this process's network; files that cannot be read are empty. */
int host_network_read(struct host_network *network, struct error *error);

/* But for its own addresses, by files of these names. */
int host_network_read_files(struct host_network *network, const char *resolv, const char *route, const char *route6,
                            struct error *error);

/* The parts, from texts as resolv.conf(5), /proc/net/route and /proc/net/ipv6_route have them. */
void host_network_resolvers(struct host_network *network, const char *text);
void host_network_gateways(struct host_network *network, const char *routes, const char *routes6);

#endif
