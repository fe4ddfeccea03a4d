/* SPDX-License-Identifier: Apache-2.0 */
#include "fdt_x86.h"

#include <assert.h>

#include "layout.h"
#include "vmm/base/cleanup.h"
#include "vmm/monitor/boot/device_tree.h"

#define IOAPIC_PHANDLE 1
#define POWER_PHANDLE 2
#define SENSE_EDGE_HIGH 3
#define APIC_WINDOW_SIZE 0x1000
#define UART_CLOCK 1843200 /* 16 times 115200 baud */

static struct device_tree_interrupt encode_interrupt(uint32_t gsi)
{
    return (struct device_tree_interrupt){ .cells = { gsi, SENSE_EDGE_HIGH }, .count = 2 };
}

static void write_cpus(struct device_tree *tree, unsigned int count)
{
    device_tree_node(tree, "cpus");
    device_tree_u32(tree, "#address-cells", 1);
    device_tree_u32(tree, "#size-cells", 0);
    for (unsigned int i = 0; i < count; i++) {
        device_tree_node(tree, "cpu@%x", i);
        device_tree_string(tree, "device_type", "cpu");
        device_tree_u32(tree, "reg", i);
        device_tree_end_node(tree);
    }
    device_tree_end_node(tree);
}

static void write_interrupt_controllers(struct device_tree *tree)
{
    device_tree_node(tree, "interrupt-controller@%llx", LAYOUT_LAPIC);
    device_tree_string(tree, "compatible", "intel,ce4100-lapic");
    device_tree_reg(tree, LAYOUT_LAPIC, APIC_WINDOW_SIZE);
    device_tree_flag(tree, "interrupt-controller");
    device_tree_u32(tree, "#interrupt-cells", 2);
    device_tree_u32(tree, "#address-cells", 0);
    device_tree_flag(tree, "intel,virtual-wire-mode");
    device_tree_end_node(tree);

    device_tree_node(tree, "interrupt-controller@%llx", LAYOUT_IOAPIC);
    device_tree_string(tree, "compatible", "intel,ce4100-ioapic");
    device_tree_reg(tree, LAYOUT_IOAPIC, APIC_WINDOW_SIZE);
    device_tree_flag(tree, "interrupt-controller");
    device_tree_u32(tree, "#interrupt-cells", 2);
    device_tree_u32(tree, "#address-cells", 0);
    device_tree_u32(tree, "phandle", IOAPIC_PHANDLE);
    device_tree_end_node(tree);
}

#define SERIAL_PATH "/isa@i0/serial@i3f8"
static_assert(LAYOUT_SERIAL_PORT == 0x3f8, "SERIAL_PATH names the port");

static const struct machine_device *find_serial(const struct machine *machine)
{
    for (size_t i = 0; i < machine->device_count; i++)
        if (machine->devices[i].kind == DEVICE_SERIAL &&
            machine->devices[i].base == LAYOUT_SERIAL_PORT)
            return &machine->devices[i];
    return NULL;
}

static void write_serial(struct device_tree *tree, const struct machine_device *serial)
{
    const uint32_t isa_ranges[] = { 1, 0, 0, 0, 0x10000 };
    const uint32_t reg[] = { 1, (uint32_t)serial->base, (uint32_t)serial->size };
    struct device_tree_interrupt interrupt = encode_interrupt(serial->irq);

    device_tree_node(tree, "aliases");
    device_tree_string(tree, "serial0", SERIAL_PATH);
    device_tree_end_node(tree);

    device_tree_node(tree, "isa@i0");
    device_tree_string(tree, "compatible", "isa");
    device_tree_u32(tree, "#address-cells", 2);
    device_tree_u32(tree, "#size-cells", 1);
    device_tree_cells(tree, "ranges", isa_ranges, ARRAY_LENGTH(isa_ranges));
    device_tree_node(tree, "serial@i%x", (unsigned int)serial->base);
    device_tree_string(tree, "compatible", "ns16550a");
    device_tree_cells(tree, "reg", reg, ARRAY_LENGTH(reg));
    device_tree_u32(tree, "clock-frequency", UART_CLOCK);
    device_tree_cells(tree, "interrupts", interrupt.cells, interrupt.count);
    device_tree_end_node(tree);
    device_tree_end_node(tree);
}

/* As Linux's binding microsoft,vmgenid has it, from 6.10 on. */
static void write_generation(struct device_tree *tree)
{
    struct device_tree_interrupt interrupt = encode_interrupt(LAYOUT_GENERATION_GSI);

    device_tree_node(tree, "vmgenid@%llx", LAYOUT_GENERATION);
    device_tree_string(tree, "compatible", "microsoft,vmgenid");
    device_tree_reg(tree, LAYOUT_GENERATION, LAYOUT_GENERATION_SIZE);
    device_tree_cells(tree, "interrupts", interrupt.cells, interrupt.count);
    device_tree_end_node(tree);
}

int fdt_build_x86(const struct machine *machine, const char *command_line,
                  struct guest_range initrd, void *buffer, size_t capacity, size_t *size,
                  struct error *error)
{
    const struct machine_device *serial = find_serial(machine);
    struct device_tree tree;

    device_tree_begin(&tree, buffer, capacity);
    device_tree_root(&tree, "linux,dummy-virt", IOAPIC_PHANDLE);
    device_tree_chosen(&tree, command_line, initrd, serial ? SERIAL_PATH : NULL);
    device_tree_memory(&tree, machine->memory);
    write_cpus(&tree, machine->cpu_count);
    write_interrupt_controllers(&tree);
    write_generation(&tree);
    if (serial)
        write_serial(&tree, serial);
    for (size_t i = 0; i < machine->device_count; i++) {
        const struct machine_device *device = &machine->devices[i];
        struct device_tree_interrupt interrupt = encode_interrupt(device->irq);

        if (device->kind == DEVICE_VIRTIO_MMIO)
            device_tree_virtio_mmio(&tree, device, &interrupt);
        else if (device->kind == DEVICE_PVPANIC)
            device_tree_pvpanic(&tree, device);
        else if (device->kind == DEVICE_POWER && device->space == ADDRESS_MMIO)
            device_tree_power(&tree, device, POWER_PHANDLE);
    }
    device_tree_end_node(&tree);
    return device_tree_finish(&tree, size, error);
}
