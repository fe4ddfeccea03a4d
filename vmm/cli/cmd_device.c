/* SPDX-License-Identifier: Apache-2.0 */
/* `mote disk` and `mote net`: what is changed of the devices of a running VM. */

#include <errno.h>
#include <json-c/json_object.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"
#include "vmm/cli/commands.h"
#include "vmm/cli/vm_client.h"

#define IDS                                                                                             \
    "ID is the disk's serial= or its number: 0 is the first --disk of the VM, which Linux calls vda.\n"
#define RATES                                                                                           \
    "RATES are keys as the option has them, 'rate=10M,ops=500', and take the place of all limits that\n" \
    "the device has; 'unlimited' takes these away.\n"

static void add_text(struct json_object *request, const char *key, const char *text)
{
    json_object_object_add(request, key, json_object_new_string(text));
}

static int disk_replace(int argc, char **argv)
{
    static const struct option_table table = {
        "mote disk replace NAME ID PATH",
        "Puts another file or block device in the place of a disk's, while the VM NAME runs: what the guest\n"
        "wrote is flushed to the old file, which is then closed and unlocked, and the guest sees the new\n"
        "size.  Have it unmount the disk first: what it keeps in memory of a file system is of the old one.\n"
        IDS
        "The disk's other options stay.  One with overlay= gets no other file.",
        "  mote disk replace web 1 ./data-2.img\n"
        "  mote disk replace web backup /dev/vg0/monday\n", NULL, 0,
    };
    static const char *const names[] = { "VM's name", "disk's serial or number", "file's path" };
    struct error error = ERROR_INIT;
    struct json_object *request;
    cleanup_free char *path = NULL;
    const char *words[3];
    bool helped;

    if (options_parse_mixed(&table, NULL, argc, argv, words, names, 3, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    path = vm_client_absolute(words[2]);
    if (!path) {
        error_system(&error, errno, "disk %s", words[2]);
        return command_failed(&error);
    }
    request = vm_client_request("replace-disk");
    add_text(request, "disk", words[1]);
    add_text(request, "path", path);
    return vm_client_ask(words[0], request, NULL, NULL, &error) < 0 ? command_failed(&error) : STATUS_OK;
}

static int set_rate(const struct option_table *table, const char *kind, int argc, char **argv)
{
    static const char *const names[] = { "VM's name", "device's number", "rates" };
    struct error error = ERROR_INIT;
    struct json_object *request;
    const char *words[3];
    bool helped;

    if (options_parse_mixed(table, NULL, argc, argv, words, names, 3, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    request = vm_client_request("set-rate");
    add_text(request, "kind", kind);
    add_text(request, "device", words[1]);
    add_text(request, "rates", words[2]);
    return vm_client_ask(words[0], request, NULL, NULL, &error) < 0 ? command_failed(&error) : STATUS_OK;
}

static int disk_set(int argc, char **argv)
{
    static const struct option_table table = {
        "mote disk set NAME ID RATES",
        "Sets the rate limits of a disk of the VM or job NAME while it runs.\n" IDS RATES,
        "  mote disk set web 0 rate=50M,ops=2000\n"
        "  mote disk set web backup unlimited\n", NULL, 0,
    };

    return set_rate(&table, "disk", argc, argv);
}

static int net_set(int argc, char **argv)
{
    static const struct option_table table = {
        "mote net set NAME ID RATES",
        "Sets the rate limits of a network device of the VM or job NAME while it runs.\n"
        "ID is its number: 0 is the first --net of the VM.\n" RATES
        "rx- before a key is for what the guest receives alone, tx- for what it sends.",
        "  mote net set web 0 rate=10M\n"
        "  mote net set web 0 rx-rate=100M,tx-rate=10M,tx-burst=1M\n"
        "  mote net set web 0 unlimited\n", NULL, 0,
    };

    return set_rate(&table, "net", argc, argv);
}

struct part {
    const char *name;
    int (*run)(int argc, char **argv);
};

/* The second word says what is to be done. */
static int run_part(const char *command, const char *usage, const char *summary, const char *examples,
                    const struct part *parts, int argc, char **argv)
{
    struct option_table table = { usage, summary, examples, NULL, 0 };
    struct error error = ERROR_INIT;
    bool helped;
    int words;

    for (const struct part *part = parts; argc > 1 && part->name; part++)
        if (strcmp(argv[1], part->name) == 0)
            return part->run(argc - 1, argv + 1);
    if (options_parse_words(&table, NULL, argc, argv, &words, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    if (words < argc)
        error_set(&error, EINVAL, "mote %s: '%.40s' is not known; try 'mote %s --help'", command, argv[words], command);
    else
        error_set(&error, EINVAL, "mote %s: says not what to do; try 'mote %s --help'", command, command);
    return command_failed(&error);
}

int cmd_disk(int argc, char **argv)
{
    static const struct part parts[] = { { "replace", disk_replace }, { "set", disk_set }, { NULL, NULL } };

    return run_part("disk", "mote disk replace NAME ID PATH\n       mote disk set NAME ID RATES",
                    "Changes a disk of a running VM: its file, or its rate limits.\n"
                    "'mote disk replace --help' and 'mote disk set --help' tell more.",
                    "  mote disk replace web 1 ./data-2.img\n"
                    "  mote disk set web 0 rate=50M\n", parts, argc, argv);
}

int cmd_net(int argc, char **argv)
{
    static const struct part parts[] = { { "set", net_set }, { NULL, NULL } };

    return run_part("net", "mote net set NAME ID RATES",
                    "Changes the rate limits of a running VM's network; 'mote net set --help' tells more.",
                    "  mote net set web 0 rate=10M\n", parts, argc, argv);
}
