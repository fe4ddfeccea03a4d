/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading, from image to entry state: choose the protocol, load the kernel,
 * place the initrd, describe the machine, hand over.
 */

#include "boot.h"

#include <errno.h>
#include <string.h>

#include "acpi.h"
#include "arch_vm.h"
#include "fdt_x86.h"
#include "kernel_look.h"
#include "layout.h"
#include "mptable.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/monitor/boot/cmdline.h"
#include "vmm/monitor/boot/elf_image.h"
#include "vmm/monitor/boot/loading.h"
#include "vmm/base/cleanup.h"

/* In the order in which they are tried. */
static const struct boot_protocol *const protocols[] = { &boot_linux64, &boot_elf64, &boot_pvh };

const char *arch_boot_protocol_names(void)
{
    return "linux64, elf64, pvh";
}

static const struct boot_protocol *find_protocol(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(protocols); i++)
        if (strcmp(protocols[i]->name, name) == 0)
            return protocols[i];
    return NULL;
}

bool arch_boot_protocol_known(const char *name)
{
    return find_protocol(name) != NULL;
}

static int choose_protocol(const struct boot_source *source, const struct boot_protocol **chosen,
                           struct error *error)
{
    if (source->protocol) {
        *chosen = find_protocol(source->protocol);
        return *chosen ? 0
                       : error_set(error, EINVAL, "--boot-protocol %s: is unknown; use one of %s",
                                   source->protocol, arch_boot_protocol_names());
    }
    for (size_t i = 0; i < ARRAY_LENGTH(protocols); i++) {
        if (protocols[i]->probe(source->kernel)) {
            *chosen = protocols[i];
            return 0;
        }
    }
    /* A broken ELF file: its own loader says best what is wrong with it. */
    if (elf_has_magic(source->kernel)) {
        *chosen = &boot_elf64;
        return 0;
    }
    return loading_unknown_kernel(source->kernel, error);
}

/* The tree goes behind a setup_data header, which the kernel finds by boot_params. */
static int write_device_tree(const struct machine *machine, const char *command_line,
                             struct boot_handover *handover, struct error *error)
{
    struct setup_data header = { .type = SETUP_DTB };
    struct guest_slice slice;
    size_t size;
    int result;

    if (guest_memory_slice(machine->memory, LAYOUT_SETUP_DATA, LAYOUT_SETUP_DATA_SIZE, &slice) < 0)
        return error_set(error, ENOMEM, "guest memory: too small; give --memory 2M or more");
    result = fdt_build_x86(machine, command_line, handover->initrd, slice.bytes + sizeof(header),
                       slice.length - sizeof(header), &size, error);
    if (result < 0)
        return result;
    header.len = (uint32_t)size;
    memcpy(slice.bytes, &header, sizeof(header));
    handover->setup_data = LAYOUT_SETUP_DATA;
    return 0;
}

static bool has_serial_port(const struct machine *machine)
{
    for (size_t i = 0; i < machine->device_count; i++)
        if (machine->devices[i].kind == DEVICE_SERIAL)
            return true;
    return false;
}

/* What will not show, or will stand still half-way, as the kernel lacks what the user relies on. */
static void warn_of_what_is_missing(const struct arch_vm *arch, const struct image *kernel,
                                    const struct kernel_look *look, const struct machine *asked)
{
    if (!look->serial && has_serial_port(asked))
        log_warn(arch->log, "kernel %s: has no driver of the serial console, so nothing of it will "
                 "show; use one with CONFIG_SERIAL_8250_CONSOLE, or --console none", kernel->path);
    if (asked->describe == DESCRIBE_ACPI && !look->acpi)
        log_warn(arch->log, "kernel %s: has no ACPI, so it will find neither interrupts nor devices; "
                 "leave out --describe acpi", kernel->path);
    if (asked->describe == DESCRIBE_FDT && !look->device_tree && !look->packed)
        log_warn(arch->log, "kernel %s: takes no device tree, so it will find neither interrupts nor "
                 "devices; leave out --describe fdt", kernel->path);
}

