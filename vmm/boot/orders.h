/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BOOT_ORDERS_H
#define MOTE_BOOT_ORDERS_H

/*
 * A VM with a name: what is asked through its control socket becomes orders to
 * its monitor, whose answers go back.  The supervisor opens and names the files
 * of a snapshot; the monitor in its jail gets their descriptors.
 */

#include "vmm/boot/boot.h"
#include "vmm/event_loop.h"

struct orders;

/* CONFIG, which has an entry, outlives it; STOP ends the VM. */
int orders_create(struct orders **orders, const struct boot_config *config, struct event_loop *loop,
                  void (*stop)(void *context), void *context, struct error *error);

/* The monitor behind CHANNEL, in SANDBOX, is the one to order from now on; -1: it has ended. */
void orders_channel(struct orders *orders, int channel, struct sandbox *sandbox);

void orders_answered(struct orders *orders, const struct boot_answer *answer);

/* A snapshot that is being brought to the disk is given up.  NULL is fine. */
void orders_abandon(struct orders *orders);

/* The last monitor has ended: runs the loop until such a snapshot is complete or given up.  NULL is fine. */
int orders_end(struct orders *orders, struct error *error);

/* In the monitor, just forked: none of it is for a jail.  NULL is fine. */
void orders_close(struct orders *orders);

/* NULL is fine. */
void orders_destroy(struct orders *orders);

#endif
