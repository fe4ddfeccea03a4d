/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz_load.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/monitor/arch/x86_64/layout.h"

/* The first byte: which memory, and what the file does. */
#define MEMORY_BITS 3u
#define FILE_SHRINKS (1u << 2)
#define FILE_CHANGES (1u << 3)
#define FILE_GROWS (1u << 4) /* a hole follows: 64 KiB, or 2^62 bytes with HUGE */
#define FILE_HUGE (1u << 5)

static void check_loaded(const struct guest_memory *memory, const struct loaded_kernel *kernel)
{
    struct guest_range ram = boot_low_ram(memory);
    uint64_t end = kernel->range.address + kernel->range.size;

    fuzz_require(kernel->range.size > 0 && end > kernel->range.address);
    fuzz_require(kernel->range.address >= LAYOUT_HIGH_RAM);
    fuzz_require(end <= ram.address + ram.size);
    fuzz_require(kernel->entry >= kernel->range.address && kernel->entry < end);
    fuzz_require(kernel->entry < LAYOUT_IDENTITY_MAPPED);
    fuzz_require(kernel->command_line_max > 0);
    fuzz_require(kernel->initrd_end_max > 0 && kernel->initrd_end_max <= 1ull << 32);
}

static void check_handed_over(struct guest_memory *memory, const struct boot_entry *entry,
                              const struct loaded_kernel *kernel)
{
    struct guest_slice slice;

    fuzz_require(entry->rip == kernel->entry);
    fuzz_require(guest_memory_slice(memory, entry->argument, 4096, &slice) == 0);
    if (!entry->long_mode)
        return;
    const struct boot_params *params = (const struct boot_params *)(const void *)slice.bytes;

    fuzz_require(params->hdr.ramdisk_size == 0 && params->hdr.setup_data == 0);
    fuzz_require(params->hdr.cmd_line_ptr == LAYOUT_COMMAND_LINE);
    fuzz_require(params->hdr.boot_flag == 0xaa55 && params->hdr.header == 0x53726448);
}

void fuzz_load(const struct boot_protocol *protocol, const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    uint8_t ways = (uint8_t)fuzz_take(&input, 1);
    struct guest_memory *memory = fuzz_memory(ways & MEMORY_BITS);
    struct fuzz_file file = { .content = input, .size = input.size, .true_size = input.size };
    struct boot_handover handover = { .command_line = LAYOUT_COMMAND_LINE };
    struct loaded_kernel kernel = { .entry = 0 };
    struct boot_entry entry;
    struct error error = ERROR_INIT;
    struct image image;

    if (input.size == 0)
        return; /* image_open() refuses empty files */
    if (ways & FILE_GROWS)
        file.size = file.true_size += ways & FILE_HUGE ? 1ull << 62 : 1ull << 16;
    if (ways & FILE_SHRINKS)
        file.true_size = input.size / 2;
    if (ways & FILE_CHANGES) {
        file.change_at = input.bytes[input.size - 1] % 8 + 1;
        file.change_offset = (size_t)input.bytes[input.size / 2] * 4 % input.size;
    }
    image = fuzz_image(FUZZ_KERNEL, &file);
    protocol->probe(&image);
    if (protocol->load(&image, memory, &kernel, &error) < 0) {
        fuzz_require(error.number > 0 && error.message[0] && !strchr(error.message, '\n'));
        fuzz_memory_reset(memory, NULL, 0);
        return;
    }
    check_loaded(memory, &kernel);
    if (protocol->hand_over(memory, &kernel, &handover, &entry, &error) == 0)
        check_handed_over(memory, &entry, &kernel);
    fuzz_require(file.reads < 200);
    fuzz_memory_reset(memory, &kernel.range, 1);
}
