/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vector_transport.h"

#include <stdlib.h>
#include <string.h>

#include "devices/virtio/transport.h"
#include "vmm/machine/state.h"

/* The registers have 32 bits each. */
enum {
    STATUS = 0x00,
    GENERATION = 0x04,
    DEVICE_FEATURES_SEL = 0x08,
    DEVICE_FEATURES = 0x0c,
    DRIVER_FEATURES_SEL = 0x10,
    DRIVER_FEATURES = 0x14,
    CONFIG_VECTOR = 0x18,
    QUEUE_SEL = 0x1c,
    QUEUE_SIZE_MAX = 0x20,
    QUEUE_SIZE = 0x24,
    QUEUE_VECTOR = 0x28,
    QUEUE_READY = 0x2c,
    QUEUE_DESC = 0x30, /* the halves of three addresses */
    QUEUE_AVAIL = 0x38,
    QUEUE_USED = 0x40,
    NOTIFY = 0x48,
    CONFIG = 0x200,
};

struct vector_options {
    struct virtio_transport_options virtio;
    struct fake_driver *driver; /* whom the vectors reach, and who is KVM */
};

struct vectors {
    struct virtio_transport transport;
    struct fake_driver *driver;
    uint32_t config_vector;
    uint32_t queue_vectors[VIRTIO_QUEUES_MAX];
};

/* ---- interrupts and doorbells ------------------------------------------- */

static void message(struct vectors *vectors, uint32_t vector)
{
    assert_true(vectors->transport.status & VIRTIO_STATUS_DRIVER_OK);
    assert_false(vectors->transport.loading);
    if (vector > VIRTIO_QUEUES_MAX)
        return;
    vectors->driver->vectors[vector]++;
    vectors->driver->messages++;
}

static void interrupt(struct virtio_transport *transport, unsigned int queue)
{
    struct vectors *vectors = (struct vectors *)transport;

    message(vectors, vectors->queue_vectors[queue]);
}

static void config_changed(struct virtio_transport *transport)
{
    struct vectors *vectors = (struct vectors *)transport;

    message(vectors, vectors->config_vector);
}

static int attach(struct virtio_transport *transport, unsigned int queue, int event_fd)
{
    return fake_doorbell_attach(&((struct vectors *)transport)->driver->doorbell,
                                FAKE_WINDOW_BASE + NOTIFY, queue, event_fd);
}

static void detach(struct virtio_transport *transport, unsigned int queue, int event_fd)
{
    struct fake_doorbell *doorbell = &((struct vectors *)transport)->driver->doorbell;

    (void)queue;
    (void)event_fd;
    assert_true(doorbell->attached > 0);
    doorbell->attached--;
}

/* ---- registers ---------------------------------------------------------- */

/* Of the selected queue; NULL: there is none. */
static uint32_t *selected_vector(struct vectors *vectors)
{
    return virtio_transport_queue(&vectors->transport)
               ? &vectors->queue_vectors[vectors->transport.queue_sel]
               : NULL;
}

static void no_vectors(struct vectors *vectors)
{
    vectors->config_vector = VECTOR_NONE;
    for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
        vectors->queue_vectors[i] = VECTOR_NONE;
}

static uint32_t read_register(struct vectors *vectors, uint64_t offset)
{
    const struct virtio_transport *transport = &vectors->transport;
    const struct virtqueue *queue = virtio_transport_queue(transport);

    switch (offset) {
    case STATUS:
        return transport->status;
    case GENERATION:
        return transport->generation;
    case DEVICE_FEATURES:
        return virtio_transport_device_features(transport);
    case CONFIG_VECTOR:
        return vectors->config_vector;
    case QUEUE_SIZE_MAX:
        return queue ? queue->size_max : 0;
    case QUEUE_VECTOR:
        return queue ? *selected_vector(vectors) : VECTOR_NONE;
    case QUEUE_READY:
        return queue ? queue->ready : 0;
    }
    return 0;
}

static void write_half(uint64_t *address, uint64_t offset, uint32_t value)
{
    memcpy((uint8_t *)address + offset % 8, &value, sizeof(value));
}

static void write_queue(struct vectors *vectors, uint64_t offset, uint32_t value)
{
    struct virtqueue *queue = virtio_transport_queue_in_setup(&vectors->transport);

    if (!queue)
        return;
    if (offset == QUEUE_SIZE)
        queue->size = value;
    else if (offset == QUEUE_VECTOR)
        *selected_vector(vectors) = value;
    else if (offset >= QUEUE_DESC && offset < QUEUE_AVAIL)
        write_half(&queue->desc_address, offset, value);
    else if (offset >= QUEUE_AVAIL && offset < QUEUE_USED)
        write_half(&queue->avail_address, offset, value);
    else if (offset >= QUEUE_USED && offset < NOTIFY)
        write_half(&queue->used_address, offset, value);
}

static void write_register(struct vectors *vectors, uint64_t offset, uint32_t value)
{
    struct virtio_transport *transport = &vectors->transport;

    switch (offset) {
    case STATUS:
        if (value == 0)
            no_vectors(vectors);
        virtio_transport_write_status(transport, value);
        break;
    case DEVICE_FEATURES_SEL:
        transport->device_features_sel = value;
        break;
    case DRIVER_FEATURES_SEL:
        transport->driver_features_sel = value;
        break;
    case DRIVER_FEATURES:
        virtio_transport_write_driver_features(transport, value);
        break;
    case CONFIG_VECTOR:
        vectors->config_vector = value;
        break;
    case QUEUE_SEL:
        transport->queue_sel = value;
        break;
    case QUEUE_READY:
        virtio_transport_write_queue_ready(transport, value);
        break;
    case NOTIFY:
        virtio_transport_notified(transport, value);
        break;
    default:
        write_queue(vectors, offset, value);
    }
}

