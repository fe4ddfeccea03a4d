/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_boot_load() whole.  The input: ways, the lengths of command line and
 * initrd, the pages of zeros that follow the initrd's bytes (2 bytes each), then
 * command line, initrd and kernel.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/monitor/arch/x86_64/arch_vm.h"
#include "vmm/monitor/arch/x86_64/layout.h"

#define LINE_MAX 4096

/* Bits of the ways. */
#define WAY_MEMORY(ways) ((ways) & 3u)
#define WAY_PROTOCOL(ways) ((ways) >> 2 & 3u)
#define WAY_DESCRIBE(ways) ((ways) >> 4 & 3u)
#define WAY_CPUS(ways) ((ways) >> 6 & 3u)
#define WAY_DEVICES(ways) ((ways) >> 8 & 3u)
#define WAY_SHRINKS (1u << 10)
#define WAY_CHANGES (1u << 11)
#define WAY_CHANGE_AT(ways) ((ways) >> 12 & 7u)
#define WAY_HUGE_INITRD (1u << 15)

static size_t make_devices(struct machine_device *devices, unsigned int choice)
{
    static const size_t windows[] = { 0, 1, 8, 64 };
    size_t count;
    const struct machine_device *platform = arch_platform_devices(&count);

    memcpy(devices, platform, count * sizeof(*platform));
    for (size_t i = 0; i < windows[choice]; i++)
        if (arch_virtio_window(i, &devices[count]))
            count++;
    return count;
}

/* What the guest is told of its initrd. */
static struct guest_range told_initrd(const struct guest_memory *memory,
                                      const struct boot_entry *entry)
{
    struct guest_slice info, module;
    uint64_t address, place[2];

    fuzz_require(guest_memory_slice(memory, entry->argument, 4096, &info) == 0);
    if (entry->long_mode) {
        const struct boot_params *params = (const struct boot_params *)(const void *)info.bytes;

        fuzz_require(params->ext_ramdisk_image == 0 && params->ext_ramdisk_size == 0);
        fuzz_require(params->hdr.cmd_line_ptr == LAYOUT_COMMAND_LINE);
        return (struct guest_range){ params->hdr.ramdisk_image, params->hdr.ramdisk_size };
    }
    if (info.bytes[12] == 0)
        return (struct guest_range){ 0, 0 };
    memcpy(&address, info.bytes + 16, sizeof(address));
    fuzz_require(guest_memory_slice(memory, address, 32, &module) == 0);
    memcpy(place, module.bytes, sizeof(place));
    return (struct guest_range){ place[0], place[1] };
}

/* What the first protocol that fits says about the kernel; the loading itself hides it. */
static bool claimed_by_kernel(const struct boot_source *source, struct guest_memory *memory,
                              const struct boot_entry *entry, struct guest_range *range)
{
    static const struct boot_protocol *const protocols[] = { &boot_linux64, &boot_elf64,
                                                             &boot_pvh };

    for (size_t i = 0; i < 3; i++) {
        struct loaded_kernel kernel = { .entry = 0 };
        struct error error;

        if (source->protocol ? strcmp(source->protocol, protocols[i]->name) != 0
                             : !protocols[i]->probe(source->kernel))
            continue;
        if (protocols[i]->load(source->kernel, memory, &kernel, &error) < 0)
            return false;
        fuzz_require(kernel.entry == entry->rip);
        *range = kernel.range;
        return true;
    }
    return false;
}

static void check_loaded(const struct boot_source *source, struct guest_memory *memory,
                         const struct boot_entry *entry, const char *line, bool plain_line,
                         bool steady)
{
    struct guest_range ram = boot_low_ram(memory), claimed[2] = { { 0, 0 } };
    struct guest_slice slice;

    fuzz_require(entry->rip >= LAYOUT_HIGH_RAM && entry->rip < ram.address + ram.size);
    fuzz_require(guest_memory_slice(memory, LAYOUT_COMMAND_LINE, strlen(line) + 1, &slice) == 0);
    if (plain_line)
        fuzz_require(strcmp((const char *)slice.bytes, line) == 0);
    claimed[0] = told_initrd(memory, entry);
    fuzz_require(claimed[0].size == (source->initrd ? source->initrd->size : 0));
    if (claimed[0].size) {
        fuzz_require(claimed[0].address >= LAYOUT_HIGH_RAM);
        fuzz_require(claimed[0].address + claimed[0].size <= ram.address + ram.size);
    }
    /* A file that answers otherwise each time cannot be asked again. */
    if (!steady || !claimed_by_kernel(source, memory, entry, &claimed[1])) {
        fuzz_memory_reset(memory, NULL, 0);
        return;
    }
    fuzz_require(claimed[0].size == 0 ||
                 claimed[0].address >= claimed[1].address + claimed[1].size);
    fuzz_memory_reset(memory, claimed, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { NULL, "linux64", "elf64", "pvh" };
    static const unsigned int cpus[] = { 1, 2, 5, 64 };
    struct log log = { .fd = -1, .level = LOG_ERROR };
    struct arch_vm arch = { .log = &log };
    struct machine_device devices[MACHINE_DEVICES_MAX];
    struct fuzz_input input = { data, size };
    unsigned int ways = (unsigned int)fuzz_take(&input, 2);
    size_t line_length = fuzz_take(&input, 2) % LINE_MAX, initrd_length = fuzz_take(&input, 2);
    uint64_t initrd_pages = fuzz_take(&input, 2);
    struct fuzz_input text = fuzz_take_bytes(&input, line_length);
    struct fuzz_file initrd = { .content = fuzz_take_bytes(&input, initrd_length) };
    struct fuzz_file kernel = { .content = input, .size = input.size, .true_size = input.size };
    struct image kernel_image, initrd_image;
    struct boot_source source = { .protocol = names[WAY_PROTOCOL(ways)] };
    struct machine machine = {
        .memory = fuzz_memory(WAY_MEMORY(ways)),
        .cpu_count = cpus[WAY_CPUS(ways)],
        .describe = WAY_DESCRIBE(ways),
        .devices = devices,
        .device_count = make_devices(devices, WAY_DEVICES(ways)),
    };
    struct error error = ERROR_INIT;
    char line[LINE_MAX] = "";

    if (input.size == 0)
        return 0;
    if (text.size)
        memcpy(line, text.bytes, text.size);
    if (ways & WAY_SHRINKS)
        kernel.true_size -= kernel.true_size / 4;
    if (ways & WAY_CHANGES) {
        kernel.change_at = 1 + WAY_CHANGE_AT(ways);
        kernel.change_offset = input.bytes[input.size - 1] * 4u % input.size;
    }
    initrd.size = initrd.content.size + initrd_pages * 4096;
    if (ways & WAY_HUGE_INITRD)
        initrd.size <<= 30;
    initrd.true_size = initrd.size;
    kernel_image = fuzz_image(FUZZ_KERNEL, &kernel);
    initrd_image = fuzz_image(FUZZ_INITRD, &initrd);
    source.kernel = &kernel_image;
    source.command_line = line;
    if (initrd.size)
        source.initrd = &initrd_image;

    if (arch_boot_load(&arch, &source, &machine, &error) == 0) {
        check_loaded(&source, machine.memory, &arch.entry, line,
                     machine.describe < DESCRIBE_CMDLINE, !(ways & WAY_CHANGES));
    } else {
        fuzz_require(error.number > 0 && error.message[0] && !strchr(error.message, '\n'));
        fuzz_memory_reset(machine.memory, NULL, 0);
    }
    return 0;
}
