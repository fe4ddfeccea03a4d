/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "zero page" of the 64-bit boot protocol: boot_params with the kernel's
 * own setup_header, the memory map and pointers to all else.
 */

#include <errno.h>
#include <stdlib.h>

#include "boot.h"
#include "layout.h"
#include "vmm/base/cleanup.h"

_Static_assert(sizeof(struct boot_params) == 4096, "boot.rst: the zero page is one page");

struct guest_range boot_low_ram(const struct guest_memory *memory)
{
    struct guest_range ram = guest_memory_region(memory, 0);

    if (ram.size <= LAYOUT_HIGH_RAM)
        return (struct guest_range){ .address = LAYOUT_HIGH_RAM, .size = 0 };
    return (struct guest_range){
        .address = LAYOUT_HIGH_RAM, .size = ram.address + ram.size - LAYOUT_HIGH_RAM,
    };
}

struct load_area boot_load_area(struct guest_memory *memory)
{
    return (struct load_area){ .memory = memory, .ram = boot_low_ram(memory), .limit = LAYOUT_MMIO };
}

size_t boot_memory_map(const struct guest_memory *memory, struct boot_e820_entry *entries)
{
    struct guest_range low = boot_low_ram(memory);
    size_t count = 0;

    entries[count++] = (struct boot_e820_entry){
        .addr = 0, .size = LAYOUT_LOW_RAM_END, .type = 1,
    };
    /*
     * The BIOS area: ACPI tables and the MP table live here.  The page of the
     * generation ID is left out, as a device's register is: Linux holds what
     * is reserved below 1 MiB for busy, and its driver would not get it.
     */
    entries[count++] = (struct boot_e820_entry){
        .addr = LAYOUT_LOW_RAM_END, .size = LAYOUT_GENERATION - LAYOUT_LOW_RAM_END, .type = 2,
    };
    entries[count++] = (struct boot_e820_entry){
        .addr = LAYOUT_MP_TABLE, .size = LAYOUT_HIGH_RAM - LAYOUT_MP_TABLE, .type = 2,
    };
    if (low.size)
        entries[count++] = (struct boot_e820_entry){
            .addr = low.address, .size = low.size, .type = 1,
        };
    for (size_t i = 1; i < guest_memory_region_count(memory) && count < E820_ENTRIES; i++) {
        struct guest_range region = guest_memory_region(memory, i);

        entries[count++] = (struct boot_e820_entry){
            .addr = region.address, .size = region.size, .type = 1,
        };
    }
    return count;
}

int boot_params_write(struct guest_memory *memory, const struct loaded_kernel *kernel,
                      const struct boot_handover *handover, struct boot_entry *entry,
                      struct error *error)
{
    cleanup_free struct boot_params *params = calloc(1, sizeof(*params));
    struct setup_header *header;

    if (!params)
        return error_system(error, ENOMEM, "boot_params");
    header = &params->hdr;
    *header = kernel->header;
    header->cmd_line_ptr = (uint32_t)handover->command_line;
    params->ext_cmd_line_ptr = (uint32_t)(handover->command_line >> 32);
    header->ramdisk_image = (uint32_t)handover->initrd.address;
    params->ext_ramdisk_image = (uint32_t)(handover->initrd.address >> 32);
    header->ramdisk_size = (uint32_t)handover->initrd.size;
    params->ext_ramdisk_size = (uint32_t)(handover->initrd.size >> 32);
    header->setup_data = handover->setup_data;
    params->acpi_rsdp_addr = handover->rsdp;
    params->e820_entries = (uint8_t)boot_memory_map(memory, params->e820_table);
    if (guest_memory_write(memory, LAYOUT_BOOT_PARAMS, params, sizeof(*params)) < 0)
        return error_set(error, EINVAL,
                         "guest memory: too small for boot_params; give --memory 2M or more");
    *entry = (struct boot_entry){
        .long_mode = true, .rip = kernel->entry, .argument = LAYOUT_BOOT_PARAMS,
    };
    return 0;
}
