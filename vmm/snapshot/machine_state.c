/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/machine_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/page_size.h"
#include "vmm/machine/arch_facts.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/whole_io.h"

#define ARCH_MAX 16

static void check(struct machine_state *machine, struct state *state)
{
    struct error error = ERROR_INIT;

    state_require(state, machine->arch != NULL, "the architecture");
    if (!state_is_loading(state) || !state_is_sound(state))
        return;
    if (strcmp(machine->arch, arch_name) != 0) {
        error_set(&error, ENOTSUP, "snapshot: was saved on %s, and this mote is for %s; restore it "
                  "there", machine->arch, arch_name);
        state_fail(state, &error);
    }
    state_require(state, machine->config.memory % page_size() == 0 &&
                  machine->config.memory <= arch_memory_limit(), "the size of memory");
}

#define FIELD(member) SCHEMA_FIELD(struct vm_config, member)

/* Of vm_schema, what a guest that goes on still finds as it was. */
static const struct schema_row rows[] = {
    { "memory", SCHEMA_NUMBER, FIELD(memory), 0, UINT64_MAX },
    { "cpus", SCHEMA_NUMBER, FIELD(cpus), 1, MACHINE_CPUS_MAX },
    { "console", SCHEMA_CHOICE, FIELD(console), .choices = console_names },
    { "describe", SCHEMA_CHOICE, FIELD(describe), .choices = describe_names },
};
static const struct schema machine_schema = { rows, ARRAY_LENGTH(rows), sizeof(struct vm_config), NULL };

void machine_state(struct machine_state *machine, struct state *state)
{
    struct vm_config *config = &machine->config;

    state_begin(state, "machine", 0, 2);
    state_text(state, &machine->arch, ARCH_MAX);
    state_bytes(state, machine->id, sizeof(machine->id));
    schema_state(&machine_schema, config, &config->pool, state);
    check(machine, state);
    vm_config_devices_state(config, state);
    state_end(state);
}

void machine_state_save(const struct vm_config *config, const uint8_t id[SNAPSHOT_ID_SIZE],
                        struct state *state)
{
    struct machine_state machine = { .arch = strdup(arch_name), .config = *config };

    memcpy(machine.id, id, sizeof(machine.id));
    if (machine.arch) {
        machine_state(&machine, state);
    } else {
        struct error error = ERROR_INIT;

        error_system(&error, ENOMEM, "snapshot");
        state_fail(state, &error);
    }
    free(machine.arch);
}

void machine_state_release(struct machine_state *machine)
{
    free(machine->arch);
    machine->arch = NULL;
    vm_config_release(&machine->config);
}

int machine_state_configure(const struct machine_state *machine, struct vm_config *config,
                            struct error *error)
{
    int result = schema_copy(&machine_schema, config, &machine->config, &config->pool);

    for (size_t i = 0; result == 0 && i < machine->config.device_count; i++) {
        const struct device_config *saved = machine->config.devices[i];
        struct device_config *device = vm_config_add_device(config, saved->type, error);

        result = device ? device_config_copy(device, saved, &config->pool) : -ENOMEM;
    }
    return result < 0 ? error_system(error, ENOMEM, "snapshot") : 0;
}

static int compare(const struct state *own, const void *bytes, size_t length, struct error *error)
{
    size_t own_length;
    const void *own_bytes = state_saved(own, &own_length);
    int result = state_first_fault(own, error);

    if (result < 0)
        return result;
    if (length < own_length || memcmp(bytes, own_bytes, own_length) != 0)
        return error_set(error, EPERM, "snapshot: the VM's process names other devices than the VM "
                         "was given; end it, it may be the guest's");
    return 0;
}

int machine_state_verify(const void *bytes, size_t length, const struct vm_config *config,
                         const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error)
{
    struct state *own;
    int result = state_create(&own, error);

    if (result < 0)
        return result;
    machine_state_save(config, id, own);
    result = compare(own, bytes, length, error);
    state_destroy(own);
    return result;
}

int machine_state_read(int fd, void **bytes, size_t *length, struct error *error)
{
    cleanup_free uint8_t *read_bytes = NULL;
    struct stat status;
    size_t size;
    int result;

    if (fstat(fd, &status) < 0)
        return error_system(error, errno, "snapshot: its state");
    if (!S_ISREG(status.st_mode) || status.st_size < 0 || status.st_size > (off_t)STATE_SIZE_MAX)
        return error_set(error, EINVAL, "snapshot: its state is no file of at most %u MiB; give a "
                         "folder that mote snapshot made", STATE_SIZE_MAX >> 20);
    size = (size_t)status.st_size;
    read_bytes = malloc(size + 1);
    if (!read_bytes)
        return error_system(error, ENOMEM, "snapshot");
    result = whole_pread(fd, read_bytes, size, 0);
    if (result < 0)
        return error_system(error, -result, "snapshot: its state");
    *bytes = steal_pointer(&read_bytes);
    *length = size;
    return 0;
}

int machine_state_write(int fd, const void *bytes, size_t length, struct error *error)
{
    int result = whole_pwrite(fd, bytes, length, 0);

    return result < 0 ? error_system(error, -result, "snapshot: its state") : 0;
}
