/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/mmio_internal.h"

#define MAGIC 0x74726976u /* "virt" */
#define VENDOR 0x65746f6du /* "mote" */

#define RING_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

static struct virtio_mmio *of_transport(struct virtio_transport *transport)
{
    return (struct virtio_mmio *)(void *)((char *)transport -
                                          offsetof(struct virtio_mmio, transport));
}

/*
 * The lines are edge-triggered: each cause is an edge of its own.  A driver that
 * has not said DRIVER_OK must not be interrupted (2.1.2); it reads all anew then.
 */
static void interrupt(struct virtio_transport *transport, uint32_t reason)
{
    struct virtio_mmio *mmio = of_transport(transport);

    if (reason & VIRTIO_INTERRUPT_CONFIG) {
        shortcut_end(mmio);
        mmio->generation++;
    }
    if (!(mmio->status & STATUS_DRIVER_OK))
        return;
    /* The line may lead to a controller that is loaded later. */
    if (mmio->loading) {
        mmio->owed |= reason;
        return;
    }
    mmio->interrupt_status |= reason;
    shortcut_show_status(mmio);
    irq_line_pulse(&mmio->irq);
}

static void needs_reset(struct virtio_transport *transport, const char *why)
{
    struct virtio_mmio *mmio = of_transport(transport);

    if (mmio->status & STATUS_NEEDS_RESET)
        return;
    log_limited(mmio->log, &mmio->misbehaviour, LOG_WARN,
                "%s: the guest's driver broke the rules (%s); the device waits for its reset",
                mmio->options.class->name, why);
    shortcut_end(mmio);
    for (unsigned int i = 0; i < mmio->virtio->queue_count; i++)
        mmio->virtio->queues[i].broken = true;
    mmio->status |= STATUS_NEEDS_RESET;
    interrupt(transport, VIRTIO_INTERRUPT_CONFIG);
}

uint64_t mmio_offered(const struct virtio_mmio *mmio)
{
    return mmio->virtio->offered | RING_FEATURES;
}

/* The queue that QueueSel names, or NULL: any number may stand there. */
static struct virtqueue *selected_queue(struct virtio_mmio *mmio)
{
    return mmio->queue_sel < mmio->virtio->queue_count ? &mmio->virtio->queues[mmio->queue_sel]
                                                       : NULL;
}

static void kick_again(struct virtio_transport *transport, unsigned int queue)
{
    doorbell_ring(of_transport(transport), queue);
}

/* ---- life cycle --------------------------------------------------------- */

void mmio_reset(struct virtio_mmio *mmio)
{
    struct virtio_device *virtio = mmio->virtio;

    shortcut_end(mmio);
    for (unsigned int i = 0; i < virtio->queue_count; i++)
        doorbell_detach(mmio, i);
    /* The device stops first: after this nothing of it uses the rings. */
    if (virtio->class->reset)
        virtio->class->reset(virtio);
    for (unsigned int i = 0; i < virtio->queue_count; i++)
        virtqueue_reset(&virtio->queues[i]);
    virtio->negotiated = 0;
    mmio->status = 0;
    mmio->device_features_sel = mmio->driver_features_sel = 0;
    mmio->driver_features = 0;
    mmio->unknown_features = false;
    mmio->queue_sel = 0;
    mmio->interrupt_status = mmio->owed = 0;
}

int mmio_open_queues(struct virtio_mmio *mmio)
{
    struct virtio_device *virtio = mmio->virtio;
    int result = 0;

    virtio->negotiated = mmio->driver_features;
    for (unsigned int i = 0; result == 0 && i < virtio->queue_count; i++) {
        virtio->queues[i].event_idx = virtio_has(virtio, VIRTIO_F_EVENT_IDX);
        virtio->queues[i].indirect = virtio_has(virtio, VIRTIO_F_INDIRECT_DESC);
        if (virtio->queues[i].ready)
            result = doorbell_open(mmio, i);
    }
    return result;
}

static void activate(struct virtio_mmio *mmio)
{
    struct virtio_device *virtio = mmio->virtio;

    if (mmio_open_queues(mmio) < 0) {
        needs_reset(&mmio->transport, "no descriptor is left for a queue");
        return;
    }
    mmio->status |= STATUS_DRIVER_OK;
    if (virtio->class->activate)
        virtio->class->activate(virtio);
}

