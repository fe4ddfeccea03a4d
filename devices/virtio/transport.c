/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/transport_internal.h"

#define RING_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

/* ---- what the device calls ---------------------------------------------- */

/* A driver that has not set DRIVER_OK must not be interrupted (2.1.2); it reads all anew then. */
void virtio_notify(struct virtio_device *device, unsigned int queue)
{
    struct virtio_transport *transport = device->transport;

    if (!virtqueue_wants_interrupt(&device->queues[queue]) ||
        !(transport->status & VIRTIO_STATUS_DRIVER_OK))
        return;
    /* The interrupt's controller may be loaded later. */
    if (transport->loading)
        transport->owed_queues |= 1ull << queue;
    else
        transport->ops->interrupt(transport, queue);
}

static void interrupt_config(struct virtio_transport *transport)
{
    if (!(transport->status & VIRTIO_STATUS_DRIVER_OK))
        return;
    if (transport->loading)
        transport->owed_config = true;
    else
        transport->ops->config_changed(transport);
}

void virtio_config_changed(struct virtio_device *device)
{
    device->transport->generation++;
    interrupt_config(device->transport);
}

void virtio_needs_reset(struct virtio_device *device, const char *why)
{
    struct virtio_transport *transport = device->transport;

    if (transport->status & VIRTIO_STATUS_NEEDS_RESET)
        return;
    log_limited(transport->log, &transport->misbehaviour, LOG_WARN,
                "%s: the guest's driver broke the rules (%s); the device waits for its reset",
                device->class->name, why);
    for (unsigned int i = 0; i < device->queue_count; i++)
        device->queues[i].broken = true;
    transport->status |= VIRTIO_STATUS_NEEDS_RESET;
    virtio_config_changed(device);
}

void virtio_kick_again(struct virtio_device *device, unsigned int queue)
{
    doorbell_ring(device->transport, queue);
}

void transport_interrupt_owed(struct virtio_transport *transport)
{
    uint64_t queues = transport->owed_queues;
    bool config = transport->owed_config;

    transport->owed_queues = 0;
    transport->owed_config = false;
    for (unsigned int i = 0; queues && i < transport->virtio->queue_count; i++)
        if (queues >> i & 1 && transport->virtio->queues[i].ready)
            transport->ops->interrupt(transport, i);
    if (config)
        transport->ops->config_changed(transport);
}

/* ---- features ----------------------------------------------------------- */

uint64_t transport_offered(const struct virtio_transport *transport)
{
    return transport->virtio->offered | RING_FEATURES;
}

bool transport_features_are_whole(const struct virtio_transport *transport)
{
    const struct virtio_feature_need *need = transport->virtio->class->needs;
    uint64_t features = transport->driver_features;

    if (!(features & VIRTIO_F_VERSION_1))
        return false;
    for (; need && need->feature; need++)
        if ((features & need->feature) && !(features & need->one_of))
            return false;
    return true;
}

/* Bits 0 to 31 by page 0, 32 to 63 by page 1; nothing is in the others. */
static uint32_t page_of(uint64_t features, uint32_t page)
{
    return page > 1 ? 0 : (uint32_t)(features >> (32 * page));
}

static void set_half(uint64_t *value, unsigned int half, uint32_t bits)
{
    *value = (*value & ~((uint64_t)UINT32_MAX << (32 * half))) | (uint64_t)bits << (32 * half);
}

static void write_driver_features(struct virtio_transport *transport, uint32_t value)
{
    uint32_t page = transport->driver_features_sel;

    if (transport->status & VIRTIO_STATUS_FEATURES_OK)
        return;
    if (page <= 1)
        set_half(&transport->driver_features, page, value);
    else if (value != 0)
        transport->unknown_features = true; /* FEATURES_OK will be refused until a reset */
}

static bool features_are_accepted(const struct virtio_transport *transport)
{
    return (transport->driver_features & ~transport_offered(transport)) == 0 &&
           !transport->unknown_features && transport_features_are_whole(transport);
}

/* ---- device status ------------------------------------------------------ */

void transport_reset(struct virtio_transport *transport)
{
    struct virtio_device *virtio = transport->virtio;

    for (unsigned int i = 0; i < virtio->queue_count; i++)
        doorbell_detach(transport, i);
    /* The device stops first: after this nothing of it uses the rings. */
    if (virtio->class->reset)
        virtio->class->reset(virtio);
    for (unsigned int i = 0; i < virtio->queue_count; i++)
        virtqueue_reset(&virtio->queues[i]);
    virtio->negotiated = 0;
    transport->status = 0;
    transport->device_features_sel = transport->driver_features_sel = transport->queue_sel = 0;
    transport->driver_features = 0;
    transport->unknown_features = false;
    transport->interrupt_status = 0;
    transport->owed_config = false;
    transport->owed_queues = 0;
}

