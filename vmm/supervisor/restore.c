/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/restore.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/sandbox_options.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/supervisor/clone.h"
#include "vmm/supervisor/snapshot/own.h"

/* ---- options --------------------------------------------------------------- */

static int add_given(void *target, const struct option_row *row, const char *value,
                     struct error *error)
{
    struct restore_options *options = target;
    const struct device_row *const *device = row->context;

    if (options->given_count == RESTORE_GIVEN_MAX)
        return error_set(error, E2BIG, "--%s: over %d devices and ports; give fewer", row->name,
                         RESTORE_GIVEN_MAX);
    options->given[options->given_count++] = (struct given_device){
        .type = (enum device_type)(device - device_rows), .text = value,
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

static_assert(RESTORE_ROWS == DEVICE_TYPE_COUNT + ARRAY_LENGTH(first_rows) + ARRAY_LENGTH(last_rows),
              "rows of a command have room for these");

void restore_option_rows(struct option_table *table, struct option_row *rows, const struct option_row *own,
                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        rows[i] = own[i];
    for (size_t i = 0; i < ARRAY_LENGTH(first_rows); i++)
        rows[count++] = first_rows[i];
    for (size_t i = 0; i < DEVICE_TYPE_COUNT; i++)
        rows[count++] = (struct option_row){
            .group = i == 0 ? "In place of what the snapshot says (as often as it has them)" : NULL,
            .name = device_rows[i]->option,
            .argument = device_rows[i]->argument,
            .help = device_rows[i]->help,
            .set = add_given,
            .context = &device_rows[i],
        };
    for (size_t i = 0; i < ARRAY_LENGTH(last_rows); i++)
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
        result = memory_file_check(source->memory_fd, machine->config.memory, machine->id,
                                   source->base_count > 0 ? MEMORY_DIFFERENCE : MEMORY_FULL, error);
    return result;
}

/* How many of its options TYPE's devices stand for: a console device has one for each port. */
static size_t count_saved(const struct vm_config *config, enum device_type type)
{
    size_t count = 0;

    for (size_t i = 0; i < config->device_count; i++)
        if (config->devices[i]->type == type)
            count += type == DEVICE_TYPE_CONSOLE ? config->devices[i]->console.count : 1;
    return count;
}

static size_t count_given(const struct given_device *given, size_t count, enum device_type type)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += given[i].type == type;
    return found;
}

/* All of an option's devices are replaced, or none: there is no telling which otherwise. */
static int check_counts(const struct restore_options *options, const struct vm_config *config,
                        struct error *error)
{
    for (size_t type = 0; type < DEVICE_TYPE_COUNT; type++) {
        const char *option = device_rows[type]->option;
        size_t given = count_given(options->given, options->given_count, (enum device_type)type);
        size_t saved = count_saved(config, (enum device_type)type);

        if (given > 0 && saved == 0)
            return error_set(error, EINVAL, "--%s: the snapshot's VM has none, and none can be added; leave it "
                             "out", option);
        if (given > 0 && given != saved)
            return error_set(error, EINVAL, "--%s: is given %zu times, and the snapshot has %zu; give as "
                             "many, or none", option, given, saved);
    }
    return 0;
}

/* Those of CONFIG's devices that reach the host and were not given, as messages call them; *NAMES is the caller's. */
static int list_names(const struct restore_options *options, const struct vm_config *config, char **names,
                      struct error *error)
{
    size_t size;
    FILE *stream = open_memstream(names, &size);
    bool first = true;

