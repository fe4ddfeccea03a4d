/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"
#include "vmm/machine/arch_facts.h"
#include "vmm/base/command_line.h"
#include "vmm/base/page_size.h"

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

struct vm_config vm_config_default(void)
{
    return (struct vm_config){
        .initrd_fd = -1,
        .kvm_path = KVM_DEFAULT_PATH,
        .cpus = 1,
        .memory = 256ull << 20,
        .console = CONSOLE_SERIAL,
        .describe = DESCRIBE_AUTO,
    };
}

static struct device_request *find_device(struct vm_config *config,
                                          const struct virtio_device_class *class)
{
    for (size_t i = 0; i < config->device_count; i++)
        if (config->devices[i].row->class == class)
            return &config->devices[i];
    return NULL;
}

static int keep_text(struct vm_config *config, const struct virtio_row *row, const char *text,
                     struct error *error)
{
    struct device_text *kept = &config->texts[config->text_count];

    if (config->text_count == CONFIG_TEXTS_MAX)
        return error_set(error, E2BIG, "--%s: over %d devices and ports; give fewer", row->option,
                         CONFIG_TEXTS_MAX);
    *kept = (struct device_text){ .row = row, .text = text ? strdup(text) : NULL };
    if (text && !kept->text)
        return error_system(error, ENOMEM, "--%s", row->option);
    config->text_count++;
    return 0;
}

int vm_config_add_device(struct vm_config *config, const struct virtio_row *row, const char *text,
                         struct error *error)
{
    struct device_request *request = NULL;
    int result = keep_text(config, row, text, error);

    if (result < 0)
        return result;
    if (row->class->single)
        request = find_device(config, row->class);
    if (request)
        return row->class->parse(text, &request->options, error);
    if (config->device_count == CONFIG_DEVICES_MAX)
        return error_set(error, E2BIG, "--%s: over %d devices; give fewer", row->option,
                         CONFIG_DEVICES_MAX);
    request = &config->devices[config->device_count];
    *request = (struct device_request){ .row = row };
    if (text)
        result = row->class->parse(text, &request->options, error);
    if (result == 0)
        config->device_count++;
    return result;
}

void vm_config_drop_device(struct vm_config *config, const struct virtio_row *row)
{
    size_t devices = config->device_count, texts = config->text_count;

    if (devices == 0 || texts == 0 || config->devices[devices - 1].row != row ||
        config->texts[texts - 1].row != row)
        return;
    row->class->release(config->devices[--config->device_count].options);
    free(config->texts[--config->text_count].text);
}

/* The registry's row of the device with virtio's ID. */
static const struct virtio_row *row_of(uint32_t id)
{
    size_t count;
    const struct virtio_row *rows = virtio_registry(&count);

    for (size_t i = 0; i < count; i++)
        if (rows[i].class->id == id)
            return &rows[i];
    return NULL;
}

/* The default, and which disk is the root where the configuration knows it. */
static int choose_command_line(struct vm_config *config, struct error *error)
{
    const char *console = config->console == CONSOLE_VIRTIO ? "hvc0" : arch_serial_console;

    if (asprintf(&config->made_command_line, "console=%s panic=-1%s%s", console, config->root ? " " : "",
                 config->root ? config->root : "") < 0) {
        config->made_command_line = NULL;
        return error_system(error, ENOMEM, "the kernel's command line");
    }
    config->command_line = config->made_command_line;
    return 0;
}

int vm_config_complete(struct vm_config *config, struct error *error)
{
    const struct virtio_row *row = row_of(VIRTIO_ID_CONSOLE);
    bool virtio = config->console == CONSOLE_VIRTIO;
    int result = config->command_line ? 0 : choose_command_line(config, error);

    if (result < 0)
        return result;
    if (virtio && !find_device(config, row->class))
        return vm_config_add_device(config, row, NULL, error);
    return 0;
}

int vm_config_open_host(struct vm_config *config, struct event_loop *loop, struct error *error)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < config->device_count; i++) {
        const struct virtio_device_class *class = config->devices[i].row->class;

        if (class->open_host && config->devices[i].options)
            result = class->open_host(config->devices[i].options, loop, error);
    }
    return result;
}

void vm_config_close_host(struct vm_config *config)
{
    for (size_t i = 0; i < config->device_count; i++) {
        const struct virtio_device_class *class = config->devices[i].row->class;

        if (class->close_host && config->devices[i].options)
            class->close_host(config->devices[i].options);
    }
}

void vm_config_release(struct vm_config *config)
{
    for (size_t i = 0; i < config->device_count; i++)
        config->devices[i].row->class->release(config->devices[i].options);
    config->device_count = 0;
    for (size_t i = 0; i < config->text_count; i++)
        free(config->texts[i].text);
    config->text_count = 0;
    free(config->made_command_line);
    config->made_command_line = NULL;
}

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
    for (const char *at = text; *at; at++)
        if (*at == '\n' || *at == '\r')
            return error_set(error, EINVAL,
                             "--cmdline: has a line break at byte %zu; give it in one line",
                             (size_t)(at - text));
    return 0;
}

/* Two devices that cannot be in one VM, such as the same disk twice. */
static int check_devices(const struct vm_config *config, struct error *error)
{
    for (size_t i = 0; i < config->device_count; i++) {
        const struct device_request *device = &config->devices[i];
        const struct virtio_device_class *class = device->row->class;
        int result = 0;

        if (!class->conflict)
            continue;
        for (size_t other = 0; result == 0 && other < i; other++)
            if (config->devices[other].row->class == class)
                result = class->conflict(device->options, config->devices[other].options, error);
        if (result < 0)
            return result;
    }
    return 0;
}

int vm_config_check(const struct vm_config *config, struct error *error)
{
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
    result = check_memory(config->memory, error);
    if (result < 0)
        return result;
    result = check_command_line(config->command_line, error);
    if (result < 0)
        return result;
    return check_devices(config, error);
}
