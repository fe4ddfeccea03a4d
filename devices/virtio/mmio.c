/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/mmio_internal.h"

#define MAGIC 0x74726976u /* "virt" */
#define VENDOR 0x65746f6du /* "mote" */

/* ---- interrupts --------------------------------------------------------- */

/* The line is edge-triggered: each cause is an edge of its own. */
static void interrupt_for(struct virtio_mmio *mmio, uint32_t reason)
{
    mmio->transport.interrupt_status |= reason;
    shortcut_show_status(mmio);
    irq_line_pulse(&mmio->irq);
}

static void mmio_interrupt(struct virtio_transport *transport, unsigned int queue)
{
    (void)queue; /* one line for all */
    interrupt_for((struct virtio_mmio *)transport, VIRTIO_INTERRUPT_USED);
}

static void mmio_config_changed(struct virtio_transport *transport)
{
    struct virtio_mmio *mmio = (struct virtio_mmio *)transport;

    shortcut_end(mmio);
    interrupt_for(mmio, VIRTIO_INTERRUPT_CONFIG);
}

static void acknowledge(struct virtio_mmio *mmio, uint32_t reasons)
{
    mmio->transport.interrupt_status &= ~reasons;
    shortcut_show_status(mmio);
}

/* ---- notifications that KVM takes --------------------------------------- */

static int mmio_attach(struct virtio_transport *transport, unsigned int queue, int event_fd)
{
    const struct virtio_mmio *mmio = (const struct virtio_mmio *)transport;

    if (!mmio->window.attach)
        return -EOPNOTSUPP;
    return mmio->window.attach(mmio->window.context, mmio->base + QUEUE_NOTIFY, queue, event_fd);
}

static void mmio_detach(struct virtio_transport *transport, unsigned int queue, int event_fd)
{
    const struct virtio_mmio *mmio = (const struct virtio_mmio *)transport;

    mmio->window.detach(mmio->window.context, mmio->base + QUEUE_NOTIFY, queue, event_fd);
}

/* ---- registers ---------------------------------------------------------- */

#define R 1u
#define W 2u

/* 4.2.2; those that are this transport's alone are not here. */
static const struct {
    uint8_t field; /* enum virtio_field */
    uint8_t access;
} registers[CONFIG / sizeof(uint32_t)] = {
    [DEVICE_FEATURES / 4] = { VIRTIO_DEVICE_FEATURES, R },
    [DEVICE_FEATURES_SEL / 4] = { VIRTIO_DEVICE_FEATURES_SEL, W },
    [DRIVER_FEATURES / 4] = { VIRTIO_DRIVER_FEATURES, W },
    [DRIVER_FEATURES_SEL / 4] = { VIRTIO_DRIVER_FEATURES_SEL, W },
    [QUEUE_SEL / 4] = { VIRTIO_QUEUE_SEL, W },
    [QUEUE_SIZE_MAX / 4] = { VIRTIO_QUEUE_SIZE_MAX, R },
    [QUEUE_SIZE / 4] = { VIRTIO_QUEUE_SIZE, W },
    [QUEUE_READY / 4] = { VIRTIO_QUEUE_READY, R | W },
    [STATUS / 4] = { VIRTIO_DEVICE_STATUS, R | W },
    [QUEUE_DESC_LOW / 4] = { VIRTIO_QUEUE_DESC_LOW, W },
    [QUEUE_DESC_HIGH / 4] = { VIRTIO_QUEUE_DESC_HIGH, W },
    [QUEUE_DRIVER_LOW / 4] = { VIRTIO_QUEUE_DRIVER_LOW, W },
    [QUEUE_DRIVER_HIGH / 4] = { VIRTIO_QUEUE_DRIVER_HIGH, W },
    [QUEUE_DEVICE_LOW / 4] = { VIRTIO_QUEUE_DEVICE_LOW, W },
    [QUEUE_DEVICE_HIGH / 4] = { VIRTIO_QUEUE_DEVICE_HIGH, W },
    [CONFIG_GENERATION / 4] = { VIRTIO_CONFIG_GENERATION, R },
};