bool mmio_features_are_whole(const struct virtio_mmio *mmio)
{
    const struct virtio_feature_need *need = mmio->virtio->class->needs;

    if (!(mmio->driver_features & VIRTIO_F_VERSION_1))
        return false;
    for (; need && need->feature; need++)
        if ((mmio->driver_features & need->feature) && !(mmio->driver_features & need->one_of))
            return false;
    return true;
}

/* 3.1.1: what each step needs, and the device's answer to FEATURES_OK. */
static void write_status(struct virtio_mmio *mmio, uint32_t value)
{
    uint32_t added = value & ~mmio->status;

    if (value == 0) {
        mmio_reset(mmio);
        return;
    }
    mmio->status |= added & (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FAILED);
    if ((added & STATUS_FEATURES_OK) && (mmio->status & STATUS_DRIVER) && (mmio->status & STATUS_ACKNOWLEDGE) &&
        (mmio->driver_features & ~mmio_offered(mmio)) == 0 && !mmio->unknown_features && mmio_features_are_whole(mmio))
        mmio->status |= STATUS_FEATURES_OK;
    if ((added & STATUS_DRIVER_OK) && (mmio->status & STATUS_FEATURES_OK) &&
        !(mmio->status & (STATUS_NEEDS_RESET | STATUS_FAILED)))
        activate(mmio);
}

/* ---- registers ---------------------------------------------------------- */

uint32_t mmio_register(struct virtio_mmio *mmio, uint64_t offset)
{
    const struct virtqueue *queue = selected_queue(mmio);

    switch (offset) {
    case MAGIC_VALUE:
        return MAGIC;
    case VERSION:
        return 2;
    case DEVICE_ID:
        return mmio->virtio->class->id;
    case VENDOR_ID:
        return VENDOR;
    case DEVICE_FEATURES:
        if (mmio->device_features_sel > 1)
            return 0;
        return (uint32_t)(mmio_offered(mmio) >> (32 * mmio->device_features_sel));
    case QUEUE_SIZE_MAX:
        return queue ? queue->size_max : 0;
    case QUEUE_READY:
        return queue ? queue->ready : 0;
    case INTERRUPT_STATUS:
        return mmio->interrupt_status;
    case STATUS:
        return mmio->status;
    case CONFIG_GENERATION:
        return mmio->generation;
    }
    /* 4.2.2: the length and base of a region that does not exist are -1. */
    return offset >= SHM_LENGTH_LOW && offset <= SHM_BASE_HIGH ? UINT32_MAX : 0;
}

static void set_low(uint64_t *address, uint32_t value)
{
    *address = (*address & ~(uint64_t)UINT32_MAX) | value;
}

static void set_high(uint64_t *address, uint32_t value)
{
    *address = (*address & UINT32_MAX) | (uint64_t)value << 32;
}

/*
 * Only between FEATURES_OK and DRIVER_OK: then all is frozen.  A ready queue takes
 * no more than 0 in QueueReady, by which a driver that gives up takes it back.
 */
static void write_queue_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    struct virtqueue *queue = selected_queue(mmio);

    if (!queue || !(mmio->status & STATUS_FEATURES_OK) ||
        (mmio->status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)))
        return;
    if (queue->ready) {
        if (offset == QUEUE_READY && value == 0)
            queue->ready = false;
        return;
    }
    switch (offset) {
    case QUEUE_SIZE:
        queue->size = value;
        break;
    case QUEUE_DESC_LOW:
        set_low(&queue->desc_address, value);
        break;
    case QUEUE_DESC_HIGH:
        set_high(&queue->desc_address, value);
        break;
    case QUEUE_DRIVER_LOW:
        set_low(&queue->avail_address, value);
        break;
    case QUEUE_DRIVER_HIGH:
        set_high(&queue->avail_address, value);
        break;
    case QUEUE_DEVICE_LOW:
        set_low(&queue->used_address, value);
        break;
    case QUEUE_DEVICE_HIGH:
        set_high(&queue->used_address, value);
        break;
    case QUEUE_READY:
        if (value == 1 && virtqueue_enable(queue) < 0)
            needs_reset(&mmio->transport, "a queue's size or addresses are wrong");
        break;
    }
}

static void write_driver_features(struct virtio_mmio *mmio, uint32_t value)
{
    if (mmio->status & STATUS_FEATURES_OK)
        return;
    if (mmio->driver_features_sel == 0)
        set_low(&mmio->driver_features, value);
    else if (mmio->driver_features_sel == 1)
        set_high(&mmio->driver_features, value);
    else if (value != 0)
        mmio->unknown_features = true; /* FEATURES_OK will be refused until a reset */
}

