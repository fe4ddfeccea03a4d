/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include <libfdt.h>

#include "tests/support/test_machine.h"
#include "tests/support/test_tool.h"
#include "vmm/monitor/arch/x86_64/fdt_x86.h"
#include "vmm/monitor/arch/x86_64/layout.h"
#include "vmm/base/cleanup.h"
#include "vmm/monitor/boot/device_tree.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static uint64_t tree_buffer[LAYOUT_SETUP_DATA_SIZE / 8];
static const struct guest_range initrd = { .address = 0x12345000, .size = 0x6789 };

static size_t build(struct test_machine *test, unsigned int cpus, size_t windows)
{
    struct error error = ERROR_INIT;
    size_t size = 0;

    test_machine_create(test, 5 * GIB, cpus, windows);
    assert_int_equal(fdt_build_x86(&test->machine, "console=ttyS0 ro", initrd, tree_buffer,
                                   sizeof(tree_buffer), &size, &error),
                     0);
    assert_int_equal(fdt_check_full(tree_buffer, size), 0);
    return size;
}

static int node(const char *path)
{
    int offset = fdt_path_offset(tree_buffer, path);

    if (offset < 0)
        fail_msg("%s: %s", path, fdt_strerror(offset));
    return offset;
}

static void assert_cells(const char *path, const char *name, const uint32_t *cells, size_t count)
{
    int length;
    const fdt32_t *property = fdt_getprop(tree_buffer, node(path), name, &length);

    assert_non_null(property);
    assert_int_equal(length, count * 4);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(fdt32_to_cpu(property[i]), cells[i]);
}

#define assert_property(path, name, ...)                                                           \
    assert_cells(path, name, (const uint32_t[]){ __VA_ARGS__ },                                    \
                 ARRAY_LENGTH(((const uint32_t[]){ __VA_ARGS__ })))

static void assert_text(const char *path, const char *name, const char *expected)
{
    int length;
    const char *text = fdt_getprop(tree_buffer, node(path), name, &length);

    assert_non_null(text);
    assert_int_equal(length, strlen(expected) + 1);
    assert_string_equal(text, expected);
}

static void assert_flag(const char *path, const char *name)
{
    int length;

    assert_non_null(fdt_getprop(tree_buffer, node(path), name, &length));
    assert_int_equal(length, 0);
}

static size_t count_compatible(const char *compatible)
{
    size_t count = 0;

    for (int offset = fdt_node_offset_by_compatible(tree_buffer, -1, compatible); offset >= 0;
         offset = fdt_node_offset_by_compatible(tree_buffer, offset, compatible))
        count++;
    return count;
}

static void chosen_and_memory(void **state)
{
    struct test_machine test;

    (void)state;
    build(&test, 1, 0);
    assert_text("/chosen", "bootargs", "console=ttyS0 ro");
    assert_text("/chosen", "stdout-path", "/isa@i0/serial@i3f8");
    assert_property("/chosen", "linux,initrd-start", 0, 0x12345000);
    assert_property("/chosen", "linux,initrd-end", 0, 0x1234b789);
    assert_property("/memory@0", "reg", 0, 0, 0, 0xc0000000);
    assert_property("/memory@100000000", "reg", 1, 0, 0, 0x80000000);
    assert_text("/memory@0", "device_type", "memory");
    test_machine_destroy(&test);
}

static void no_initrd_and_no_serial_are_not_named(void **state)
{
    struct error error = ERROR_INIT;
    struct test_machine test;
    size_t size;

    (void)state;
    test_machine_create(&test, 16 * MIB, 1, 0);
    test.machine.device_count = 0;
    assert_int_equal(fdt_build_x86(&test.machine, "", (struct guest_range){ 0 }, tree_buffer,
                                   sizeof(tree_buffer), &size, &error),
                     0);
    assert_null(fdt_getprop(tree_buffer, node("/chosen"), "linux,initrd-start", NULL));
    assert_null(fdt_getprop(tree_buffer, node("/chosen"), "stdout-path", NULL));
    assert_true(fdt_path_offset(tree_buffer, "/isa@i0") < 0);
    assert_true(fdt_path_offset(tree_buffer, "/aliases") < 0);
    test_machine_destroy(&test);
}

static void interrupt_controllers(void **state)
{
    struct test_machine test;
    int ioapic;

    (void)state;
    build(&test, 1, 1);
    assert_text("/interrupt-controller@fee00000", "compatible", "intel,ce4100-lapic");
    assert_property("/interrupt-controller@fee00000", "reg", 0, 0xfee00000, 0, 0x1000);
    assert_flag("/interrupt-controller@fee00000", "intel,virtual-wire-mode");
    assert_text("/interrupt-controller@fec00000", "compatible", "intel,ce4100-ioapic");
    assert_property("/interrupt-controller@fec00000", "reg", 0, 0xfec00000, 0, 0x1000);
    assert_property("/interrupt-controller@fec00000", "#interrupt-cells", 2);
    assert_flag("/interrupt-controller@fec00000", "interrupt-controller");
    ioapic = fdt_node_offset_by_phandle(tree_buffer, 1);
    assert_int_equal(ioapic, node("/interrupt-controller@fec00000"));
    assert_property("/", "interrupt-parent", 1);
    test_machine_destroy(&test);
}