static enum virtio_field field_at(uint64_t offset, uint8_t access)
{
    return registers[offset / 4].access & access ? registers[offset / 4].field : VIRTIO_FIELD_NONE;
}

uint32_t mmio_register(const struct virtio_mmio *mmio, uint64_t offset)
{
    const struct virtio_transport *transport = &mmio->transport;

    switch (offset) {
    case MAGIC_VALUE:
        return MAGIC;
    case VERSION:
        return 2;
    case DEVICE_ID:
        return transport->virtio->class->id;
    case VENDOR_ID:
        return VENDOR;
    case INTERRUPT_STATUS:
        return transport->interrupt_status;
    }
    /* 4.2.2: the length and base of a region that does not exist are -1. */
    if (offset >= SHM_LENGTH_LOW && offset <= SHM_BASE_HIGH)
        return UINT32_MAX;
    return virtio_transport_read(transport, field_at(offset, R));
}

static void write_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    if (offset == QUEUE_NOTIFY) {
        virtio_transport_notified(&mmio->transport, value);
    } else if (offset == INTERRUPT_ACK) {
        acknowledge(mmio, value);
    } else {
        /* Of the set-up: what a running driver does not write. */
        shortcut_end(mmio);
        virtio_transport_write(&mmio->transport, field_at(offset, W), value);
    }
}

/* ---- the bus's side ----------------------------------------------------- */

static void mmio_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    struct virtio_mmio *mmio = (struct virtio_mmio *)device;
    uint32_t value;

    if (offset >= CONFIG) {
        virtio_transport_read_config(&mmio->transport, offset - CONFIG, bytes, length);
        return;
    }
    memset(bytes, 0, length);
    if (length != sizeof(value) || offset % sizeof(value))
        return;
    value = mmio_register(mmio, offset);
    memcpy(bytes, &value, sizeof(value));
    if (offset == INTERRUPT_STATUS)
        shortcut_status_read(mmio);
}

static void mmio_write(struct device *device, uint64_t offset, const uint8_t *bytes, size_t length)
{
    struct virtio_mmio *mmio = (struct virtio_mmio *)device;
    uint32_t value;

    if (offset >= CONFIG) {
        shortcut_end(mmio);
        virtio_transport_write_config(&mmio->transport, offset - CONFIG, bytes, length);
        return;
    }
    if (length != sizeof(value) || offset % sizeof(value))
        return;
    memcpy(&value, bytes, sizeof(value));
    write_register(mmio, offset, value);
}

static const struct virtio_transport_ops transport_ops = {
    .interrupt = mmio_interrupt,
    .config_changed = mmio_config_changed,
    .attach = mmio_attach,
    .detach = mmio_detach,
};

static int mmio_create(struct device **device, const struct device_env *env, const void *options,
                       struct error *error)
{
    const struct virtio_mmio_options *wanted = options;
    struct virtio_mmio *mmio = calloc(1, sizeof(*mmio));
    int result;

    if (!mmio)
        return error_system(error, ENOMEM, "virtio device");
    mmio->base = wanted->base;
    mmio->window = wanted->window;
    mmio->irq = env->irq;
    result = virtio_transport_init(&mmio->transport, &virtio_mmio_ops, &transport_ops, env,
                                   &wanted->virtio, error);
    if (result < 0) {
        free(mmio);
        return result;
    }
    *device = &mmio->transport.device;
    return 0;
}

static void mmio_destroy(struct device *device)
{
    struct virtio_mmio *mmio = (struct virtio_mmio *)device;

    shortcut_release(mmio);
    virtio_transport_release(&mmio->transport);
    free(mmio);
}

const struct device_ops virtio_mmio_ops = {
    .name = "virtio-mmio",
    .create = mmio_create,
    .destroy = mmio_destroy,
    .read = mmio_read,
    .write = mmio_write,
    .state = virtio_transport_state,
    .drain = virtio_transport_drain,
};
