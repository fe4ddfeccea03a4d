/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_FORWARD_H
#define MOTE_CONFIG_FORWARD_H

/* A port of the host that leads to one of the guest, as it is written. */

#include "devices/virtio/net.h"

#define FORWARD_NO_ADDRESS "begins with no address of the host's; give 127.0.0.1: or [::1]: or another, or none for all of them"

/* [ADDRESS:]HOSTPORT:GUESTPORT, an IPv6 address in brackets; `udp` stays as it is.  NULL, or what is wrong and what to give. */
const char *forward_parse(const char *text, struct passt_forward *forward);
/* An address of IPv4 or IPv6, or none. */
bool forward_address_is_good(const char *address);

#endif
