/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/registry.h"

#include <assert.h>

#include "devices/virtio/mmio.h"
#include "vmm/base/cleanup.h"

static const struct device_ops *const registry[] = {
    [DEVICE_SERIAL] = &serial_ops,
    [DEVICE_POWER] = &power_ops,
    [DEVICE_PVPANIC] = &pvpanic_ops,
    [DEVICE_BOOT_MARK] = &boot_mark_ops,
    [DEVICE_VIRTIO_MMIO] = &virtio_mmio_ops,
};
static_assert(ARRAY_LENGTH(registry) == DEVICE_ARCH, "every kind of device but the architecture's own has its line");

const struct device_ops *device_registry_find(enum device_kind kind)
{
    return (size_t)kind < ARRAY_LENGTH(registry) ? registry[kind] : NULL;
}
