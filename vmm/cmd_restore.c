/* SPDX-License-Identifier: Apache-2.0 */
/* `mote restore`: the machine from a snapshot's state, and then as `mote boot`. */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/registry.h"
#include "vmm/boot/boot.h"
#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/options.h"
#include "vmm/sandbox/sandbox_options.h"
#include "vmm/snapshot/folder.h"
#include "vmm/snapshot/machine_state.h"
#include "vmm/store.h"

struct restore_options {
    struct boot_config boot;
    struct vm_snapshot_source source;
    unsigned int log_level;
    bool timeline;
    size_t override_count;
    struct device_text overrides[CONFIG_TEXTS_MAX]; /* the texts are argv's */
};

static const char *const log_level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug", [LOG_LEVEL_COUNT] = NULL,
};

static int add_override(void *target, const struct option_row *row, const char *value,
                        struct error *error)
{
    struct restore_options *options = target;

    if (options->override_count == CONFIG_TEXTS_MAX)
        return error_set(error, E2BIG, "--%s: over %d devices and ports; give fewer", row->name,
                         CONFIG_TEXTS_MAX);
    options->overrides[options->override_count++] = (struct device_text){
        .row = row->context, .text = (char *)(uintptr_t)value,
    };
    return 0;
}

#define FIELD(name) .offset = offsetof(struct restore_options, name)

static const struct option_row first_rows[] = {
    { "Options", "name", "NAME", "let 'mote pause', 'snapshot' and others find the VM",
      option_set_text, FIELD(boot.name) },
    { NULL, "kvm", "FILE", "the KVM device (default: /dev/kvm)", option_set_text,
      FIELD(boot.vm.kvm_path) },
    { NULL, "timeline", NULL, "print where the time went, at the end", option_set_flag,
      FIELD(timeline) },
    { NULL, "log-level", "LEVEL", "error, warn, info (default) or debug", option_set_choice,
      FIELD(log_level), .choices = log_level_names },
};
static const struct option_row last_rows[] = {
    SANDBOX_OPTION_ROWS(struct restore_options, boot.sandbox),
};

#define ROWS_MAX 24

static size_t collect_rows(struct option_row *rows)
{
    size_t device_count, count = 0;
    const struct virtio_row *devices = virtio_registry(&device_count);

    for (size_t i = 0; i < ARRAY_LENGTH(first_rows); i++)
        rows[count++] = first_rows[i];
    for (size_t i = 0; i < device_count && count < ROWS_MAX; i++)
        rows[count++] = (struct option_row){
            .group = i == 0 ? "In place of what the snapshot says (as often as it has them)" : NULL,
            .name = devices[i].option,
            .argument = devices[i].argument,
            .help = devices[i].help,
            .set = add_override,
            .context = &devices[i],
        };
    for (size_t i = 0; i < ARRAY_LENGTH(last_rows) && count < ROWS_MAX; i++)
        rows[count++] = last_rows[i];
    return count;
}

/* All of an option's devices are replaced, or none: there is no telling which otherwise. */
static int override_option(const struct restore_options *options, const struct virtio_row *row,
                           struct machine_state *machine, struct error *error)
{
    size_t given = 0, had = 0, next = 0;

    for (size_t i = 0; i < options->override_count; i++)
        given += options->overrides[i].row == row;
    for (size_t i = 0; i < machine->device_count; i++)
        had += strcmp(machine->devices[i].option, row->option) == 0;
    if (given == 0 || given != had)
        return given == 0 ? 0 : error_set(error, EINVAL, "--%s: is given %zu times, and the snapshot "
                                          "has %zu; give as many, or none", row->option, given, had);
    for (size_t i = 0; i < machine->device_count; i++) {
        if (strcmp(machine->devices[i].option, row->option) != 0)
            continue;
        while (options->overrides[next].row != row)
            next++;
        free(machine->devices[i].text);
        machine->devices[i].text = strdup(options->overrides[next++].text);
        if (!machine->devices[i].text)
            return error_system(error, ENOMEM, "--%s", row->option);
    }
    return 0;
}

