/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/arch_facts.h"
#include "vmm/base/page_size.h"
#include "vmm/machine/state.h"

/* Below this not even the entry state has room. */
#define MEMORY_MIN (2ull << 20)

const char *const describe_names[] = {
    [DESCRIBE_ACPI] = "acpi", [DESCRIBE_FDT] = "fdt", [DESCRIBE_CMDLINE] = "cmdline",
    [DESCRIBE_AUTO] = "auto", [DESCRIBE_COUNT] = NULL,
};

const char *const guest_pages_names[] = {
    [GUEST_PAGES_AS_HOST] = "host", [GUEST_PAGES_HUGE] = "on", [GUEST_PAGES_SMALL] = "off",
    [GUEST_PAGES_COUNT] = NULL,
};

const char *const console_names[] = {
    [CONSOLE_SERIAL] = "serial", [CONSOLE_VIRTIO] = "virtio", [CONSOLE_NONE] = "none",
    [CONSOLE_KIND_COUNT] = NULL,
};

const char *const on_reboot_names[] = {
    [ON_REBOOT_EXIT] = "exit", [ON_REBOOT_RESTART] = "restart", NULL,
};

#define FIELD(member) SCHEMA_FIELD(struct vm_config, member)

static const struct schema_row rows[] = {
    { "kernel", SCHEMA_TEXT, FIELD(kernel) },
    { "initrd", SCHEMA_TEXT, FIELD(initrd) },
    { "cmdline", SCHEMA_TEXT, FIELD(command_line) },
    { "root", SCHEMA_TEXT, FIELD(root) },
    { "boot-protocol", SCHEMA_TEXT, FIELD(boot_protocol) },
    { "cpus", SCHEMA_NUMBER, FIELD(cpus), 1, MACHINE_CPUS_MAX },
    { "memory", SCHEMA_NUMBER, FIELD(memory), 0, UINT64_MAX },
    { "huge-pages", SCHEMA_CHOICE, FIELD(pages), .choices = guest_pages_names },
    { "describe", SCHEMA_CHOICE, FIELD(describe), .choices = describe_names },
    { "console", SCHEMA_CHOICE, FIELD(console), .choices = console_names },
    { "on-reboot", SCHEMA_CHOICE, FIELD(on_reboot), .choices = on_reboot_names },
    { "kvm", SCHEMA_TEXT, FIELD(kvm_path) },
};
static const struct vm_config defaults = {
    .kernel_fd = -1,
    .initrd_fd = -1,
    .kvm_path = KVM_DEFAULT_PATH,
    .cpus = 1,
    .memory = 256ull << 20,
    .console = CONSOLE_SERIAL,
    .describe = DESCRIBE_AUTO,
};
const struct schema vm_schema = { rows, ARRAY_LENGTH(rows), sizeof(defaults), &defaults };

struct vm_config vm_config_default(void)
{
    return defaults;
}

/* ---- devices ------------------------------------------------------------ */

struct device_config *vm_config_find_device(const struct vm_config *config, enum device_type type)
{
    for (size_t i = 0; i < config->device_count; i++)
        if (config->devices[i]->type == type)
            return config->devices[i];
    return NULL;
}

struct device_config *vm_config_add_device(struct vm_config *config, enum device_type type,
                                           struct error *error)
{
    struct device_config *device = NULL;

    if (config->device_count == CONFIG_DEVICES_MAX)
        error_set(error, E2BIG, "--%s: over %d devices; give fewer", device_rows[type]->option,
                  CONFIG_DEVICES_MAX);
    else if (!(device = config_pool_allocate(&config->pool, sizeof(*device))))
        error_system(error, ENOMEM, "--%s", device_rows[type]->option);
    if (!device)
        return NULL;
    device_config_init(device, type);
    config->devices[config->device_count++] = device;
    return device;
}

void vm_config_drop_device(struct vm_config *config, enum device_type type)
{
    if (config->device_count > 0 && config->devices[config->device_count - 1]->type == type)
        config->device_count--;
}

int vm_config_add_option(struct vm_config *config, enum device_type type, const char *text,
                         struct error *error)
{
    const struct device_row *row = device_rows[type];
    struct device_config *device = row->merge ? vm_config_find_device(config, type) : NULL;
    struct device_config made;
    int result;

    device_config_init(&made, type);
    result = device_config_parse(&made, text, &config->pool, error);
    if (result < 0)
        return result;
    if (device)
        return row->merge(device, &made, error);
    device = vm_config_add_device(config, type, error);
    if (!device)
        return -error->number;
    *device = made;
    return 0;
}

