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

uint32_t mmio_register(const struct virtio_mmio *mmio, uint64_t offset)
{
    const struct virtio_transport *transport = &mmio->transport;
    const struct virtqueue *queue = virtio_transport_queue(transport);

    switch (offset) {
    case MAGIC_VALUE:
        return MAGIC;
    case VERSION:
        return 2;
    case DEVICE_ID:
        return transport->virtio->class->id;
    case VENDOR_ID:
        return VENDOR;
    case DEVICE_FEATURES:
        return virtio_transport_device_features(transport);
    case QUEUE_SIZE_MAX:
        return queue ? queue->size_max : 0;
    case QUEUE_READY:
        return queue ? queue->ready : 0;
    case INTERRUPT_STATUS:
        return transport->interrupt_status;
    case STATUS:
        return transport->status;
    case CONFIG_GENERATION:
        return transport->generation;
    }
    /* 4.2.2: the length and base of a region that does not exist are -1. */
    return offset >= SHM_LENGTH_LOW && offset <= SHM_BASE_HIGH ? UINT32_MAX : 0;
}

/* The address that the pair of registers at OFFSET, a low half and a high one, makes up; NULL: none. */
static uint64_t *address_at(struct virtqueue *queue, uint64_t offset)
{
    switch (offset) {
    case QUEUE_DESC_LOW:
    case QUEUE_DESC_HIGH:
        return &queue->desc_address;
    case QUEUE_DRIVER_LOW:
    case QUEUE_DRIVER_HIGH:
        return &queue->avail_address;
    case QUEUE_DEVICE_LOW:
    case QUEUE_DEVICE_HIGH:
        return &queue->used_address;
    }
    return NULL;
}

static void write_queue_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    struct virtqueue *queue = virtio_transport_queue_in_setup(&mmio->transport);
    uint64_t *address = queue ? address_at(queue, offset) : NULL;
    unsigned int shift = offset & 4 ? 32 : 0;

    if (address)
        *address = (*address & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift;
    else if (queue && offset == QUEUE_SIZE)
        queue->size = value;
}

/* Of the set-up: what a running driver does not write. */
static void write_set_up(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    struct virtio_transport *transport = &mmio->transport;

    shortcut_end(mmio);
    switch (offset) {
    case DEVICE_FEATURES_SEL:
        transport->device_features_sel = value;
        break;
    case DRIVER_FEATURES:
        virtio_transport_write_driver_features(transport, value);
        break;
    case DRIVER_FEATURES_SEL:
        transport->driver_features_sel = value;
        break;
    case QUEUE_SEL:
        transport->queue_sel = value;
        break;
    case QUEUE_READY:
        virtio_transport_write_queue_ready(transport, value);
        break;
    case STATUS:
        virtio_transport_write_status(transport, value);
        break;
    default:
        write_queue_register(mmio, offset, value);
    }
}

static void write_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    if (offset == QUEUE_NOTIFY)
        virtio_transport_notified(&mmio->transport, value);
    else if (offset == INTERRUPT_ACK)
        acknowledge(mmio, value);
    else
        write_set_up(mmio, offset, value);
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
