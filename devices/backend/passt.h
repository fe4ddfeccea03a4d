/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PASST_H
#define MOTE_PASST_H

/*
 * User-mode networking by passt, a program of its own: it ends the guest's TCP
 * and UDP in sockets of the host's and needs neither rights nor configuration.
 *
 * passt gets one end of a socket pair and leaves when the other is closed, so
 * it ends with the monitor however that ends.  It takes no offloads.
 */

#include <stdbool.h>

#include "devices/backend/uplink.h"

#define PASST_FORWARDS_MAX 28

/* A port of the host, at all of its addresses, that leads to one of the guest. */
struct passt_forward {
    bool udp;
    uint16_t host_port;
    uint16_t guest_port;
};

/*
 * The private network: addresses that need no DHCP and are the same on every
 * host, and no way to what the host has at its loopback but its name server.
 */
#define PASST_PRIVATE_ADDRESS "10.0.2.15"
#define PASST_PRIVATE_PREFIX 24
#define PASST_PRIVATE_GATEWAY "10.0.2.2"
#define PASST_PRIVATE_NAME_SERVER "10.0.2.3"

/* PRIVATE_NETWORK: else the guest gets the host's own addresses, by DHCP. */
int passt_start(struct uplink **uplink, const struct passt_forward *forwards, size_t count,
                bool private_network, struct error *error);

#endif