/* What ASKED means for this kernel, and with DESCRIBE_AUTO whether it is to be told that there is no PCI. */
static enum describe choose_description(const struct arch_vm *arch,
                                        const struct boot_source *source,
                                        const struct boot_protocol *protocol,
                                        const struct machine *asked, struct loaded_kernel *kernel)
{
    struct kernel_look look;
    bool tree;

    if (asked->describe != DESCRIBE_AUTO && !source->console_matters)
        return asked->describe;
    look = kernel_look_at(source->kernel);
    if (source->console_matters && look.is_linux)
        warn_of_what_is_missing(arch, source->kernel, &look, asked);
    if (asked->describe != DESCRIBE_AUTO)
        return asked->describe;
    kernel->seeks_pci = look.is_linux && look.acpi;
    /* Of what is no Linux we know nothing; all that reads anything about its machine reads this. */
    if (!look.is_linux || look.acpi)
        return DESCRIBE_ACPI;
    tree = look.device_tree && protocol->takes_setup_data;
    log_debug(arch->log, "kernel %s: has no ACPI, and is told of the machine by %s",
              source->kernel->path, tree ? "a device tree" : "its command line");
    return tree ? DESCRIBE_FDT : DESCRIBE_CMDLINE;
}

/* The machine's description, and the command line that may be part of it. */
static int describe(const struct machine *machine, const struct boot_protocol *protocol,
                    const char *command_line, struct boot_handover *handover, struct error *error)
{
    switch (machine->describe) {
    case DESCRIBE_ACPI:
        return acpi_write(machine, &handover->rsdp, error);
    case DESCRIBE_FDT:
        if (!protocol->takes_setup_data)
            return error_set(error, EINVAL,
                             "--describe fdt: the %s protocol cannot hand over a device tree; "
                             "use --describe acpi or another --boot-protocol",
                             protocol->name);
        return write_device_tree(machine, command_line, handover, error);
    case DESCRIBE_CMDLINE:
        return mptable_write(machine, error);
    case DESCRIBE_AUTO: /* see choose_description() */
    case DESCRIBE_COUNT:
        break;
    }
    return error_set(error, EINVAL, "--describe: is out of range");
}

static int write_command_line(const struct machine *machine, const struct loaded_kernel *kernel,
                              const char *user, char *line, size_t capacity, struct error *error)
{
    int result;

    if (kernel->command_line_max < capacity)
        capacity = kernel->command_line_max + 1;
    result = cmdline_build(machine, kernel->seeks_pci, user, line, capacity, error);
    if (result < 0)
        return result;
    if (guest_memory_write(machine->memory, LAYOUT_COMMAND_LINE, line, strlen(line) + 1) < 0)
        return error_set(error, ENOMEM, "guest memory: too small; give --memory 2M or more");
    return 0;
}

int arch_boot_load(struct arch_vm *arch, const struct boot_source *source,
                   const struct machine *asked, struct error *error)
{
    const struct boot_protocol *protocol;
    struct machine described = *asked;
    const struct machine *machine = &described;
    struct loaded_kernel kernel = { .entry = 0 };
    struct boot_handover handover = { .command_line = LAYOUT_COMMAND_LINE };
    char command_line[LAYOUT_COMMAND_LINE_SIZE];
    int result;

    if ((result = choose_protocol(source, &protocol, error)) < 0 ||
        (result = protocol->load(source->kernel, machine->memory, &kernel, error)) < 0)
        return result;
    described.describe = choose_description(arch, source, protocol, asked, &kernel);
    if (source->initrd) {
        struct load_area area = boot_load_area(machine->memory);

        result = loading_place_initrd(source->initrd, &area, kernel.range.address + kernel.range.size,
                                      kernel.initrd_end_max, &handover.initrd, error);
        if (result < 0)
            return result;
    }
    if ((result = write_command_line(machine, &kernel, source->command_line, command_line,
                                     sizeof(command_line), error)) < 0 ||
        (result = describe(machine, protocol, command_line, &handover, error)) < 0 ||
        (result = boot_write_reset_vector(machine->memory, error)) < 0)
        return result;
    log_debug(arch->log, "kernel: %s, 0x%llx to 0x%llx, entry 0x%llx; initrd at 0x%llx",
              protocol->name, (unsigned long long)kernel.range.address,
              (unsigned long long)(kernel.range.address + kernel.range.size),
              (unsigned long long)kernel.entry, (unsigned long long)handover.initrd.address);
    return protocol->hand_over(machine->memory, &kernel, &handover, &arch->entry, error);
}
