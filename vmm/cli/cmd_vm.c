/* SPDX-License-Identifier: Apache-2.0 */
/* `mote pause` and other verbs, and `mote snapshot`: VMs and jobs that have a name, by their control socket. */

#include <errno.h>
#include <json-c/json_object.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/cli/vm_client.h"
#include "vmm/supervisor/control_socket.h"
#include "vmm/base/options.h"
#include "vmm/base/progress.h"
#include "vmm/supervisor/vm_verbs.h"

struct vm_options {
    const char *base;
    bool stop;
};

static const struct option_row snapshot_rows[] = {
    { "Options", "diff", "BASE", "save only memory that differs from the snapshot BASE, which stays "
      "needed", option_set_text, .offset = offsetof(struct vm_options, base) },
    { NULL, "stop", NULL, "end the VM with the snapshot",
      option_set_flag, .offset = offsetof(struct vm_options, stop) },
};

static const char *const word_names[] = { "VM's name", "snapshot's folder" };

/* The verb's name is the command's. */
int cmd_verb(int argc, char **argv)
{
    const struct vm_verb *verb = vm_verb_find(argv[0]);
    char usage[48];
    struct option_table table = { .usage = usage, .summary = verb->summary, .examples = verb->examples };
    struct error error = ERROR_INIT;
    const char *name;
    bool helped;

    snprintf(usage, sizeof(usage), "mote %s NAME", verb->name);
    if (options_parse_mixed(&table, NULL, argc, argv, &name, word_names, 1, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    return vm_client_ask(name, vm_client_request(verb->name), NULL, NULL, &error) < 0 ? command_failed(&error) : STATUS_OK;
}

/* ---- snapshot -------------------------------------------------------------- */

/* What has been written so far: the VM's processes do it, and it is for all to see. */
struct growth {
    char *memory; /* the file's name */
    struct progress progress;
};

static void show_growth(void *context)
{
    struct growth *growth = context;
    struct stat status;

    if (stat(growth->memory, &status) == 0)
        growth->progress.done = (uint64_t)status.st_blocks * 512;
    progress_add(&growth->progress, 0);
}

/* Adds to REQUEST the absolute form of PATH. */
static int add_path(struct json_object *request, const char *key, const char *path,
                    struct error *error)
{
    cleanup_free char *whole = vm_client_absolute(path);

    if (!whole)
        return error_system(error, errno, "snapshot %s", path);
    json_object_object_add(request, key, json_object_new_string(whole));
    return 0;
}

static int snapshot(const char *name, const char *folder, const struct vm_options *options,
                    struct error *error)
{
    struct json_object *request = vm_client_request("snapshot");
    struct growth growth;
    struct control_waiting waiting = { .passes = show_growth, .context = &growth };
    size_t length = strlen(folder);
    int result = add_path(request, "folder", folder, error);

    if (result == 0 && options->base)
        result = add_path(request, "base", options->base, error);
    if (options->stop)
        json_object_object_add(request, "stop", json_object_new_boolean(true));
    while (length > 1 && folder[length - 1] == '/')
        length--;
    if (result < 0 || asprintf(&growth.memory, "%.*s.partial/memory", (int)length, folder) < 0) {
        json_object_put(request);
        return result < 0 ? result : error_system(error, ENOMEM, "snapshot");
    }
    progress_init(&growth.progress, true);
    progress_begin(&growth.progress, 0, "saving %s", name);
    result = vm_client_ask(name, request, NULL, &waiting, error);
    progress_end(&growth.progress);
    free(growth.memory);
    return result;
}

int cmd_snapshot(int argc, char **argv)
{
    static const struct option_table table = {
        "mote snapshot NAME FOLDER [--diff BASE] [--stop]\n"
        "       mote snapshot merge FOLDER [INTO]\n"
        "       mote snapshot verify FOLDER",
        "Saves the VM of 'mote boot --name NAME' into the new folder FOLDER; the VM continues.\n"
        "'merge' folds one made with --diff to a full one, 'verify' reads one through.",
        "  mote snapshot web ./web.snapshot\n"
        "  mote snapshot web ./web.monday --diff ./web.snapshot\n"
        "  mote snapshot web ./web.snapshot --stop && mote restore ./web.snapshot\n",
        snapshot_rows, ARRAY_LENGTH(snapshot_rows),
    };
    struct vm_options options = { .stop = false };
    struct error error = ERROR_INIT;
    const char *words[2];
    bool helped;

    if (argc > 1 && strcmp(argv[1], "merge") == 0)
        return cmd_snapshot_merge(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "verify") == 0)
        return cmd_snapshot_verify(argc - 1, argv + 1);
    if (options_parse_mixed(&table, &options, argc, argv, words, word_names, 2, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    return snapshot(words[0], words[1], &options, &error) < 0 ? command_failed(&error) : STATUS_OK;
}
