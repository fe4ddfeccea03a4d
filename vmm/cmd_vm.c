/* SPDX-License-Identifier: Apache-2.0 */
/* `mote pause`, `resume` and `snapshot`: VMs that have a name, by their control socket. */

#include <errno.h>
#include <json-c/json_object.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/boot/control_socket.h"
#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/options.h"
#include "vmm/store.h"

struct vm_options {
    bool stop;
};

static const struct option_row snapshot_rows[] = {
    { "Options", "stop", NULL, "end the VM with the snapshot, not an instruction later",
      option_set_flag, .offset = offsetof(struct vm_options, stop) },
};

static const char *const word_names[] = { "VM's name", "snapshot's folder" };

static int ask(const char *name, struct json_object *request, struct error *error)
{
    struct store_entry entry = STORE_ENTRY_INIT;
    struct json_object *reply = NULL;
    struct error why = ERROR_INIT;
    int result = store_find(&entry, name, error);

    if (result < 0) {
        json_object_put(request);
        return error_set(error, ENOENT, "VM %s: is not there; 'mote ps' lists those that are", name);
    }
    result = control_socket_ask(entry.folder, request, &reply, &why);
    if (result < 0)
        error_set(error, why.number, "VM %s: %s", name, why.message);
    else
        json_object_put(reply);
    store_close(&entry);
    return result;
}

static struct json_object *request_of(const char *command)
{
    struct json_object *request = json_object_new_object();

    json_object_object_add(request, "command", json_object_new_string(command));
    return request;
}

static int plain_request(const struct option_table *table, const char *command, int argc,
                         char **argv)
{
    struct error error = ERROR_INIT;
    const char *name;
    bool helped;

    if (options_parse_mixed(table, NULL, argc, argv, &name, word_names, 1, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    return ask(name, request_of(command), &error) < 0 ? command_failed(&error) : STATUS_OK;
}

int cmd_pause(int argc, char **argv)
{
    static const struct option_table table = {
        "mote pause NAME", "Has the VM of 'mote boot --name NAME' stand still, until it is resumed.",
        "  mote pause web\n", NULL, 0,
    };

    return plain_request(&table, "pause", argc, argv);
}

int cmd_resume(int argc, char **argv)
{
    static const struct option_table table = {
        "mote resume NAME", "Has a paused VM go on.", "  mote resume web\n", NULL, 0,
    };

    return plain_request(&table, "resume", argc, argv);
}

/* The VM's supervisor may be in another folder. */
static char *absolute(const char *path)
{
    cleanup_free char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    char *joined;

    if (path[0] == '/')
        return strdup(path);
    return here && asprintf(&joined, "%s/%s", here, path) >= 0 ? joined : NULL;
}

int cmd_snapshot(int argc, char **argv)
{
    static const struct option_table table = {
        "mote snapshot NAME FOLDER [--stop]",
        "Saves the VM of 'mote boot --name NAME' into the new folder FOLDER; the VM goes on.",
        "  mote snapshot web ./web.snapshot\n"
        "  mote snapshot web ./web.snapshot --stop && mote restore ./web.snapshot\n",
        snapshot_rows, ARRAY_LENGTH(snapshot_rows),
    };
    struct vm_options options = { .stop = false };
    struct error error = ERROR_INIT;
    struct json_object *request;
    cleanup_free char *folder = NULL;
    const char *words[2];
    bool helped;

    if (options_parse_mixed(&table, &options, argc, argv, words, word_names, 2, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    folder = absolute(words[1]);
    if (!folder) {
        error_system(&error, errno, "snapshot %s", words[1]);
        return command_failed(&error);
    }
    request = request_of("snapshot");
    json_object_object_add(request, "folder", json_object_new_string(folder));
    if (options.stop)
        json_object_object_add(request, "stop", json_object_new_boolean(true));
    return ask(words[0], request, &error) < 0 ? command_failed(&error) : STATUS_OK;
}