static void acknowledge(struct virtio_mmio *mmio, uint32_t reasons)
{
    mmio->interrupt_status &= ~reasons;
    shortcut_show_status(mmio);
}

/* Of the set-up: what a running driver does not write. */
static void write_set_up(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    shortcut_end(mmio);
    switch (offset) {
    case DEVICE_FEATURES_SEL:
        mmio->device_features_sel = value;
        break;
    case DRIVER_FEATURES:
        write_driver_features(mmio, value);
        break;
    case DRIVER_FEATURES_SEL:
        mmio->driver_features_sel = value;
        break;
    case QUEUE_SEL:
        mmio->queue_sel = value;
        break;
    case STATUS:
        write_status(mmio, value);
        break;
    default:
        write_queue_register(mmio, offset, value);
    }
}

static void write_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    if (offset == QUEUE_NOTIFY)
        doorbell_notified(mmio, value);
    else if (offset == INTERRUPT_ACK)
        acknowledge(mmio, value);
    else
        write_set_up(mmio, offset, value);
}

/* ---- the bus's side ----------------------------------------------------- */

/* Configuration space may be read in any width (4.2.2.2); beyond it are zeroes. */
static void read_config(struct virtio_mmio *mmio, uint64_t offset, uint8_t *bytes, size_t length)
{
    uint32_t size = mmio->virtio->class->config_size;

    memset(bytes, 0, length);
    if (offset < size && length <= size - offset)
        memcpy(bytes, mmio->virtio->config + offset, length);
}

static void mmio_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    struct virtio_mmio *mmio = (struct virtio_mmio *)device;
    uint32_t value;

    if (offset >= CONFIG) {
        read_config(mmio, offset - CONFIG, bytes, length);
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
    const struct virtio_device_class *class = mmio->virtio->class;
    uint32_t value;

    if (offset >= CONFIG) {
        offset -= CONFIG;
        shortcut_end(mmio);
        if (class->config_write && offset < class->config_size &&
            length <= class->config_size - offset)
            class->config_write(mmio->virtio, (uint32_t)offset, bytes, length);
        return;
    }
    if (length != sizeof(value) || offset % sizeof(value))
        return;
    memcpy(&value, bytes, sizeof(value));
    write_register(mmio, offset, value);
}

static int mmio_create(struct device **device, const struct device_env *env, const void *options,
                       struct error *error)
{
    struct virtio_mmio *mmio = calloc(1, sizeof(*mmio));
    struct virtio_env virtio_env;
    int result;

    if (!mmio)
        return error_system(error, ENOMEM, "virtio device");
    device_init(&mmio->device, &virtio_mmio_ops);
    mmio->transport = (struct virtio_transport){
        .interrupt = interrupt, .needs_reset = needs_reset, .kick_again = kick_again,
    };
    mmio->options = *(const struct virtio_mmio_options *)options;
    mmio->irq = env->irq;
    mmio->loop = env->loop;
    mmio->log = env->log;
    doorbells_init(mmio);
    virtio_env = (struct virtio_env){
        .memory = env->memory, .loop = env->loop, .lock = &mmio->device.lock,
        .console = env->console, .log = env->log,
    };
    result = mmio->options.class->create(&mmio->virtio, &virtio_env,
                                         mmio->options.device_options, error);
    if (result < 0) {
        device_release(&mmio->device);
        free(mmio);
        return result;
    }
    mmio->virtio->transport = &mmio->transport;
    *device = &mmio->device;
    return 0;
}

static void mmio_destroy(struct device *device)
{
    struct virtio_mmio *mmio = (struct virtio_mmio *)device;

    mmio_reset(mmio);
    doorbells_release(mmio);
    shortcut_release(mmio);
    mmio->virtio->class->destroy(mmio->virtio);
    device_release(device);
    free(mmio);
}

struct virtio_device *virtio_mmio_device(struct device *device)
{
    return ((struct virtio_mmio *)device)->virtio;
}

const struct device_ops virtio_mmio_ops = {
    .name = "virtio-mmio",
    .create = mmio_create,
    .destroy = mmio_destroy,
    .read = mmio_read,
    .write = mmio_write,
    .state = mmio_state,
    .drain = mmio_drain,
};
