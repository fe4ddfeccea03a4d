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

uint32_t virtio_transport_device_features(const struct virtio_transport *transport)
{
    uint32_t page = transport->device_features_sel;

    return page > 1 ? 0 : (uint32_t)(transport_offered(transport) >> (32 * page));
}

void virtio_transport_write_driver_features(struct virtio_transport *transport, uint32_t value)
{
    uint32_t page = transport->driver_features_sel;
    uint64_t others;

    if (transport->status & VIRTIO_STATUS_FEATURES_OK)
        return;
    if (page > 1) {
        /* FEATURES_OK will be refused until a reset. */
        transport->unknown_features = transport->unknown_features || value != 0;
        return;
    }
    others = transport->driver_features & ~((uint64_t)UINT32_MAX << (32 * page));
    transport->driver_features = others | (uint64_t)value << (32 * page);
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
void virtio_transport_write_status(struct virtio_transport *transport, uint32_t value)
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

static struct virtqueue *selected(const struct virtio_transport *transport)
{
    return transport->queue_sel < transport->virtio->queue_count
               ? &transport->virtio->queues[transport->queue_sel]
               : NULL;
}

const struct virtqueue *virtio_transport_queue(const struct virtio_transport *transport)
{
    return selected(transport);
}

/* Only between FEATURES_OK and DRIVER_OK: then all is frozen. */
static bool in_setup(const struct virtio_transport *transport)
{
    return (transport->status & VIRTIO_STATUS_FEATURES_OK) &&
           !(transport->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET));
}

struct virtqueue *virtio_transport_queue_in_setup(struct virtio_transport *transport)
{
    struct virtqueue *queue = selected(transport);

    return queue && in_setup(transport) && !queue->ready ? queue : NULL;
}

/* A driver that gives up takes its queues back. */
void virtio_transport_write_queue_ready(struct virtio_transport *transport, uint32_t value)
{
    struct virtqueue *queue = selected(transport);

    if (!queue || !in_setup(transport))
        return;
    if (queue->ready && value == 0)
        queue->ready = false;
    else if (!queue->ready && value == 1 && virtqueue_enable(queue) < 0)
        virtio_needs_reset(transport->virtio, "a queue's size or addresses are wrong");
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
