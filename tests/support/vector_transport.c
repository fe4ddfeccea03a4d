/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vector_transport.h"

#include <stdlib.h>
#include <string.h>

#include "devices/virtio/transport.h"
#include "vmm/machine/state.h"

/* The registers have 32 bits each; a field's is at four times its number. */
enum {
    NOTIFY = 4 * VIRTIO_FIELD_COUNT,
    CONFIG_VECTOR = NOTIFY + 4,
    QUEUE_VECTOR = NOTIFY + 8, /* of the selected queue */
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
    uint32_t queue = vectors->transport.queue_sel;

    return queue < vectors->transport.virtio->queue_count ? &vectors->queue_vectors[queue] : NULL;
}

static void no_vectors(struct vectors *vectors)
{
    vectors->config_vector = VECTOR_NONE;
    for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
        vectors->queue_vectors[i] = VECTOR_NONE;
}

static uint32_t read_register(struct vectors *vectors, uint64_t offset)
{
    uint32_t *vector = offset == QUEUE_VECTOR ? selected_vector(vectors) : &vectors->config_vector;

    if (offset == CONFIG_VECTOR || offset == QUEUE_VECTOR)
        return vector ? *vector : VECTOR_NONE;
    return offset < NOTIFY ? virtio_transport_read(&vectors->transport, offset / 4) : 0;
}

static void write_register(struct vectors *vectors, uint64_t offset, uint32_t value)
{
    uint32_t *vector = offset == QUEUE_VECTOR ? selected_vector(vectors) : &vectors->config_vector;

    if (offset == NOTIFY) {
        virtio_transport_notified(&vectors->transport, value);
    } else if (offset == CONFIG_VECTOR || offset == QUEUE_VECTOR) {
        if (vector)
            *vector = value;
    } else {
        if (offset / 4 == VIRTIO_DEVICE_STATUS && value == 0)
            no_vectors(vectors);
        virtio_transport_write(&vectors->transport, offset / 4, value);
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
        uint64_t mmio;
        enum virtio_field field;
    } places[] = {
        { VIRTIO_MMIO_STATUS, VIRTIO_DEVICE_STATUS },
        { VIRTIO_MMIO_CONFIG_GENERATION, VIRTIO_CONFIG_GENERATION },
        { VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_DEVICE_FEATURES_SEL },
        { VIRTIO_MMIO_DEVICE_FEATURES, VIRTIO_DEVICE_FEATURES },
        { VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_DRIVER_FEATURES_SEL },
        { VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_DRIVER_FEATURES },
        { VIRTIO_MMIO_QUEUE_SEL, VIRTIO_QUEUE_SEL },
        { VIRTIO_MMIO_QUEUE_NUM_MAX, VIRTIO_QUEUE_SIZE_MAX },
        { VIRTIO_MMIO_QUEUE_NUM, VIRTIO_QUEUE_SIZE },
        { VIRTIO_MMIO_QUEUE_READY, VIRTIO_QUEUE_READY },
        { VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_QUEUE_DESC_LOW },
        { VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_QUEUE_DESC_HIGH },
        { VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_QUEUE_DRIVER_LOW },
        { VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_QUEUE_DRIVER_HIGH },
        { VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_QUEUE_DEVICE_LOW },
        { VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_QUEUE_DEVICE_HIGH },
    };

    if (offset >= VIRTIO_MMIO_CONFIG)
        return offset - VIRTIO_MMIO_CONFIG + CONFIG;
    if (offset == VIRTIO_MMIO_QUEUE_NOTIFY)
        return NOTIFY;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (places[i].mmio == offset)
            return 4ull * places[i].field;
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
