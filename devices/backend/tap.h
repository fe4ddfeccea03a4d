/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TAP_H
#define MOTE_TAP_H

/*
 * A tap interface of the host, with checksum and segmentation offloads: the
 * header of each frame goes to and comes from the host's kernel, and frames are
 * copied between it and the guest's buffers directly.
 *
 * A tap must be there before: making one needs rights that a monitor should not
 * have.  `ip tuntap add NAME mode tap user USER` gives it to a user.
 */

#include "devices/backend/uplink.h"

/* Opens the tap NAME with PAIRS queues. */
int tap_open(struct uplink **uplink, const char *name, unsigned int pairs, struct error *error);

/* The tap behind FD, which whoever started the monitor opened; a copy of it, FD stays. */
int tap_adopt(struct uplink **uplink, int fd, struct error *error);

#endif
