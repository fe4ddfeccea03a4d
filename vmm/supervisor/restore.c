/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/restore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"
#include "vmm/base/cleanup.h"
#include "vmm/jail/sandbox_options.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/supervisor/snapshot/own.h"

/* ---- options --------------------------------------------------------------- */

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
    { NULL, "kvm", "FILE", "the KVM device (default: /dev/kvm)", option_set_text,
      FIELD(boot.vm.kvm_path) },
    { NULL, "log-level", "LEVEL", "error, warn, info (default) or debug", option_set_choice,
      FIELD(log_level), .choices = log_level_names },
};
static const struct option_row last_rows[] = {
    { "Safety", "trust", NULL, "let a snapshot that was not saved here, or is a copy, have what it names", option_set_flag,
      FIELD(trust) },
    SANDBOX_OPTION_ROWS(struct restore_options, boot.sandbox),
};

void restore_option_rows(struct option_table *table, struct option_row *rows, const struct option_row *own,
                         size_t count)
{
    size_t device_count;
    const struct virtio_row *devices = virtio_registry(&device_count);

    for (size_t i = 0; i < count; i++)
        rows[i] = own[i];
    for (size_t i = 0; i < ARRAY_LENGTH(first_rows); i++)
        rows[count++] = first_rows[i];
    for (size_t i = 0; i < device_count && count < RESTORE_ROWS_MAX; i++)
        rows[count++] = (struct option_row){
            .group = i == 0 ? "In place of what the snapshot says (as often as it has them)" : NULL,
            .name = devices[i].option,
            .argument = devices[i].argument,
            .help = devices[i].help,
            .set = add_override,
            .context = &devices[i],
        };
    for (size_t i = 0; i < ARRAY_LENGTH(last_rows) && count < RESTORE_ROWS_MAX; i++)
        rows[count++] = last_rows[i];
    table->rows = rows;
    table->count = count;
}

/* ---- the machine ----------------------------------------------------------- */

int restore_read(const struct vm_snapshot_source *source, struct machine_state *machine,
                 struct error *error)
{
    cleanup_free void *bytes = NULL;
    struct state *state;
    size_t length;
    int result = machine_state_read(source->state_fd, &bytes, &length, error);

    if (result == 0)
        result = state_open(&state, bytes, length, error);
    if (result < 0)
        return result;
    machine_state(machine, state);
    result = state_first_fault(state, error);
    state_destroy(state);
    if (result == 0)
        result = memory_file_check(source->memory_fd, machine->memory, machine->id,
                                   source->base_count > 0 ? MEMORY_DIFFERENCE : MEMORY_FULL, error);
    return result;
}

/* All of an option's devices are replaced, or none: there is no telling which otherwise. */
static int override_option(const struct restore_options *options, const struct virtio_row *row,
                           struct machine_state *machine, bool *replaced, struct error *error)
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
        replaced[i] = true;
    }
    return 0;
}

int restore_override(const struct restore_options *options, struct machine_state *machine,
                     bool given[CONFIG_TEXTS_MAX], struct error *error)
{
    size_t count;
    const struct virtio_row *rows = virtio_registry(&count);
    int result = 0;

    memset(given, 0, CONFIG_TEXTS_MAX * sizeof(*given));
    for (size_t i = 0; result == 0 && i < count; i++)
        result = override_option(options, &rows[i], machine, given, error);
    return result;
}

/* Adds to TEXT, of SIZE bytes, as much as has room. */
static void list_name(char *text, size_t size, const char *option, const char *value)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s--%s %.64s", used ? ", " : "", option, value);
}

int restore_check_names(const struct restore_options *options, const struct vm_snapshot_source *source,
                        const struct machine_state *machine, const bool given[CONFIG_TEXTS_MAX], struct error *error)
{
    char names[200] = "";

    if (options->trust || snapshot_is_own(source->state_fd, source->id))
        return 0;
    for (size_t i = 0; i < machine->device_count; i++) {
        const char *option = machine->devices[i].option, *text = machine->devices[i].text;
        const struct virtio_row *row = virtio_registry_find(option);

        /* One that this mote does not know is refused when it is made. */
        if (!row || !text || given[i] || (row->class->is_of_guest && row->class->is_of_guest(text)))
            continue;
        list_name(names, sizeof(names), option, text);
    }
    if (!names[0])
        return 0;
    return error_set(error, EPERM, "snapshot: was not saved here by you, or was copied or changed since, and names of this host: %s; "
                     "give these options anew, or --trust if all that is to be", names);
}

int restore_configure(struct restore_options *options, const struct machine_state *machine,
                      const struct vm_snapshot_source *source, struct error *error)
{
    struct vm_config *vm = &options->boot.vm;
    int result = machine_state_configure(machine, vm, error);

    vm->snapshot = source;
    if (result == 0)
        result = vm_config_complete(vm, error);
    if (result == 0)
        result = vm_config_check(vm, error);
    options->boot.sandbox.memory = vm->memory;
    options->boot.sandbox.cpus = vm->cpus;
    return result;
}
