/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/vm_options.h"

#include <assert.h>
#include <stddef.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/arch_facts.h"

static int set_cpus(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    uint64_t number;
    int result = options_number(row->name, value, 1, MACHINE_CPUS_MAX, &number, error);

    if (result == 0)
        ((struct vm_config *)target)->cpus = (unsigned int)number;
    return result;
}

static int add_device(void *target, const struct option_row *row, const char *value,
                      struct error *error)
{
    const struct device_row *const *device = row->context;

    return vm_config_add_option(target, (enum device_type)(device - device_rows), value, error);
}

#define FIELD(name) .offset = offsetof(struct vm_config, name)

/* Each is a row of vm_schema, too, whose key is its name. */
static const struct option_row machine_rows[] = {
    { "Kernel", "kernel", "FILE", arch_kernel_help, option_set_text,
      FIELD(kernel) },
    { NULL, "initrd", "FILE", "initial RAM disk", option_set_text, FIELD(initrd) },
    { NULL, "cmdline", "TEXT", "the kernel's command line (default: panic=-1\nand console= for the console that it has)",
      option_set_text, FIELD(command_line) },
    { NULL, "boot-protocol", "P", arch_boot_protocol_help, option_set_text,
      FIELD(boot_protocol) },
    { "Machine", "cpus", "N", "virtual CPUs, 1 to 64 (default: 1)", set_cpus },
    { NULL, "memory", "SIZE", "guest memory: MiB, or with K, M, G, T (default: 256M)",
      option_set_size, FIELD(memory), .letter = 'm' },
    { NULL, "huge-pages", "HOW", "on, off or host (default: as the host has it)", option_set_choice,
      FIELD(pages), .choices = guest_pages_names },
    { NULL, "describe", "HOW", "how the VM is described to the kernel:\n"
      "auto (default: as it can), acpi, fdt or cmdline", option_set_choice, FIELD(describe),
      .choices = describe_names },
    { NULL, "console", "KIND", "serial (default), virtio or none", option_set_choice,
      FIELD(console), .choices = console_names },
    { NULL, "on-reboot", "ACT", "exit (default) or restart the VM", option_set_choice,
      FIELD(on_reboot), .choices = on_reboot_names },
    { NULL, "kvm", "FILE", "the KVM device (default: /dev/kvm)", option_set_text,
      FIELD(kvm_path) },
};
static_assert(VM_OPTION_ROWS == ARRAY_LENGTH(machine_rows) + DEVICE_TYPE_COUNT, "tables have room for all");

void vm_option_rows(struct option_row *rows)
{
    for (size_t i = 0; i < ARRAY_LENGTH(machine_rows); i++)
        *rows++ = machine_rows[i];
    for (size_t i = 0; i < DEVICE_TYPE_COUNT; i++)
        *rows++ = (struct option_row){
            .group = i == 0 ? "Devices (each any number of times)" : NULL,
            .name = device_rows[i]->option,
            .argument = device_rows[i]->argument,
            .help = device_rows[i]->help,
            .set = add_device,
            .context = &device_rows[i],
        };
}
