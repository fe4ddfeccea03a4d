/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "tests/support/loading.h"
#include "vmm/monitor/arch/x86_64/boot.h"
#include "vmm/monitor/arch/x86_64/layout.h"

#define GIB (1024 * MIB)

/* But for the page of the generation ID. */
#define BIOS_AREA { 0xa0000, 0x4f000, 2 }, { 0xf0000, 0x10000, 2 }

static const struct map_case {
    const char *name;
    uint64_t low, high;
    size_t count;
    struct boot_e820_entry entries[E820_ENTRIES];
} map_cases[] = {
    { "map_of_1_mib", MIB, 0, 3, { { 0, 0xa0000, 1 }, BIOS_AREA } },
    { "map_of_2_mib", 2 * MIB, 0, 4,
      { { 0, 0xa0000, 1 }, BIOS_AREA, { MIB, MIB, 1 } } },
    { "map_of_128_mib", 128 * MIB, 0, 4,
      { { 0, 0xa0000, 1 }, BIOS_AREA, { MIB, 127 * MIB, 1 } } },
    { "map_up_to_the_hole", LAYOUT_MMIO, 0, 4,
      { { 0, 0xa0000, 1 }, BIOS_AREA, { MIB, LAYOUT_MMIO - MIB, 1 } } },
    { "map_around_the_hole", LAYOUT_MMIO, 4096, 5,
      { { 0, 0xa0000, 1 }, BIOS_AREA, { MIB, LAYOUT_MMIO - MIB, 1 },
        { LOADING_HIGH, 4096, 1 } } },
    { "map_of_1_tib", LAYOUT_MMIO, 1024 * GIB, 5,
      { { 0, 0xa0000, 1 }, BIOS_AREA, { MIB, LAYOUT_MMIO - MIB, 1 },
        { LOADING_HIGH, 1024 * GIB, 1 } } },
};

static void check_map(void **state)
{
    const struct map_case *c = *state;
    struct guest_memory *memory = loading_memory(c->low, c->high);
    struct boot_e820_entry entries[E820_ENTRIES] = { { 0 } };

    assert_int_equal(boot_memory_map(memory, entries), c->count);
    assert_memory_equal(entries, c->entries, sizeof(entries));
    guest_memory_destroy(memory);
}

/* Nothing overlaps, nothing is told of that is not RAM or the BIOS area. */
static void map_is_sorted_and_true(void **state)
{
    (void)state;
    for (uint64_t size = MIB; size <= 64 * MIB; size += 4096 * 37) {
        struct guest_memory *memory = loading_memory(size & ~4095ull, 8 * MIB);
        struct boot_e820_entry entries[E820_ENTRIES];
        size_t count = boot_memory_map(memory, entries);
        struct guest_slice slice;
        uint64_t end = 0;

        for (size_t i = 0; i < count; i++) {
            assert_true(entries[i].addr >= end && entries[i].size > 0);
            end = entries[i].addr + entries[i].size;
            assert_int_equal(
                guest_memory_slice(memory, entries[i].addr, entries[i].size, &slice), 0);
        }
        guest_memory_destroy(memory);
    }
}

static void low_ram_starts_at_1_mib(void **state)
{
    static const uint64_t sizes[] = { 4096, MIB - 4096, MIB, MIB + 4096, 2 * MIB, LAYOUT_MMIO };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct guest_memory *memory = loading_memory(sizes[i], MIB);
        struct guest_range ram = boot_low_ram(memory);

        assert_int_equal(ram.address, MIB);
        assert_int_equal(ram.size, sizes[i] > MIB ? sizes[i] - MIB : 0);
        guest_memory_destroy(memory);
    }
}

