/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/vm_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/supervisor/store.h"

int vm_client_ask(const char *name, struct json_object *request, struct json_object **reply,
                  const struct control_waiting *waiting, struct error *error)
{
    struct store_entry entry = STORE_ENTRY_INIT;
    struct json_object *answer = NULL;
    struct error why = ERROR_INIT;
    int result = store_find(&entry, name, error);

    if (result < 0) {
        json_object_put(request);
        return error_set(error, ENOENT, "VM %s: is not there; 'mote ps' lists those that are", name);
    }
    result = control_socket_ask(entry.folder, request, &answer, waiting, &why);
    if (result < 0)
        error_set(error, why.number, "VM %s: %s", name, why.message);
    else if (reply)
        *reply = answer;
    else
        json_object_put(answer);
    store_close(&entry);
    return result;
}

struct json_object *vm_client_request(const char *command)
{
    struct json_object *request = json_object_new_object();

    json_object_object_add(request, "command", json_object_new_string(command));
    return request;
}

char *vm_client_absolute(const char *path)
{
    cleanup_free char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    char *joined;

    if (path[0] == '/')
        return strdup(path);
    return here && asprintf(&joined, "%s/%s", here, path) >= 0 ? joined : NULL;
}