int transport_open_queues(struct virtio_transport *transport)
{
    struct virtio_device *virtio = transport->virtio;
    int result = 0;

    virtio->negotiated = transport->driver_features;
    for (unsigned int i = 0; result == 0 && i < virtio->queue_count; i++) {
        virtio->queues[i].event_idx = virtio_has(virtio, VIRTIO_F_EVENT_IDX);
        virtio->queues[i].indirect = virtio_has(virtio, VIRTIO_F_INDIRECT_DESC);
        if (virtio->queues[i].ready)
            result = doorbell_open(transport, i);
    }
    return result;
}

static void activate(struct virtio_transport *transport)
{
    struct virtio_device *virtio = transport->virtio;

    if (transport_open_queues(transport) < 0) {
        virtio_needs_reset(virtio, "no descriptor is left for a queue");
        return;
    }
    transport->status |= VIRTIO_STATUS_DRIVER_OK;
    if (virtio->class->activate)
        virtio->class->activate(virtio, false);
}

/* 3.1.1: what each step needs, and the device's answer to FEATURES_OK. */
static void write_status(struct virtio_transport *transport, uint32_t value)
{
    const uint32_t begun = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;
    uint32_t added = value & ~transport->status;

    if (value == 0) {
        transport_reset(transport);
        return;
    }
    transport->status |= added & (begun | VIRTIO_STATUS_FAILED);
    if ((added & VIRTIO_STATUS_FEATURES_OK) && (transport->status & begun) == begun &&
        features_are_accepted(transport))
        transport->status |= VIRTIO_STATUS_FEATURES_OK;
    if ((added & VIRTIO_STATUS_DRIVER_OK) && (transport->status & VIRTIO_STATUS_FEATURES_OK) &&
        !(transport->status & (VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED)))
        activate(transport);
}

/* ---- queues ------------------------------------------------------------- */

/* NULL: there is no such queue, as any number may stand in QUEUE_SEL. */
static struct virtqueue *selected(const struct virtio_transport *transport)
{
    return transport->queue_sel < transport->virtio->queue_count
               ? &transport->virtio->queues[transport->queue_sel]
               : NULL;
}

/* The address that FIELD is a half of; the fields stand in pairs. */
static uint64_t *address_of(struct virtqueue *queue, enum virtio_field field)
{
    if (field < VIRTIO_QUEUE_DRIVER_LOW)
        return &queue->desc_address;
    return field < VIRTIO_QUEUE_DEVICE_LOW ? &queue->avail_address : &queue->used_address;
}

static unsigned int half_of(enum virtio_field field)
{
    return (field - VIRTIO_QUEUE_DESC_LOW) % 2;
}

/* A driver that gives up takes its queues back. */
static void write_ready(struct virtio_transport *transport, struct virtqueue *queue,
                        uint32_t value)
{
    if (queue->ready && value == 0)
        queue->ready = false;
    else if (!queue->ready && value == 1 && virtqueue_enable(queue) < 0)
        virtio_needs_reset(transport->virtio, "a queue's size or addresses are wrong");
}

/* Only between FEATURES_OK and DRIVER_OK; a ready queue is frozen, too, but for its READY. */
static void write_queue(struct virtio_transport *transport, enum virtio_field field,
                        uint32_t value)
{
    struct virtqueue *queue = selected(transport);

    if (!queue || !(transport->status & VIRTIO_STATUS_FEATURES_OK) ||
        (transport->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)))
        return;
    if (field == VIRTIO_QUEUE_READY)
        write_ready(transport, queue, value);
    else if (queue->ready)
        return;
    else if (field == VIRTIO_QUEUE_SIZE)
        queue->size = value;
    else
        set_half(address_of(queue, field), half_of(field), value);
}

static uint32_t read_queue(const struct virtio_transport *transport, enum virtio_field field)
{
    struct virtqueue *queue = selected(transport);

    if (!queue)
        return 0;
    if (field == VIRTIO_QUEUE_SIZE_MAX)
        return queue->size_max;
    if (field == VIRTIO_QUEUE_SIZE)
        return queue->size;
    if (field == VIRTIO_QUEUE_READY)
        return queue->ready;
    return (uint32_t)(*address_of(queue, field) >> (32 * half_of(field)));
}