    if (!stream)
        return error_system(error, ENOMEM, "snapshot");
    for (size_t i = 0; i < config->device_count; i++) {
        const struct device_config *device = config->devices[i];
        const struct device_row *row = device_rows[device->type];

        if (!row->reaches_host || !row->reaches_host(device) ||
            count_given(options->given, options->given_count, device->type) > 0)
            continue;
        fputs(first ? "" : ", ", stream);
        row->describe(device, stream);
        first = false;
    }
    return fclose(stream) == 0 ? 0 : error_system(error, ENOMEM, "snapshot");
}

int restore_check(const struct restore_options *options, const struct vm_snapshot_source *source,
                  const struct machine_state *machine, struct error *error)
{
    cleanup_free char *names = NULL;
    int result = check_counts(options, &machine->config, error);

    if (result < 0 || options->trust || snapshot_is_own(source->state_fd, source->id))
        return result;
    result = list_names(options, &machine->config, &names, error);
    if (result < 0 || !names[0])
        return result;
    return error_set(error, EPERM, "snapshot: was not saved here by you, or was copied or changed since, and names of this host: %.200s; "
                     "give these options anew, or --trust if all that is to be", names);
}

/* ---- the devices ----------------------------------------------------------- */

/* DEVICE becomes what was given, for the copy IDENTITY or NULL. */
static int parse_given(struct device_config *device, const struct given_device *given,
                       const struct clone_identity *identity, struct config_pool *pool,
                       struct error *error)
{
    const struct device_row *row = device_rows[given->type];
    cleanup_free char *text = NULL;
    bool own = false;
    int result = 0;

    if (identity)
        result = clone_expand(&text, row->option, given->text, identity, &own, error);
    device_config_init(device, given->type);
    if (result == 0)
        result = device_config_parse(device, text ? text : given->text, pool, error);
    if (result == 0)
        result = device_config_validate(device, error);
    if (result == 0 && identity && row->for_clone)
        result = row->for_clone(device, own ? NULL : identity->name, pool, error);
    return result;
}

/* The next of TYPE among COUNT given ones, from *AT on. */
static const struct given_device *next_given(const struct given_device *given, size_t count,
                                             enum device_type type, size_t *at)
{
    while (*at < count && given[*at].type != type)
        (*at)++;
    return *at < count ? &given[(*at)++] : NULL;
}

/* DEVICE, of a type of which some were given: the next of them, or all where one has all. */
static int replace(struct vm_config *config, struct device_config *device, const struct given_device *given,
                   size_t count, const struct clone_identity *identity, size_t *at, struct error *error)
{
    const struct device_row *row = device_rows[device->type];
    const struct given_device *next;
    int result = 0;

    if (row->merge)
        device_config_init(device, device->type);
    while (result == 0 && (next = next_given(given, count, device->type, at))) {
        struct device_config made;

        result = parse_given(&made, next, identity, &config->pool, error);
        if (result == 0 && row->merge)
            result = row->merge(device, &made, error);
        else if (result == 0)
            *device = made;
        if (!row->merge)
            break;
    }
    return result;
}

int restore_devices(struct vm_config *config, const struct given_device *given, size_t count,
                    const struct clone_identity *identity, struct error *error)
{
    size_t at[DEVICE_TYPE_COUNT] = { 0 };
    int result = 0;

    for (size_t i = 0; result == 0 && i < config->device_count; i++) {
        struct device_config *device = config->devices[i];
        const struct device_row *row = device_rows[device->type];

        if (count_given(given, count, device->type) > 0)
            result = replace(config, device, given, count, identity, &at[device->type], error);
        else if (identity && row->for_clone)
            result = row->for_clone(device, identity->name, &config->pool, error);
    }
    return result;
}

int restore_configure(struct restore_options *options, const struct machine_state *machine,
                      const struct vm_snapshot_source *source, const struct clone_identity *identity,
                      struct error *error)
{
    struct vm_config *vm = &options->boot.vm;
    int result = machine_state_configure(machine, vm, error);

    vm->snapshot = source;
    if (result == 0)
        result = restore_devices(vm, options->given, options->given_count, identity, error);
    if (result == 0)
        result = vm_config_complete(vm, error);
    if (result == 0)
        result = vm_config_validate(vm, error);
    options->boot.sandbox.memory = vm->memory;
    options->boot.sandbox.cpus = vm->cpus;
    return result;
}