static void serial_port_in_io_space(void **state)
{
    struct test_machine test;

    (void)state;
    build(&test, 1, 0);
    assert_text("/isa@i0", "compatible", "isa");
    assert_property("/isa@i0", "ranges", 1, 0, 0, 0, 0x10000);
    assert_text("/isa@i0/serial@i3f8", "compatible", "ns16550a");
    assert_property("/isa@i0/serial@i3f8", "reg", 1, 0x3f8, 8);
    assert_property("/isa@i0/serial@i3f8", "interrupts", 4, 3);
    assert_property("/isa@i0/serial@i3f8", "clock-frequency", 1843200);
    assert_text("/aliases", "serial0", "/isa@i0/serial@i3f8");
    test_machine_destroy(&test);
}

static void devices_in_memory(void **state)
{
    struct test_machine test;

    (void)state;
    build(&test, 1, 2);
    assert_text("/virtio_mmio@d0001000", "compatible", "virtio,mmio");
    assert_property("/virtio_mmio@d0001000", "reg", 0, 0xd0001000, 0, 0x1000);
    assert_property("/virtio_mmio@d0001000", "interrupts", 6, 3);
    assert_flag("/virtio_mmio@d0001000", "dma-coherent");
    assert_text("/pvpanic@cfff0000", "compatible", "qemu,pvpanic-mmio");
    assert_property("/pvpanic@cfff0000", "reg", 0, 0xcfff0000, 0, 2);
    assert_property("/syscon@cfff2000", "reg", 0, 0xcfff2000, 0, 3);
    assert_property("/syscon@cfff2000", "reg-io-width", 1);
    assert_int_equal(fdt_node_offset_by_phandle(tree_buffer, 2), node("/syscon@cfff2000"));
    assert_property("/syscon-poweroff", "regmap", 2);
    assert_property("/syscon-poweroff", "offset", 0);
    assert_property("/syscon-poweroff", "value", 0x34);
    assert_property("/syscon-reboot", "offset", 2);
    assert_property("/syscon-reboot", "value", 1);
    test_machine_destroy(&test);
}

static void extremes_fit(void **state)
{
    struct test_machine test;

    (void)state;
    build(&test, 1, 0);
    assert_int_equal(count_compatible("virtio,mmio"), 0);
    assert_true(fdt_path_offset(tree_buffer, "/cpus/cpu@1") < 0);
    test_machine_destroy(&test);
    build(&test, 64, 100);
    assert_int_equal(count_compatible("virtio,mmio"), 100);
    assert_property("/cpus/cpu@3f", "reg", 63);
    assert_text("/cpus/cpu@3f", "device_type", "cpu");
    assert_true(fdt_path_offset(tree_buffer, "/cpus/cpu@40") < 0);
    test_machine_destroy(&test);
}

static void every_short_buffer_is_refused_within_bounds(void **state)
{
    struct error error = ERROR_INIT;
    struct test_machine test;
    size_t whole = build(&test, 2, 2), size;

    (void)state;
    for (size_t capacity = 0; capacity < whole; capacity += 4) {
        memset(tree_buffer, 0x5a, sizeof(tree_buffer));
        assert_int_equal(fdt_build_x86(&test.machine, "console=ttyS0 ro", initrd, tree_buffer,
                                       capacity, &size, &error),
                         -28 /* ENOSPC */);
        for (size_t i = capacity; i < whole + 64; i++)
            assert_int_equal(((const uint8_t *)tree_buffer)[i], 0x5a);
    }
    assert_non_null(strstr(error.message, "fewer devices"));
    test_machine_destroy(&test);
}

static void our_own_mistakes_are_reported(void **state)
{
    struct error error = ERROR_INIT;
    struct device_tree tree;
    uint32_t cells[9] = { 0 };
    size_t size;

    (void)state;
    device_tree_begin(&tree, tree_buffer, sizeof(tree_buffer));
    device_tree_node(&tree, "%s", "");
    device_tree_cells(&tree, "many", cells, ARRAY_LENGTH(cells));
    device_tree_end_node(&tree);
    assert_int_equal(device_tree_finish(&tree, &size, &error), -22);

    device_tree_begin(&tree, tree_buffer, sizeof(tree_buffer));
    device_tree_node(&tree, "%s", ""); /* never ended */
    assert_int_equal(device_tree_finish(&tree, &size, &error), -22);
    assert_non_null(strstr(error.message, "fault of mote"));
}

static void dtc_has_nothing_to_say(void **state)
{
    static const struct {
        unsigned int cpus;
        size_t windows;
    } extremes[] = { { 1, 0 }, { 64, 100 } };
    char dtc[] = "dtc", in[] = "-I", dtb[] = "dtb", out[] = "-O", dts[] = "dts", to[] = "-o",
         source[] = "tree.dts", file[] = "tree.dtb";
    struct test_directory directory;
    struct test_machine test;
    char output[4096];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(extremes); i++) {
        size_t size = build(&test, extremes[i].cpus, extremes[i].windows);

        test_directory_create(&directory);
        test_directory_write(&directory, file, tree_buffer, size);
        test_tool_run(&directory, (char *[]){ dtc, in, dtb, out, dts, to, source, file, NULL },
                      output, sizeof(output));
        assert_string_equal(output, "");
        test_directory_remove(&directory);
        test_machine_destroy(&test);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_and_memory),
        cmocka_unit_test(no_initrd_and_no_serial_are_not_named),
        cmocka_unit_test(interrupt_controllers),
        cmocka_unit_test(serial_port_in_io_space),
        cmocka_unit_test(devices_in_memory),
        cmocka_unit_test(extremes_fit),
        cmocka_unit_test(every_short_buffer_is_refused_within_bounds),
        cmocka_unit_test(our_own_mistakes_are_reported),
        cmocka_unit_test(dtc_has_nothing_to_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
