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

static const struct virtio_row virtio_rows[] = {
    { "disk", "PATH[,...]", "a raw image or block device; then any of ro, fd=N, direct,\n"
      "overlay=PATH|tmp, serial=ID, engine=uring|sync, queues=N,\n"
      "block-size=512|4096, rate=BYTES/s, ops=N/s, burst=BYTES", &block_class },
    { "balloon", "SIZE[,…]", "take SIZE of the guest's memory back:\n"
      "deflate-on-oom, stats=SECONDS, reporting", &balloon_class },
    { "entropy", "on[,…]", "random numbers from the host: rate=, ops=, burst=",
      &entropy_class },
    { "net", "KIND", "a network device: tap:NAME, tap-fd:N, user or none,\n"
      "with forward=tcp:HOST:GUEST, mac=, rate=, queues=", &net_class },
    { "port", "NAME=WHERE", "a port of the console device: file:PATH, unix:PATH\n"
      "or fd:N; /dev/virtio-ports/NAME in the guest", &virtio_console_class },
    { "vsock", "CID:PATH", "sockets between guest and host: CONNECT <port> on\n"
      "the unix socket PATH, and PATH_<port> for the guest's", &virtio_vsock_class },
};

const struct virtio_row *virtio_registry(size_t *count)
{
    *count = ARRAY_LENGTH(virtio_rows);
    return virtio_rows;
}

const struct virtio_row *virtio_registry_find(const char *option)
{
    for (size_t i = 0; i < ARRAY_LENGTH(virtio_rows); i++)
        if (strcmp(virtio_rows[i].option, option) == 0)
            return &virtio_rows[i];
    return NULL;
}
