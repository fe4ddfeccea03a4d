/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PVH: an ELF kernel, 32-bit or 64-bit, that names a 32-bit physical entry point in a Xen note and
 * finds hvm_start_info through EBX (Xen's docs/misc/pvh.pandoc and
 * public/arch-x86/hvm/start_info.h, version 1).
 */

#include <errno.h>
#include <stddef.h>

#include "boot.h"
#include "layout.h"
#include "vmm/monitor/boot/elf_image.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define START_INFO_MAGIC 0x336ec578u
#define START_INFO_VERSION 1u
#define COMMAND_LINE_SIZE 2048

struct hvm_start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules; /* guest-physical address of hvm_module[] */
    uint64_t command_line;
    uint64_t rsdp;
    uint64_t memory_map;
    uint32_t memory_map_count;
    uint32_t reserved;
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "start_info.h: size of version 1");
_Static_assert(offsetof(struct hvm_start_info, memory_map) == 40, "start_info.h: layout");

struct hvm_module {
    uint64_t address;
    uint64_t size;
    uint64_t command_line;
    uint64_t reserved;
};
_Static_assert(sizeof(struct hvm_module) == 32, "start_info.h: module size");

struct hvm_memory_map_entry {
    uint64_t address;
    uint64_t size;
    uint32_t type; /* as in e820 */
    uint32_t reserved;
};
_Static_assert(sizeof(struct hvm_memory_map_entry) == 24, "start_info.h: memory map entry size");

/* All three behind one another in one page of low memory. */
struct pvh_info {
    struct hvm_start_info start;
    struct hvm_module initrd;
    struct hvm_memory_map_entry memory_map[E820_ENTRIES];
};
_Static_assert(sizeof(struct pvh_info) <= LAYOUT_BOOT_PARAMS - LAYOUT_PVH_INFO, "fits its place");

static int find_entry(const struct image *image, const struct elf_image *elf, uint64_t *entry,
                      struct error *error)
{
    return elf_number_note(image, elf, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, entry, error);
}

static bool probe(const struct image *image)
{
    struct error ignored = ERROR_INIT;
    struct elf_image elf;
    uint64_t entry;

    return elf_has_magic(image) && elf_read(image, &elf, &ignored) == 0 &&
           find_entry(image, &elf, &entry, &ignored) == 1;
}

static int load(const struct image *image, struct guest_memory *memory,
                struct loaded_kernel *kernel, struct error *error)
{
    struct load_area area = boot_load_area(memory);
    struct elf_image elf;
    uint64_t entry;
    int result;

    result = elf_read(image, &elf, error);
    if (result < 0)
        return result;
    result = find_entry(image, &elf, &entry, error);
    if (result < 0)
        return result;
    if (result == 0)
        return error_set(error, EINVAL,
                         "kernel %s: has no PVH note; build it with CONFIG_PVH or leave out "
                         "--boot-protocol",
                         image->path);
    if (entry > UINT32_MAX || !elf_holds(&elf, entry))
        return error_set(error, EINVAL,
                         "kernel %s: its PVH entry point 0x%llx is outside of its segments; "
                         "fetch or build it again",
                         image->path, (unsigned long long)entry);
    result = elf_load(image, &elf, &area, &kernel->range, error);
    if (result < 0)
        return result;
    kernel->entry = entry;
    kernel->initrd_end_max = LAYOUT_MMIO;
    kernel->command_line_max = COMMAND_LINE_SIZE - 1;
    return 0;
}

static int hand_over(struct guest_memory *memory, const struct loaded_kernel *kernel,
                     const struct boot_handover *handover, struct boot_entry *entry,
                     struct error *error)
{
    struct boot_e820_entry map[E820_ENTRIES];
    size_t map_count = boot_memory_map(memory, map);
    struct pvh_info info = {
        .start = {
            .magic = START_INFO_MAGIC,
            .version = START_INFO_VERSION,
            .module_count = handover->initrd.size ? 1 : 0,
            .modules = LAYOUT_PVH_INFO + offsetof(struct pvh_info, initrd),
            .command_line = handover->command_line,
            .rsdp = handover->rsdp,
            .memory_map = LAYOUT_PVH_INFO + offsetof(struct pvh_info, memory_map),
            .memory_map_count = (uint32_t)map_count,
        },
        .initrd = { .address = handover->initrd.address, .size = handover->initrd.size },
    };

    for (size_t i = 0; i < map_count; i++)
        info.memory_map[i] = (struct hvm_memory_map_entry){
            .address = map[i].addr, .size = map[i].size, .type = map[i].type,
        };
    if (guest_memory_write(memory, LAYOUT_PVH_INFO, &info, sizeof(info)) < 0)
        return error_set(error, EINVAL,
                         "guest memory: too small for PVH start info; give --memory 2M or more");
    *entry = (struct boot_entry){
        .long_mode = false, .rip = kernel->entry, .argument = LAYOUT_PVH_INFO,
    };
    return 0;
}

const struct boot_protocol boot_pvh = {
    .name = "pvh",
    .takes_setup_data = false,
    .probe = probe,
    .load = load,
    .hand_over = hand_over,
};
