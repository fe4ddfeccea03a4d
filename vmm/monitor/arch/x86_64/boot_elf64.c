/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmlinux by its 64-bit entry point: e_entry is the physical address of
 * startup_64, which expects what the bzImage's decompressor would hand on,
 * boot_params in RSI.
 */

#include <errno.h>

#include "boot.h"
#include "layout.h"
#include "vmm/monitor/boot/elf_image.h"

/* COMMAND_LINE_SIZE of x86, with its NUL; a vmlinux does not say. */
#define COMMAND_LINE_SIZE 2048
#define BOOT_FLAG 0xaa55
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define LOADER_UNDEFINED 0xff

const struct elf_target arch_elf_target = {
    .name = "x86-64", .machine = EM_X86_64, .machine_32bit = EM_386, .lowest = LAYOUT_HIGH_RAM,
};

static bool probe(const struct image *image)
{
    struct error ignored = ERROR_INIT;
    struct elf_image elf;

    return elf_has_magic(image) && elf_read(image, &elf, &ignored) == 0 &&
           !elf.is_32bit && elf_holds(&elf, elf.entry);
}

static int load(const struct image *image, struct guest_memory *memory,
                struct loaded_kernel *kernel, struct error *error)
{
    struct load_area area = boot_load_area(memory);
    struct elf_image elf;
    int result;

    result = elf_read(image, &elf, error);
    if (result < 0)
        return result;
    if (elf.is_32bit)
        return error_set(error, EINVAL,
                         "kernel %s: is a 32-bit ELF file, which can only start by a PVH note; use "
                         "one built for x86-64, or with such a note by --boot-protocol pvh",
                         image->path);
    if (!elf_holds(&elf, elf.entry))
        return error_set(error, EINVAL,
                         "kernel %s: its entry point 0x%llx is outside of its segments; "
                         "if it has a PVH note, give --boot-protocol pvh",
                         image->path, (unsigned long long)elf.entry);
    result = elf_load(image, &elf, &area, &kernel->range, error);
    if (result < 0)
        return result;
    if (elf.entry >= LAYOUT_IDENTITY_MAPPED)
        return error_set(error, EINVAL,
                         "kernel %s: its entry point 0x%llx is above 1 GiB; link it lower",
                         image->path, (unsigned long long)elf.entry);
    kernel->entry = elf.entry;
    kernel->initrd_end_max = LAYOUT_MMIO;
    kernel->command_line_max = COMMAND_LINE_SIZE - 1;
    kernel->header = (struct setup_header){
        .boot_flag = BOOT_FLAG,
        .header = HEADER_MAGIC,
        .version = 0x020c,
        .type_of_loader = LOADER_UNDEFINED,
        .loadflags = LOADED_HIGH,
        .kernel_alignment = 0x1000000,
    };
    return 0;
}

const struct boot_protocol boot_elf64 = {
    .name = "elf64",
    .takes_setup_data = true,
    .probe = probe,
    .load = load,
    .hand_over = boot_params_write,
};
