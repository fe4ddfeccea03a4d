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

#include "devices/backend/uplink.h"

#define PASST_FORWARDS_MAX 28

/* A port of the host, at all of its addresses, that leads to one of the guest. */
struct passt_forward {
    bool udp;
    uint16_t host_port;
    uint16_t guest_port;
};

int passt_start(struct uplink **uplink, const struct passt_forward *forwards, size_t count,
                struct error *error);

#endif
