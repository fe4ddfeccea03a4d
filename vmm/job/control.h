/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_CONTROL_H
#define MOTE_RUN_CONTROL_H

/*
 * The control connection, the host's side: records out, in a queue where the
 * guest is slow to read, and checked records in.
 */

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/job/record.h"

struct control;

struct control_peer {
    void (*record)(void *context, const struct record *record);
    /* The last call: the guest closed it, or (-EPROTO) does not speak the protocol. */
    void (*closed)(void *context, int reason);
    void *context;
};

/* FD, non-blocking, becomes the control's on success. */
int control_create(struct control **control, struct event_loop *loop, int fd,
                   const struct control_peer *peer, struct error *error);
void control_destroy(struct control *control);

/* Takes what has come by now, ahead of the loop; not from within a record. */
void control_look(struct control *control);

/* A whole record, header included.  Never waits; -ENOBUFS: the guest reads none. */
int control_send(struct control *control, const void *record, size_t length);

#endif