static void vector_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    struct vectors *vectors = (struct vectors *)device;
    uint32_t value;

    if (offset >= CONFIG) {
        virtio_transport_read_config(&vectors->transport, offset - CONFIG, bytes, length);
        return;
    }
    memset(bytes, 0, length);
    value = read_register(vectors, offset);
    memcpy(bytes, &value, length < sizeof(value) ? length : sizeof(value));
}

static void vector_write(struct device *device, uint64_t offset, const uint8_t *bytes,
                         size_t length)
{
    struct vectors *vectors = (struct vectors *)device;
    uint32_t value;

    if (offset >= CONFIG) {
        virtio_transport_write_config(&vectors->transport, offset - CONFIG, bytes, length);
        return;
    }
    assert_int_equal(length, sizeof(value));
    memcpy(&value, bytes, sizeof(value));
    write_register(vectors, offset, value);
}

/* ---- life --------------------------------------------------------------- */

static const struct virtio_transport_ops transport_ops = {
    .interrupt = interrupt, .config_changed = config_changed, .attach = attach, .detach = detach,
};

static const struct device_ops vector_ops;

static int vector_create(struct device **device, const struct device_env *env,
                         const void *options, struct error *error)
{
    const struct vector_options *wanted = options;
    struct vectors *vectors = calloc(1, sizeof(*vectors));
    int result;

    assert_non_null(vectors);
    vectors->driver = wanted->driver;
    no_vectors(vectors);
    result = virtio_transport_init(&vectors->transport, &vector_ops, &transport_ops, env,
                                   &wanted->virtio, error);
    if (result < 0)
        free(vectors);
    else
        *device = &vectors->transport.device;
    return result;
}

static void vector_destroy(struct device *device)
{
    virtio_transport_release((struct virtio_transport *)device);
    free(device);
}

/* Vectors first: a device that is loaded may interrupt. */
static void vector_state(struct device *device, struct state *state)
{
    struct vectors *vectors = (struct vectors *)device;

    state_begin(state, "vectors", vectors->transport.index, 1);
    state_u32(state, &vectors->config_vector);
    for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
        state_u32(state, &vectors->queue_vectors[i]);
    state_end(state);
    virtio_transport_state(device, state);
}

static const struct device_ops vector_ops = {
    .name = "virtio-vectors",
    .create = vector_create,
    .destroy = vector_destroy,
    .read = vector_read,
    .write = vector_write,
    .state = vector_state,
    .drain = virtio_transport_drain,
};

/* ---- the driver's side -------------------------------------------------- */

static struct device *make(struct fake_driver *driver,
                           const struct virtio_transport_options *virtio)
{
    const struct vector_options options = { .virtio = *virtio, .driver = driver };

    return device_make(driver->fixture, &vector_ops, &options);
}

static uint64_t place(uint64_t offset)
{
    static const struct {
        uint64_t mmio, here;
    } places[] = {
        { VIRTIO_MMIO_STATUS, STATUS },
        { VIRTIO_MMIO_CONFIG_GENERATION, GENERATION },
        { VIRTIO_MMIO_DEVICE_FEATURES_SEL, DEVICE_FEATURES_SEL },
        { VIRTIO_MMIO_DEVICE_FEATURES, DEVICE_FEATURES },
        { VIRTIO_MMIO_DRIVER_FEATURES_SEL, DRIVER_FEATURES_SEL },
        { VIRTIO_MMIO_DRIVER_FEATURES, DRIVER_FEATURES },
        { VIRTIO_MMIO_QUEUE_SEL, QUEUE_SEL },
        { VIRTIO_MMIO_QUEUE_NUM_MAX, QUEUE_SIZE_MAX },
        { VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE },
        { VIRTIO_MMIO_QUEUE_READY, QUEUE_READY },
        { VIRTIO_MMIO_QUEUE_DESC_LOW, QUEUE_DESC },
        { VIRTIO_MMIO_QUEUE_DESC_HIGH, QUEUE_DESC + 4 },
        { VIRTIO_MMIO_QUEUE_AVAIL_LOW, QUEUE_AVAIL },
        { VIRTIO_MMIO_QUEUE_AVAIL_HIGH, QUEUE_AVAIL + 4 },
        { VIRTIO_MMIO_QUEUE_USED_LOW, QUEUE_USED },
        { VIRTIO_MMIO_QUEUE_USED_HIGH, QUEUE_USED + 4 },
        { VIRTIO_MMIO_QUEUE_NOTIFY, NOTIFY },
    };

    if (offset >= VIRTIO_MMIO_CONFIG)
        return offset - VIRTIO_MMIO_CONFIG + CONFIG;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (places[i].mmio == offset)
            return places[i].here;
    fail_msg("this transport has no register like virtio-mmio's %#llx",
             (unsigned long long)offset);
    return 0;
}

static void write_vector(struct fake_driver *driver, uint64_t offset, uint32_t vector)
{
    device_write(driver->device, offset, (const uint8_t *)&vector, sizeof(vector));
}

static void choose_vector(struct fake_driver *driver, unsigned int source)
{
    if (source == FAKE_CONFIG)
        write_vector(driver, CONFIG_VECTOR, 0);
    else
        write_vector(driver, QUEUE_VECTOR, source + 1);
}

static bool heard(struct fake_driver *driver, unsigned int source)
{
    unsigned int *count = &driver->vectors[source == FAKE_CONFIG ? 0 : source + 1];
    bool some = *count > 0;

    *count = 0;
    return some;
}

const struct fake_transport fake_vectors = {
    .name = "vectors",
    .make = make,
    .place = place,
    .prepare_interrupt = choose_vector,
    .heard = heard,
};
