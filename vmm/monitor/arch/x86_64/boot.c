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
#include "elf_image.h"
#include "fdt_x86.h"
#include "kernel_look.h"
#include "layout.h"
#include "mptable.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/monitor/boot/cmdline.h"
#include "vmm/base/cleanup.h"

#define PAGE_MASK 4095ull

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

/* Files that people name by mistake, told by bytes at a fixed place. */
static const struct {
    uint64_t offset;
    const char *bytes;
    size_t length;
    const char *message;
} mistakes[] = {
    { 0x38, "ARM\x64", 4, "is a kernel for 64-bit Arm; use one for x86-64" },
    { 0x38, "RSC\x05", 4, "is a kernel for RISC-V; use one for x86-64" },
    { 4, "zimg", 4, "is an EFI zboot kernel, of another architecture; use a bzImage or vmlinux" },
    { 0, "\x1f\x8b", 2, "is compressed by gzip; unpack it first (gunzip)" },
    { 0, "\xfd" "7zXZ", 5, "is compressed by xz; unpack it first (unxz)" },
    { 0, "\x28\xb5\x2f\xfd", 4, "is compressed by zstd; unpack it first (unzstd)" },
    { 0, "BZh", 3, "is compressed by bzip2; unpack it first (bunzip2)" },
    { 0, "\x02\x21\x4c\x18", 4, "is compressed by lz4; unpack it first (unlz4)" },
    { 0, "QFI\xfb", 4, "is a disk image; name a bzImage or vmlinux" },
    { 0, "070701", 6, "is a cpio archive, which belongs to --initrd; name a bzImage or vmlinux" },
    { 0, "\xd0\x0d\xfe\xed", 4, "is a device tree; name a bzImage or vmlinux" },
    { 0, "#!", 2, "is a script; name a bzImage or vmlinux" },
    { 0, "!<arch>", 7, "is an archive (a .deb?); unpack the kernel from it first" },
    { 0, "MZ", 2, "is an EFI program without a Linux boot header; name a bzImage or vmlinux" },
};

static int unknown_image(const struct image *image, struct error *error)
{
    for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
        struct error ignored = ERROR_INIT;
        char bytes[8];

        if (image_read(image, mistakes[i].offset, bytes, mistakes[i].length, &ignored) == 0 &&
            memcmp(bytes, mistakes[i].bytes, mistakes[i].length) == 0)
            return error_set(error, EINVAL, "kernel %s: %s", image->path, mistakes[i].message);
    }
    return error_set(error, EINVAL,
                     "kernel %s: is no kernel that Mote knows; name a bzImage or an ELF vmlinux",
                     image->path);
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
    return unknown_image(source->kernel, error);
}

int boot_needs_memory(const struct image *image, const struct guest_memory *memory, uint64_t end,
                      struct error *error)
{
    if (end > LAYOUT_MMIO)
        return error_set(error, EINVAL,
                         "%s %s: asks for memory at 0x%llx, where no RAM can be; "
                         "use another kernel",
                         image->role, image->path, (unsigned long long)end);
    return error_set(error, ENOMEM,
                     "%s %s: does not fit in %llu MiB of guest memory; give --memory %lluM or more",
                     image->role, image->path,
                     (unsigned long long)(guest_memory_size(memory) >> 20),
                     (unsigned long long)((end + (1u << 20) - 1) >> 20));
}

/* As high as kernel and RAM allow, so that it is out of the kernel's way. */
static int load_initrd(const struct image *initrd, struct guest_memory *memory,
                       const struct loaded_kernel *kernel, struct guest_range *place,
                       struct error *error)
{
    struct guest_range ram = boot_low_ram(memory);
    uint64_t floor = (kernel->range.address + kernel->range.size + PAGE_MASK) & ~PAGE_MASK;
    uint64_t limit = kernel->initrd_end_max < LAYOUT_MMIO ? kernel->initrd_end_max : LAYOUT_MMIO;
    uint64_t end = ram.address + ram.size;
    uint64_t room;

    limit &= ~PAGE_MASK;
    if (end > limit)
        end = limit;
    /* More RAM only helps where the kernel could use it. */
    if (floor >= limit || initrd->size > limit - floor)
        return error_set(error, EFBIG,
                         "initrd %s: %llu KiB do not fit between the kernel and 0x%llx, below "
                         "which it wants them; use a smaller one", initrd->path,
                         (unsigned long long)(initrd->size >> 10), (unsigned long long)limit);
    room = (initrd->size + PAGE_MASK) & ~PAGE_MASK;
    if (floor + room > end)
        return boot_needs_memory(initrd, memory, floor + room, error);
    *place = (struct guest_range){ .address = end - room, .size = initrd->size };
    return image_load(initrd, 0, initrd->size, memory, place->address, error);
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
        result = load_initrd(source->initrd, machine->memory, &kernel, &handover.initrd, error);
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
