/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/registry.h"

#include <assert.h>
#include <string.h>

#include "devices/virtio/console.h"
#include "devices/virtio/mmio.h"
#include "devices/virtio/vsock.h"
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

static const struct virtio_device_class *const classes[] = {
    &block_class, &balloon_class, &entropy_class, &net_class, &virtio_console_class, &virtio_vsock_class,
};

const struct virtio_device_class *virtio_registry_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(classes); i++)
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    return NULL;
}