static void every_field_is_written(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 16 * MIB);
    const struct loaded_kernel kernel = {
        .entry = 0x1000200,
        .header = { .setup_sects = 3, .syssize = 0x1234, .boot_flag = 0xaa55,
                    .header = 0x53726448, .version = 0x20f, .loadflags = 1,
                    .type_of_loader = 0xff, .kernel_alignment = 0x200000,
                    .pref_address = 0x1000000, .init_size = 0x200000, .setup_data = 0xdead,
                    .ramdisk_image = 0xdead, .ramdisk_size = 0xdead, .cmd_line_ptr = 0xdead },
    };
    const struct boot_handover handover = {
        .command_line = 0x100020000, .initrd = { 0x203000000, 0x300012345 },
        .rsdp = 0x1000e0000, .setup_data = 0x40000,
    };
    struct boot_params expected = { .e820_entries = 5 }, *params;
    struct boot_entry entry;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(boot_params_write(memory, &kernel, &handover, &entry, &error), 0);
    assert_true(entry.long_mode);
    assert_int_equal(entry.rip, 0x1000200);
    assert_int_equal(entry.argument, LAYOUT_BOOT_PARAMS);

    expected.hdr = kernel.header;
    expected.hdr.cmd_line_ptr = 0x20000;
    expected.ext_cmd_line_ptr = 1;
    expected.hdr.ramdisk_image = 0x3000000;
    expected.ext_ramdisk_image = 2;
    expected.hdr.ramdisk_size = 0x12345;
    expected.ext_ramdisk_size = 3;
    expected.hdr.setup_data = 0x40000;
    expected.acpi_rsdp_addr = 0x1000e0000;
    boot_memory_map(memory, expected.e820_table);
    params = (struct boot_params *)(void *)loading_bytes(memory, entry.argument, sizeof(*params));
    assert_memory_equal(params, &expected, sizeof(expected));

    /* Where boot.rst and zero-page.rst put them. */
    assert_int_equal(offsetof(struct boot_params, acpi_rsdp_addr), 0x70);
    assert_int_equal(offsetof(struct boot_params, ext_ramdisk_image), 0xc0);
    assert_int_equal(offsetof(struct boot_params, e820_entries), 0x1e8);
    assert_int_equal(offsetof(struct boot_params, hdr), 0x1f1);
    assert_int_equal(offsetof(struct boot_params, e820_table), 0x2d0);
    loading_assert_zero(memory, 0, LAYOUT_BOOT_PARAMS);
    loading_assert_zero(memory, LAYOUT_BOOT_PARAMS + 4096, MIB);
    guest_memory_destroy(memory);
}

static void stale_pointers_of_the_image_are_cleared(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 0);
    const struct loaded_kernel kernel = {
        .header = { .setup_data = 0xdead, .ramdisk_image = 0xdead, .ramdisk_size = 0xdead },
    };
    const struct boot_handover handover = { .command_line = LAYOUT_COMMAND_LINE };
    struct boot_params *params;
    struct boot_entry entry;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(boot_params_write(memory, &kernel, &handover, &entry, &error), 0);
    params = (struct boot_params *)(void *)loading_bytes(memory, LAYOUT_BOOT_PARAMS, 4096);
    assert_int_equal(params->hdr.setup_data, 0);
    assert_int_equal(params->hdr.ramdisk_image, 0);
    assert_int_equal(params->hdr.ramdisk_size, 0);
    assert_int_equal(params->acpi_rsdp_addr, 0);
    guest_memory_destroy(memory);
}

static void params_need_low_memory(void **state)
{
    struct guest_memory *memory = loading_memory(0x7000, 0);
    const struct loaded_kernel kernel = { .entry = 0 };
    const struct boot_handover handover = { .command_line = 0 };
    struct boot_entry entry;
    struct error error = ERROR_INIT;

    (void)state;
    loading_assert_error(boot_params_write(memory, &kernel, &handover, &entry, &error), &error,
                         EINVAL, "give --memory 2M or more");
    guest_memory_destroy(memory);
}

int main(void)
{
    struct CMUnitTest tests[16] = {
        cmocka_unit_test(map_is_sorted_and_true),
        cmocka_unit_test(low_ram_starts_at_1_mib),
        cmocka_unit_test(every_field_is_written),
        cmocka_unit_test(stale_pointers_of_the_image_are_cleared),
        cmocka_unit_test(params_need_low_memory),
    };
    size_t count = 5;

    count += LOADING_ADD(tests + count, map_cases, check_map);
    return _cmocka_run_group_tests("boot_params", tests, count, NULL, NULL);
}
