/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/boot/device_tree.h"

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/power_registers.h"

/* A node name is at most 31 characters and a unit address (section 2.2.1). */
#define NODE_NAME_MAX 64

static void note(struct device_tree *tree, int status)
{
    if (tree->status == 0 && status < 0)
        tree->status = status;
}

void device_tree_begin(struct device_tree *tree, void *buffer, size_t capacity)
{
    int size = capacity > INT32_MAX ? INT32_MAX : (int)capacity;

    *tree = (struct device_tree){ .buffer = buffer, .capacity = capacity };
    note(tree, fdt_create(buffer, size));
    if (tree->status == 0)
        note(tree, fdt_finish_reservemap(buffer));
}

int device_tree_finish(struct device_tree *tree, size_t *size, struct error *error)
{
    if (tree->depth != 0)
        note(tree, -FDT_ERR_BADSTRUCTURE); /* which libfdt would not notice */
    if (tree->status == 0)
        note(tree, fdt_finish(tree->buffer));
    if (tree->status == -FDT_ERR_NOSPACE)
        return error_set(error, ENOSPC,
                         "device tree: it needs more than the %zu bytes there are; attach fewer "
                         "devices or shorten the command line",
                         tree->capacity);
    if (tree->status < 0)
        return error_set(error, EINVAL, "device tree: %s; this is a fault of mote, report it",
                         fdt_strerror(tree->status));
    *size = fdt_totalsize(tree->buffer);
    return 0;
}

void device_tree_node(struct device_tree *tree, const char *format, ...)
{
    char name[NODE_NAME_MAX];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(name, sizeof(name), format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof(name))
        note(tree, -FDT_ERR_BADVALUE);
    if (tree->status == 0)
        note(tree, fdt_begin_node(tree->buffer, name));
    tree->depth++;
}

void device_tree_end_node(struct device_tree *tree)
{
    tree->depth--;
    if (tree->status == 0)
        note(tree, fdt_end_node(tree->buffer));
}

static void add_property(struct device_tree *tree, const char *name, const void *bytes,
                         size_t length)
{
    if (length > INT32_MAX)
        note(tree, -FDT_ERR_NOSPACE);
    if (tree->status == 0)
        note(tree, fdt_property(tree->buffer, name, bytes, (int)length));
}

void device_tree_flag(struct device_tree *tree, const char *name)
{
    add_property(tree, name, NULL, 0);
}

void device_tree_u32(struct device_tree *tree, const char *name, uint32_t value)
{
    device_tree_cells(tree, name, &value, 1);
}

void device_tree_u64(struct device_tree *tree, const char *name, uint64_t value)
{
    fdt64_t big_endian = cpu_to_fdt64(value);

    add_property(tree, name, &big_endian, sizeof(big_endian));
}

void device_tree_string(struct device_tree *tree, const char *name, const char *value)
{
    add_property(tree, name, value, strlen(value) + 1);
}

void device_tree_cells(struct device_tree *tree, const char *name, const uint32_t *cells,
                       size_t count)
{
    fdt32_t big_endian[8];

    if (count > ARRAY_LENGTH(big_endian)) {
        note(tree, -FDT_ERR_BADVALUE);
        return;
    }
    for (size_t i = 0; i < count; i++)
        big_endian[i] = cpu_to_fdt32(cells[i]);
    add_property(tree, name, big_endian, count * sizeof(big_endian[0]));
}

void device_tree_reg(struct device_tree *tree, uint64_t base, uint64_t size)
{
    const uint32_t cells[] = { (uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(size >> 32),
                               (uint32_t)size };

    device_tree_cells(tree, "reg", cells, ARRAY_LENGTH(cells));
}

void device_tree_root(struct device_tree *tree, const char *compatible, uint32_t interrupt_parent)
{
    device_tree_node(tree, "%s", "");
    device_tree_string(tree, "compatible", compatible);
    device_tree_string(tree, "model", "Mote microVM");
    device_tree_u32(tree, "#address-cells", 2);
    device_tree_u32(tree, "#size-cells", 2);
    device_tree_u32(tree, "interrupt-parent", interrupt_parent);
}

void device_tree_chosen(struct device_tree *tree, const char *command_line,
                        struct guest_range initrd, const char *stdout_path)
{
    device_tree_node(tree, "chosen");
    device_tree_string(tree, "bootargs", command_line);
    if (stdout_path)
        device_tree_string(tree, "stdout-path", stdout_path);
    if (initrd.size) {
        device_tree_u64(tree, "linux,initrd-start", initrd.address);
        device_tree_u64(tree, "linux,initrd-end", initrd.address + initrd.size);
    }
    device_tree_end_node(tree);
}

void device_tree_memory(struct device_tree *tree, const struct guest_memory *memory)
{
    for (size_t i = 0; i < guest_memory_region_count(memory); i++) {
        struct guest_range range = guest_memory_region(memory, i);

        device_tree_node(tree, "memory@%llx", (unsigned long long)range.address);
        device_tree_string(tree, "device_type", "memory");
        device_tree_reg(tree, range.address, range.size);
        device_tree_end_node(tree);
    }
}

void device_tree_virtio_mmio(struct device_tree *tree, const struct machine_device *device,
                             const struct device_tree_interrupt *interrupt)
{
    device_tree_node(tree, "virtio_mmio@%llx", (unsigned long long)device->base);
    device_tree_string(tree, "compatible", "virtio,mmio");
    device_tree_reg(tree, device->base, device->size);
    device_tree_cells(tree, "interrupts", interrupt->cells, interrupt->count);
    /* Devices and CPUs see the same memory; arm64 would flush caches otherwise. */
    device_tree_flag(tree, "dma-coherent");
    device_tree_end_node(tree);
}

void device_tree_pvpanic(struct device_tree *tree, const struct machine_device *device)
{
    device_tree_node(tree, "pvpanic@%llx", (unsigned long long)device->base);
    device_tree_string(tree, "compatible", "qemu,pvpanic-mmio");
    device_tree_reg(tree, device->base, device->size);
    device_tree_end_node(tree);
}

static void write_power_action(struct device_tree *tree, const char *compatible, uint32_t phandle,
                               uint32_t offset, uint32_t value)
{
    device_tree_node(tree, "%s", compatible);
    device_tree_string(tree, "compatible", compatible);
    device_tree_u32(tree, "regmap", phandle);
    device_tree_u32(tree, "offset", offset);
    device_tree_u32(tree, "value", value);
    device_tree_end_node(tree);
}

void device_tree_power(struct device_tree *tree, const struct machine_device *device,
                       uint32_t phandle)
{
    device_tree_node(tree, "syscon@%llx", (unsigned long long)device->base);
    device_tree_string(tree, "compatible", "syscon");
    device_tree_reg(tree, device->base, device->size);
    device_tree_u32(tree, "reg-io-width", 1);
    device_tree_u32(tree, "phandle", phandle);
    device_tree_end_node(tree);
    write_power_action(tree, "syscon-poweroff", phandle, POWER_SLEEP_CONTROL,
                       POWER_OFF);
    write_power_action(tree, "syscon-reboot", phandle, POWER_RESET,
                       POWER_RESET_VALUE);
}
