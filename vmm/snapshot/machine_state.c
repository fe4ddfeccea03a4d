/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/machine_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/registry.h"
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
    state_require(state, machine->cpus >= 1 && machine->cpus <= MACHINE_CPUS_MAX,
                  "the number of vCPUs");
    state_require(state, machine->memory % page_size() == 0 && machine->memory <= arch_memory_limit(),
                  "the size of memory");
    state_require(state, machine->console < CONSOLE_KIND_COUNT, "the kind of console");
    state_require(state, machine->describe < DESCRIBE_COUNT, "the way of describing");
}

void machine_state(struct machine_state *machine, struct state *state)
{
    state_begin(state, "machine", 0, 1);
    state_text(state, &machine->arch, ARCH_MAX);
    state_bytes(state, machine->id, sizeof(machine->id));
    state_u64(state, &machine->memory);
    state_u32(state, &machine->cpus);
    state_u32(state, &machine->console);
    state_u32(state, &machine->describe);
    check(machine, state);
    state_count(state, &machine->device_count, CONFIG_TEXTS_MAX);
    for (size_t i = 0; i < machine->device_count; i++) {
        state_text(state, &machine->devices[i].option, MACHINE_OPTION_MAX);
        state_require(state, machine->devices[i].option != NULL, "a device's option");
        state_text(state, &machine->devices[i].text, MACHINE_TEXT_MAX);
    }
    state_end(state);
}

void machine_state_release(struct machine_state *machine)
{
    free(machine->arch);
    for (size_t i = 0; i < CONFIG_TEXTS_MAX; i++) {
        free(machine->devices[i].option);
        free(machine->devices[i].text);
    }
}

int machine_state_of(struct machine_state *machine, const struct vm_config *config,
                     const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error)
{
    bool complete;

    *machine = (struct machine_state){
        .arch = strdup(arch_name),
        .memory = config->memory,
        .cpus = config->cpus,
        .console = config->console,
        .describe = config->describe,
        .device_count = config->text_count,
    };
    memcpy(machine->id, id, sizeof(machine->id));
    complete = machine->arch != NULL;
    for (size_t i = 0; i < config->text_count; i++) {
        const struct device_text *given = &config->texts[i];

        machine->devices[i].option = strdup(given->row->option);
        machine->devices[i].text = given->text ? strdup(given->text) : NULL;
        complete = complete && machine->devices[i].option &&
                   (!given->text || machine->devices[i].text);
    }
    if (complete)
        return 0;
    machine_state_release(machine);
    return error_system(error, ENOMEM, "snapshot");
}

static int add_device(struct vm_config *config, const char *option, const char *text,
                      struct error *error)
{
    const struct virtio_row *row = virtio_registry_find(option);

    if (row)
        return vm_config_add_device(config, row, text, error);
    return error_set(error, ENODEV, "snapshot: has a --%s, which this mote does not know; use the "
                     "mote that saved it", option);
}

int machine_state_configure(const struct machine_state *machine, struct vm_config *config,
                            struct error *error)
{
    int result = 0;

    config->memory = machine->memory;
    config->cpus = machine->cpus;
    config->console = machine->console;
    config->describe = machine->describe;
    for (size_t i = 0; result == 0 && i < machine->device_count; i++)
        result = add_device(config, machine->devices[i].option, machine->devices[i].text, error);
    return result;
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
    struct machine_state machine;
    struct state *own;
    int result = state_create(&own, error);

    if (result < 0)
        return result;
    result = machine_state_of(&machine, config, id, error);
    if (result == 0) {
        machine_state(&machine, own);
        machine_state_release(&machine);
        result = compare(own, bytes, length, error);
    }
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