/* ---- as a whole --------------------------------------------------------- */

/* The default, and which disk is the root where the configuration knows it. */
static int choose_command_line(struct vm_config *config, struct error *error)
{
    const char *console = config->console == CONSOLE_VIRTIO ? "hvc0" : arch_serial_console;
    cleanup_free char *made = NULL;

    if (asprintf(&made, "console=%s panic=-1%s%s", console, config->root ? " " : "",
                 config->root ? config->root : "") < 0)
        made = NULL;
    config->command_line = made ? config_pool_text(&config->pool, made) : NULL;
    return config->command_line ? 0 : error_system(error, ENOMEM, "the kernel's command line");
}

static bool is_number(const char *id, size_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%zu", number);
    return strcmp(id, text) == 0;
}

int vm_config_find_id(const struct vm_config *config, enum device_type type, const char *id, uint32_t *index,
                      struct error *error)
{
    const char *option = device_rows[type]->option;
    size_t count = 0;
    bool found = false;

    for (uint32_t i = 0; i < config->device_count; i++) {
        const struct device_config *device = config->devices[i];

        if (device->type != type)
            continue;
        if (type == DEVICE_TYPE_DISK && id[0] && strcmp(device->disk.serial, id) == 0) {
            *index = i;
            return 0;
        }
        if (is_number(id, count++)) {
            *index = i;
            found = true;
        }
    }
    if (found)
        return 0;
    if (count == 0)
        return error_set(error, ENODEV, "%s %s: the VM has none; boot it with --%s", option, id, option);
    return error_set(error, ENODEV, "%s %s: the VM has none of that name; give %sa number from 0 to %zu", option, id,
                     type == DEVICE_TYPE_DISK ? "its serial= or " : "", count - 1);
}

int vm_config_complete(struct vm_config *config, struct error *error)
{
    int result = config->command_line ? 0 : choose_command_line(config, error);

    if (result < 0)
        return result;
    config->root = NULL; /* the command line has it, or the user gave another one */
    if (config->console == CONSOLE_VIRTIO && !vm_config_find_device(config, DEVICE_TYPE_CONSOLE) &&
        !vm_config_add_device(config, DEVICE_TYPE_CONSOLE, error))
        return -error->number;
    return 0;
}

bool vm_config_equal(const struct vm_config *one, const struct vm_config *two)
{
    if (!schema_equal(&vm_schema, one, two) || one->device_count != two->device_count)
        return false;
    for (size_t i = 0; i < one->device_count; i++)
        if (!device_config_equal(one->devices[i], two->devices[i]))
            return false;
    return true;
}

int vm_config_copy(struct vm_config *copy, const struct vm_config *config, struct error *error)
{
    int result;

    *copy = *config;
    copy->device_count = 0;
    copy->pool = (struct config_pool){ NULL };
    result = schema_copy(&vm_schema, copy, config, &copy->pool);
    for (size_t i = 0; result == 0 && i < config->device_count; i++) {
        struct device_config *device = vm_config_add_device(copy, config->devices[i]->type, error);

        result = device ? device_config_copy(device, config->devices[i], &copy->pool) : -ENOMEM;
    }
    return result < 0 ? error_system(error, ENOMEM, "the configuration") : 0;
}

void vm_config_release(struct vm_config *config)
{
    config->device_count = 0;
    config_pool_release(&config->pool);
}

/* The tables that a state was saved by are these: other rows or ranges are another version. */
static uint32_t fingerprint(void)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < DEVICE_TYPE_COUNT; i++)
        sum = sum * 31 + schema_fingerprint(device_rows[i]->schema);
    return sum;
}

static void load_device(struct vm_config *config, uint32_t type, struct state *state)
{
    struct error error = ERROR_INIT;
    struct device_config *device = vm_config_add_device(config, (enum device_type)type, &error);

    if (device)
        schema_state(device_rows[type]->schema, device_config_options(device), &config->pool, state);
    else
        state_fail(state, &error);
}

void vm_config_devices_state(struct vm_config *config, struct state *state)
{
    size_t count = config->device_count;
    uint32_t version = fingerprint();
    struct error error = ERROR_INIT;

    state_u32(state, &version);
    if (state_is_sound(state) && version != fingerprint()) {
        error_set(&error, ENOTSUP, "snapshot: was saved by another version of mote, whose devices have other "
                  "options; restore it with that one");
        state_fail(state, &error);
    }
    state_count(state, &count, CONFIG_DEVICES_MAX);
    for (size_t i = 0; i < count && state_is_sound(state); i++) {
        uint32_t type = state_is_loading(state) ? 0 : (uint32_t)config->devices[i]->type;

        state_u32(state, &type);
        state_require(state, type < DEVICE_TYPE_COUNT, "the type of a device");
        if (!state_is_sound(state))
            return;
        if (state_is_loading(state))
            load_device(config, type, state);
        else
            schema_state(device_rows[type]->schema, device_config_options(config->devices[i]),
                         &config->pool, state);
    }
}