/* ---- fields of registers ------------------------------------------------ */

uint32_t virtio_transport_read(const struct virtio_transport *transport, enum virtio_field field)
{
    switch (field) {
    case VIRTIO_FIELD_NONE:
        return 0;
    case VIRTIO_DEVICE_FEATURES_SEL:
        return transport->device_features_sel;
    case VIRTIO_DEVICE_FEATURES:
        return page_of(transport_offered(transport), transport->device_features_sel);
    case VIRTIO_DRIVER_FEATURES_SEL:
        return transport->driver_features_sel;
    case VIRTIO_DRIVER_FEATURES:
        return page_of(transport->driver_features, transport->driver_features_sel);
    case VIRTIO_DEVICE_STATUS:
        return transport->status;
    case VIRTIO_CONFIG_GENERATION:
        return transport->generation;
    case VIRTIO_QUEUE_SEL:
        return transport->queue_sel;
    default:
        return field < VIRTIO_FIELD_COUNT ? read_queue(transport, field) : 0;
    }
}

void virtio_transport_write(struct virtio_transport *transport, enum virtio_field field,
                            uint32_t value)
{
    switch (field) {
    case VIRTIO_FIELD_NONE:
    case VIRTIO_DEVICE_FEATURES:
    case VIRTIO_CONFIG_GENERATION:
    case VIRTIO_QUEUE_SIZE_MAX:
        return;
    case VIRTIO_DEVICE_FEATURES_SEL:
        transport->device_features_sel = value;
        return;
    case VIRTIO_DRIVER_FEATURES_SEL:
        transport->driver_features_sel = value;
        return;
    case VIRTIO_DRIVER_FEATURES:
        write_driver_features(transport, value);
        return;
    case VIRTIO_DEVICE_STATUS:
        write_status(transport, value);
        return;
    case VIRTIO_QUEUE_SEL:
        transport->queue_sel = value;
        return;
    default:
        if (field < VIRTIO_FIELD_COUNT)
            write_queue(transport, field, value);
    }
}

/* ---- configuration space ------------------------------------------------ */

static bool is_inside_config(const struct virtio_transport *transport, uint64_t offset,
                             size_t length)
{
    uint32_t size = transport->virtio->class->config_size;

    return offset < size && length <= size - offset;
}

void virtio_transport_read_config(const struct virtio_transport *transport, uint64_t offset,
                                  uint8_t *bytes, size_t length)
{
    memset(bytes, 0, length);
    if (is_inside_config(transport, offset, length))
        memcpy(bytes, transport->virtio->config + offset, length);
}

void virtio_transport_write_config(struct virtio_transport *transport, uint64_t offset,
                                   const uint8_t *bytes, size_t length)
{
    struct virtio_device *virtio = transport->virtio;

    if (virtio->class->config_write && is_inside_config(transport, offset, length))
        virtio->class->config_write(virtio, (uint32_t)offset, bytes, length);
}

/* ---- life --------------------------------------------------------------- */

int virtio_transport_init(struct virtio_transport *transport, const struct device_ops *device_ops,
                          const struct virtio_transport_ops *ops, const struct device_env *env,
                          const struct virtio_transport_options *options, struct error *error)
{
    struct virtio_env virtio_env = {
        .memory = env->memory, .loop = env->loop, .lock = &transport->device.lock,
        .console = env->console, .log = env->log,
    };
    int result;

    device_init(&transport->device, device_ops);
    transport->ops = ops;
    transport->index = options->index;
    transport->loop = env->loop;
    transport->log = env->log;
    doorbells_init(transport);
    result = options->class->create(&transport->virtio, &virtio_env, options->device_options,
                                    error);
    if (result < 0) {
        device_release(&transport->device);
        return result;
    }
    transport->virtio->transport = transport;
    return 0;
}

void virtio_transport_release(struct virtio_transport *transport)
{
    transport_reset(transport);
    doorbells_release(transport);
    transport->virtio->class->destroy(transport->virtio);
    device_release(&transport->device);
}

void virtio_transport_drain(struct device *device)
{
    struct virtio_device *virtio = virtio_device_of(device);

    if (virtio->class->drain)
        virtio->class->drain(virtio);
}

struct virtio_device *virtio_device_of(struct device *device)
{
    return ((struct virtio_transport *)device)->virtio;
}
