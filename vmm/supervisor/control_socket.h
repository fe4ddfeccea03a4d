/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONTROL_SOCKET_H
#define MOTE_CONTROL_SOCKET_H

/*
 * A VM's control socket: requests of other processes of the same user, one JSON
 * object a line, each answered by one line (docs/control.md).  Several clients
 * may be there; their requests are served one after the other, but for those that
 * are answered at once: one that waits keeps nobody from these.
 *
 * It is the supervisor's.  A request is at most CONTROL_LINE_MAX bytes long, a
 * client that sends more, or does not take its answer, is cut off.
 */

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/supervisor/vm_verbs.h"

#define CONTROL_LINE_MAX 8192
#define CONTROL_CLIENTS_MAX 16

struct control_socket;

/*
 * Who is asked: control_socket_answer() follows, at once or later, from within asked() where
 * the verb is one that is answered at once.  REQUEST is gone then.
 */
struct control_owner {
    void (*asked)(void *context, const struct verb_request *request);
    void *context;
};

/* Listens on the socket "control" in FOLDER, a descriptor; LOOP serves it. */
int control_socket_create(struct control_socket **control, int folder, struct event_loop *loop,
                   const struct control_owner *owner, struct error *error);

/* Answers what was asked: by {"ok":true} and the members of REPLY, which is NULL or given away. */
void control_socket_answer(struct control_socket *control, struct json_object *reply);
/* Or by {"ok":false,"error":"…"}. */
void control_socket_refuse(struct control_socket *control, const struct error *error);

/* In a child that was just forked: closes what is the parent's. */
void control_socket_close(struct control_socket *control);
void control_socket_destroy(struct control_socket *control);

/* ---- the other side -------------------------------------------------------- */

/* While an answer is awaited, some times a second. */
struct control_waiting {
    void (*passes)(void *context);
    void *context;
};

/*
 * Sends REQUEST, which is given away, to the socket in FOLDER and awaits the answer, the caller's
 * to put; WAITING may be NULL.  An answer that is not "ok" is an error with its words.
 */
int control_socket_ask(int folder, struct json_object *request, struct json_object **reply,
                       const struct control_waiting *waiting, struct error *error);

#endif