/* ---- of the host -------------------------------------------------------- */

int vm_config_open_host(struct vm_config *config, struct event_loop *loop, struct error *error)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < config->device_count; i++) {
        struct device_config *device = config->devices[i];

        if (device->type == DEVICE_TYPE_CONSOLE)
            result = virtio_console_open_host(&device->console, loop, error);
        else if (device->type == DEVICE_TYPE_VSOCK)
            result = virtio_vsock_open_host(&device->vsock, loop, error);
    }
    return result;
}

void vm_config_close_host(struct vm_config *config)
{
    for (size_t i = 0; i < config->device_count; i++) {
        struct device_config *device = config->devices[i];

        if (device->type == DEVICE_TYPE_CONSOLE)
            virtio_console_close_host(&device->console);
        else if (device->type == DEVICE_TYPE_VSOCK)
            virtio_vsock_close_host(&device->vsock);
    }
}

/* ---- whether it makes a VM ----------------------------------------------- */

static int check_memory(uint64_t size, struct error *error)
{
    uint64_t limit = arch_memory_limit();

    if (size < MEMORY_MIN)
        return error_set(error, EINVAL,
                         "--memory: %llu KiB are too little to boot anything; give 2M or more",
                         (unsigned long long)(size >> 10));
    if (size % page_size())
        return error_set(error, EINVAL,
                         "--memory: %llu KiB are no multiple of %zu KiB; round it up",
                         (unsigned long long)(size >> 10), page_size() >> 10);
    if (size > limit)
        return error_set(error, ERANGE,
                         "--memory: %llu MiB are more than this processor can address "
                         "(%llu MiB); give less",
                         (unsigned long long)(size >> 20), (unsigned long long)(limit >> 20));
    return 0;
}

static int check_command_line(const char *text, struct error *error)
{
    for (const char *at = text; at && *at; at++)
        if (*at == '\n' || *at == '\r')
            return error_set(error, EINVAL,
                             "--cmdline: has a line break at byte %zu; give it in one line",
                             (size_t)(at - text));
    return 0;
}

/* Whether the devices before INDEX can be in one VM with that one: the same disk twice cannot. */
static int check_others(const struct vm_config *config, size_t index, struct error *error)
{
    const struct device_config *device = config->devices[index];
    const struct device_row *row = device_rows[device->type];
    int result = 0;

    for (size_t i = 0; result == 0 && i < index; i++) {
        if (config->devices[i]->type != device->type)
            continue;
        if (row->is_single)
            result = error_set(error, EINVAL, "--%s: is given twice; one device has all ports, give "
                               "it once", row->option);
        else if (row->conflict)
            result = row->conflict(device, config->devices[i], error);
    }
    return result;
}

static int check_devices(const struct vm_config *config, struct error *error)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < config->device_count; i++) {
        result = device_config_validate(config->devices[i], error);
        if (result == 0)
            result = check_others(config, i, error);
    }
    return result;
}

int vm_config_validate(const struct vm_config *config, struct error *error)
{
    const char *fault;
    int result;

    if (!config->kernel && !config->snapshot)
        return error_set(error, EINVAL,
                         "--kernel: is missing; name %s, such as --kernel /boot/vmlinuz",
                         arch_kernel_formats);
    if (config->boot_protocol && !arch_boot_protocol_known(config->boot_protocol))
        return error_set(error, EINVAL, "--boot-protocol %s: is unknown; use one of %s",
                         config->boot_protocol, arch_boot_protocol_names());
    if (config->cpus < 1 || config->cpus > MACHINE_CPUS_MAX)
        return error_set(error, ERANGE, "--cpus %u: is out of range; give 1 to %d", config->cpus,
                         MACHINE_CPUS_MAX);
    if ((fault = schema_fault(&vm_schema, config)))
        return error_set(error, ERANGE, "--%s: is out of range; the manual mote.1 lists what it takes", fault);
    if ((result = check_memory(config->memory, error)) < 0 ||
        (result = check_command_line(config->command_line, error)) < 0)
        return result;
    return check_devices(config, error);
}
