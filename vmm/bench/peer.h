/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_PEER_H
#define MOTE_BENCH_PEER_H

/*
 * Whom the job speaks to on the axis network: a TCP server at this host's own
 * address, which a VM's user-mode network leads to as well as a process's.  It
 * echoes or swallows what comes and keeps nothing, so it does not matter who
 * else finds it while it is there.  One connection at a time, by one thread.
 */

#include <stddef.h>

#include "vmm/base/error.h"

struct peer;

/* NAME gets "ADDRESS-PORT" in hexadecimal digits, as mote-probe takes it. */
int peer_start(struct peer **peer, char *name, size_t size, struct error *error);
void peer_stop(struct peer *peer);

#endif