static int override_all(const struct restore_options *options, struct machine_state *machine,
                        struct error *error)
{
    size_t count;
    const struct virtio_row *rows = virtio_registry(&count);
    int result = 0;

    for (size_t i = 0; result == 0 && i < count; i++)
        result = override_option(options, &rows[i], machine, error);
    return result;
}

/* The machine's section, and only that: the rest is for the jail. */
static int read_machine(const struct restore_options *options, struct machine_state *machine,
                        struct error *error)
{
    cleanup_free void *bytes = NULL;
    struct state *state;
    size_t length;
    int result = machine_state_read(options->source.state_fd, &bytes, &length, error);

    if (result == 0)
        result = state_open(&state, bytes, length, error);
    if (result < 0)
        return result;
    machine_state(machine, state);
    result = state_first_fault(state, error);
    state_destroy(state);
    if (result == 0)
        result = memory_file_check(options->source.memory_fd, machine->memory, machine->id,
                                   options->source.base_count > 0 ? MEMORY_DIFFERENCE : MEMORY_FULL,
                                   error);
    return result;
}

static int configure(struct restore_options *options, struct error *error)
{
    struct machine_state machine = { .arch = NULL };
    struct vm_config *vm = &options->boot.vm;
    int result = read_machine(options, &machine, error);

    if (result == 0)
        result = override_all(options, &machine, error);
    if (result == 0)
        result = machine_state_configure(&machine, vm, error);
    machine_state_release(&machine);
    vm->snapshot = &options->source;
    if (result == 0)
        result = vm_config_complete(vm, error);
    if (result == 0)
        result = vm_config_check(vm, error);
    vm->may_be_saved = options->boot.name != NULL;
    options->boot.sandbox.memory = vm->memory;
    options->boot.sandbox.cpus = vm->cpus;
    return result;
}

static int restore(struct restore_options *options, const char *folder, struct timeline *timeline,
                   int *status, struct error *error)
{
    struct log log = LOG_INIT;
    struct error why = ERROR_INIT;
    int result = store_check_name(options->boot.name, error);

    if (result == 0)
        result = snapshot_folder_open(&options->source, folder, error);
    if (result < 0)
        return result;
    log.level = (enum log_level)options->log_level;
    result = configure(options, &why);
    if (result < 0)
        error_set(error, why.number, "%s: %s", folder, why.message);
    else
        result = boot_supervise(&options->boot, &log, timeline, status, error);
    vm_config_release(&options->boot.vm);
    snapshot_source_close(&options->source);
    return result;
}

int cmd_restore(int argc, char **argv)
{
    static const char *const names[] = { "snapshot's folder" };
    struct restore_options options = {
        .boot = {
            .vm = vm_config_default(), .sandbox = SANDBOX_CONFIG_DEFAULT,
            .on_reboot = ON_REBOOT_EXIT, .words = argv, .word_count = (size_t)argc,
        },
        .log_level = LOG_INFO,
    };
    struct option_table table = {
        .usage = "mote restore FOLDER [OPTION]...",
        .summary = "Goes on with the VM that 'mote snapshot' saved, any number of times.",
        .examples = "  mote restore ./web.snapshot\n"
                    "  mote restore ./web.snapshot --name web2 --disk copy.img\n",
    };
    struct timeline timeline = { .count = 0 };
    struct option_row rows[ROWS_MAX];
    struct error error = ERROR_INIT;
    int status = STATUS_FAILED, result;
    const char *folder;
    bool helped;

    timeline_mark(&timeline, "main");
    table.rows = rows;
    table.count = collect_rows(rows);
    result = options_parse_mixed(&table, &options, argc, argv, &folder, names, 1, &helped, &error);
    if (result == 0 && helped)
        return STATUS_OK;
    if (result == 0)
        result = restore(&options, folder, &timeline, &status, &error);
    if (options.timeline && result == 0)
        timeline_print(&timeline, STDERR_FILENO);
    return result < 0 ? command_failed(&error) : status;
}
