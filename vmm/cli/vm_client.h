/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_CLIENT_H
#define MOTE_VM_CLIENT_H

/* How commands ask something of a VM or job that has a name: through its control socket. */

#include <json-c/json_object.h>

#include "vmm/base/error.h"
#include "vmm/supervisor/control_socket.h"

/* {"command": COMMAND}, the caller's to complete. */
struct json_object *vm_client_request(const char *command);
/* The VM's supervisor may be in another folder.  NULL with errno; the caller frees it. */
char *vm_client_absolute(const char *path);
/* Gives REQUEST away.  *REPLY is the caller's to put; REPLY and WAITING may be NULL. */
int vm_client_ask(const char *name, struct json_object *request, struct json_object **reply,
                  const struct control_waiting *waiting, struct error *error);

#endif
