/* SPDX-License-Identifier: Apache-2.0 */
/* `mote status`: a VM or job that runs, by its control socket; what its monitor has counted, where that answers. */

#include <inttypes.h>
#include <json-c/json.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"
#include "vmm/cli/commands.h"
#include "vmm/cli/vm_client.h"

struct status_options {
    bool json;
};

static const struct option_row rows[] = {
    { "Options", "json", NULL, "as one JSON object", option_set_flag, .offset = offsetof(struct status_options, json) },
};

/* ---- asking ----------------------------------------------------------------- */

/* Adds to STATUS what STATISTICS, which is released, has. */
static void join(struct json_object *status, struct json_object *statistics)
{
    json_object_object_foreach(statistics, key, value)
        json_object_object_add(status, key, json_object_get(value));
    json_object_put(statistics);
}

/* A monitor that does not answer keeps nobody from the rest, which says why. */
static int read_status(const char *name, struct json_object **status, struct error *error)
{
    struct json_object *statistics = NULL;
    struct error why = ERROR_INIT;
    int result = vm_client_ask(name, vm_client_request("status"), status, NULL, error);

    if (result < 0)
        return result;
    if (vm_client_ask(name, vm_client_request("statistics"), &statistics, NULL, &why) == 0)
        join(*status, statistics);
    else
        json_object_object_add(*status, "statistics_error", json_object_new_string(why.message));
    json_object_object_del(*status, "ok");
    return 0;
}

/* ---- showing ---------------------------------------------------------------- */

/* Whether OBJECT, NULL for none, has it. */
static bool get(struct json_object *object, const char *key, uint64_t *number)
{
    struct json_object *value;

    if (!object || !json_object_object_get_ex(object, key, &value))
        return false;
    *number = json_object_get_uint64(value);
    return true;
}

static struct json_object *part(struct json_object *status, const char *key)
{
    struct json_object *value = NULL;

    json_object_object_get_ex(status, key, &value);
    return value;
}

static const char *text(struct json_object *status, const char *key)
{
    struct json_object *value = part(status, key);

    return value ? json_object_get_string(value) : "";
}

static void show_mib(const char *label, struct json_object *object, const char *key, bool *any)
{
    uint64_t bytes;

    if (get(object, key, &bytes))
        printf("%s%s %.1f MiB", *any ? ", " : "", label, (double)bytes / (1 << 20));
    *any = *any || get(object, key, &bytes);
}

static void show_count(const char *label, struct json_object *object, const char *key, bool *any)
{
    uint64_t count;

    if (get(object, key, &count))
        printf("%s%s %" PRIu64, *any ? ", " : "", label, count);
    *any = *any || get(object, key, &count);
}

static void show_time(uint64_t ms)
{
    uint64_t seconds = ms / 1000;

    if (seconds >= 86400)
        printf("%" PRIu64 "d ", seconds / 86400);
    if (seconds >= 3600)
        printf("%" PRIu64 "h ", seconds / 3600 % 24);
    if (seconds >= 60)
        printf("%" PRIu64 "m ", seconds / 60 % 60);
    printf("%" PRIu64 "s", seconds % 60);
}

static void show_guest(struct json_object *guest)
{
    bool any = false;

    printf("guest      ");
    show_mib("total", guest, "total", &any);
    show_mib("free", guest, "free", &any);
    show_mib("available", guest, "available", &any);
    show_mib("caches", guest, "disk_caches", &any);
    show_mib("swapped in", guest, "swap_in", &any);
    show_mib("out", guest, "swap_out", &any);
    show_count("major faults", guest, "major_faults", &any);
    show_count("minor", guest, "minor_faults", &any);
    puts(any ? "" : "no figures: its driver gave none yet, or --balloon has no stats=SECONDS");
}

static void show(struct json_object *status)
{
    struct json_object *balloon = part(status, "balloon"), *console = part(status, "console");
    uint64_t number = 0;
    bool any = false;

    printf("name       %s\nstate      %s, up ", text(status, "name"), text(status, "state"));
    get(status, "uptime_ms", &number);
    show_time(number);
    printf("\nprocesses  mote %s, monitor %s\n", text(status, "pid"), text(status, "monitor_pid"));
    printf("cpus       %s", text(status, "cpus"));
    if (get(status, "cpu_ms", &number))
        printf(", %.1f s of processor time", (double)number / 1000);
    printf("\nmemory     ");
    show_mib("guest", status, "memory", &any);
    show_mib("resident", status, "resident", &any);
    puts("");
    any = false;
    if (console && get(console, "written", &number)) {
        printf("console    %" PRIu64 " bytes written", number);
        if (get(console, "discarded", &number) && number > 0)
            printf(", %" PRIu64 " discarded", number);
        puts("");
    }
    if (balloon) {
        printf("balloon    ");
        show_mib("target", balloon, "target", &any);
        show_mib("given", balloon, "actual", &any);
        puts("");
        show_guest(part(status, "guest"));
    }
    if (part(status, "statistics_error"))
        printf("console    not known: %s\n", text(status, "statistics_error"));
}

int cmd_status(int argc, char **argv)
{
    static const struct option_table table = {
        .usage = "mote status [--json] NAME",
        .summary = "Shows a VM or job that runs: state, time, memory, and of a VM with a balloon what its\nguest says of its memory.",
        .examples = "  mote status web\n  mote status --json web\n",
        .rows = rows,
        .count = ARRAY_LENGTH(rows),
    };
    static const char *const names[] = { "VM's name" };
    struct status_options options = { .json = false };
    struct json_object *status = NULL;
    struct error error = ERROR_INIT;
    const char *name;
    bool helped;

    if (options_parse_mixed(&table, &options, argc, argv, &name, names, 1, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    if (read_status(name, &status, &error) < 0)
        return command_failed(&error);
    if (options.json)
        puts(json_object_to_json_string_ext(status, JSON_C_TO_STRING_PRETTY));
    else
        show(status);
    json_object_put(status);
    return STATUS_OK;
}
