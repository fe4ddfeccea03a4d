/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BOOT_ORDERS_H
#define MOTE_BOOT_ORDERS_H

/*
 * A VM or job with a name: what is asked through its control socket becomes orders
 * to its VM's process, whose answers go back.  The supervisor opens and names the
 * files of a snapshot; the process in its jail gets their descriptors.
 */

#include <stdbool.h>

#include "vmm/config/config.h"
#include "vmm/monitor/protocol.h"
#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/jail/sandbox.h"
#include "vmm/supervisor/store.h"

struct orders;

/* Whose they are; all of it outlives the orders. */
struct orders_owner {
    const struct vm_config *vm;
    const struct store_entry *entry; /* which the owner has claimed */
    bool is_job; /* its VM is no one without this supervisor: it is not to be saved */
    void (*stop)(void *context); /* as SIGTERM does */
    void *context;
};

int orders_create(struct orders **orders, const struct orders_owner *owner,
                  struct event_loop *loop, struct error *error);

/*
 * The VM's process behind CHANNEL, in SANDBOX, is the one to order from now on;
 * -1: it has ended.  NULL for ORDERS is fine, here and below.
 */
void orders_channel(struct orders *orders, int channel, struct sandbox *sandbox);

/* Returns whether there was an order that it answers. */
bool orders_answered(struct orders *orders, const struct message *answer);

/* Has a paused VM go on, also one that is just being paused: somebody else than its client wants something of it. */
void orders_go_on(struct orders *orders);

/* A snapshot that is being brought to the disk is given up. */
void orders_abandon(struct orders *orders);

/* The last monitor has ended: runs the loop until such a snapshot is complete or given up. */
int orders_end(struct orders *orders, struct error *error);

/* In a child, just forked, such as the VM's process: none of it is for a jail. */
void orders_close(struct orders *orders);

void orders_destroy(struct orders *orders);

#endif
