/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ORDERS_INTERNAL_H
#define MOTE_ORDERS_INTERNAL_H

/* What the parts of the orders share. */

#include "vmm/supervisor/background_task.h"
#include "vmm/supervisor/control_socket.h"
#include "vmm/supervisor/orders.h"
#include "vmm/supervisor/snapshot/folder.h"
#include "vmm/base/timer.h"

/* Snapshots that a VM remembers to have been at. */
#define MOMENTS 32

struct orders {
    struct orders_owner owner;
    struct control_socket *control;
    int channel;
    struct sandbox *sandbox; /* of the monitor behind it */
    bool in_flight; /* a client waits for the answer to ORDER */
    bool owed;      /* none waits any more, and there is no other order until it came */
    struct message order;
    uint32_t last_id; /* of an order */
    struct timer patience;
    unsigned int seconds; /* that ORDER has taken */
    bool went_on;            /* has been told so since */
    struct error failure;    /* met while another order makes up for it */
    struct snapshot_folder folder;
    struct background_task keeping; /* FOLDER, once it is written */
    bool paused;
    bool was_paused; /* before the snapshot */
    struct event_loop *loop;
    bool ending; /* the loop runs until FOLDER is kept */
    size_t moment_count;
    uint8_t moments[MOMENTS][SNAPSHOT_ID_SIZE]; /* ids: what the VM came from, and was saved as */
};

/* ORDER becomes the one that is in flight. */
int orders_send(struct orders *orders, struct message *order, const int *fds, size_t fd_count,
                struct error *error);
/* Also for `mote ps`; an error is of that. */
int orders_set_paused(struct orders *orders, bool paused, struct error *error);

/* ---- orders_snapshot.c ----------------------------------------------------- */

/* The VM is what the snapshot ID is: it may be a base. */
void orders_remember(struct orders *orders, const uint8_t id[SNAPSHOT_ID_SIZE]);
int orders_begin_snapshot(struct orders *orders, const struct control_request *request,
                          struct error *error);
/* By the VM's process; its client is answered once it is on the disk. */
void orders_snapshot_saved(struct orders *orders);

#endif
