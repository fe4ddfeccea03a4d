/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "i8042.h"
#include "layout.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"

static const struct machine_device platform_devices[] = {
    {
        .kind = DEVICE_SERIAL,
        .space = ADDRESS_PORT,
        .base = LAYOUT_SERIAL_PORT,
        .size = 8,
        .irq = LAYOUT_SERIAL_GSI,
    },
    {
        .kind = DEVICE_ARCH,
        .ops = &i8042_ops,
        .space = ADDRESS_PORT,
        .base = LAYOUT_I8042_PORT,
        .size = 5,
        .irq = MACHINE_NO_IRQ,
    },
    {
        .kind = DEVICE_POWER,
        .space = ADDRESS_PORT,
        .base = LAYOUT_POWER_PORT,
        .size = 3,
        .irq = MACHINE_NO_IRQ,
    },
    {
        /* A device tree can only name registers in memory for power-off. */
        .kind = DEVICE_POWER,
        .space = ADDRESS_MMIO,
        .base = LAYOUT_POWER,
        .size = 3,
        .irq = MACHINE_NO_IRQ,
    },
    {
        .kind = DEVICE_PVPANIC,
        .space = ADDRESS_MMIO,
        .base = LAYOUT_PVPANIC,
        .size = 2,
        .irq = MACHINE_NO_IRQ,
    },
    {
        .kind = DEVICE_BOOT_MARK,
        .space = ADDRESS_MMIO,
        .base = LAYOUT_BOOT_MARK,
        .size = 4,
        .irq = MACHINE_NO_IRQ,
    },
};

static_assert(ARRAY_LENGTH(platform_devices) + LAYOUT_VIRTIO_WINDOWS <= MACHINE_DEVICES_MAX,
              "struct machine must have room for every window");
static_assert(ARRAY_LENGTH(platform_devices) + LAYOUT_VIRTIO_WINDOWS < BUS_WINDOWS_MAX,
              "the bus must have room for every window");
static_assert(LAYOUT_VIRTIO_GSI + LAYOUT_VIRTIO_WINDOWS <= LAYOUT_IOAPIC_PINS,
              "every window must have an interrupt input of its own");
static_assert(LAYOUT_VIRTIO + LAYOUT_VIRTIO_WINDOWS * LAYOUT_VIRTIO_SIZE <= LAYOUT_IOAPIC,
              "the windows must end below the IOAPIC");

size_t arch_memory_layout(uint64_t size, struct guest_range ranges[2])
{
    uint64_t low = size < LAYOUT_MMIO ? size : LAYOUT_MMIO;

    ranges[0] = (struct guest_range){ .address = 0, .size = low };
    if (low == size)
        return 1;
    ranges[1] = (struct guest_range){ .address = LAYOUT_RAM_ABOVE_4G, .size = size - low };
    return 2;
}

const struct machine_device *arch_platform_devices(size_t *count)
{
    *count = ARRAY_LENGTH(platform_devices);
    return platform_devices;
}

bool arch_virtio_window(size_t index, struct machine_device *device)
{
    if (index >= LAYOUT_VIRTIO_WINDOWS)
        return false;
    *device = (struct machine_device){
        .kind = DEVICE_VIRTIO_MMIO,
        .space = ADDRESS_MMIO,
        .base = LAYOUT_VIRTIO + index * LAYOUT_VIRTIO_SIZE,
        .size = LAYOUT_VIRTIO_SIZE,
        .irq = LAYOUT_VIRTIO_GSI + (uint32_t)index,
    };
    return true;
}
