/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving and loading a virtio device: two sections, the transport's and the
 * device's own.
 *
 * What is loaded passes the checks that the driver's own writes met.  What KVM
 * does for busy queues is no state: a queue that is busy gets it again.
 * A notification may have been on its way, so every ready queue is kicked.
 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/transport_internal.h"
#include "vmm/machine/state.h"

#define VERSION_NOW 1
#define STATUS_BITS                                                                                \
    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |                  \
     VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED)
#define REASONS (VIRTIO_INTERRUPT_USED | VIRTIO_INTERRUPT_CONFIG)

/* Both follow after FEATURES_OK alone, and that after DRIVER. */
static bool status_is_valid(uint32_t status)
{
    const uint32_t begun = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

    return (status & ~STATUS_BITS) == 0 &&
           (!(status & VIRTIO_STATUS_FEATURES_OK) || (status & begun) == begun) &&
           (status & VIRTIO_STATUS_FEATURES_OK ||
            !(status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)));
}

/* The device may have been made with other options, or on another host. */
static void check_features(const struct virtio_transport *transport, struct state *state)
{
    uint64_t missing = transport->driver_features & ~transport_offered(transport) &
                       ~transport->virtio->class->dispensable;
    struct error error = ERROR_INIT;

    if (!(transport->status & VIRTIO_STATUS_FEATURES_OK))
        return;
    state_require(state, transport_features_are_whole(transport), "the driver's features");
    if (!missing)
        return;
    error_set(&error, ENOTSUP, "snapshot: section \"virtio\" %u: the guest's driver uses features "
              "that this %s does not offer (0x%llx); give it the options that it was saved with",
              transport->index, transport->virtio->class->name, (unsigned long long)missing);
    state_fail(state, &error);
}

/* Saved by reason: after loading, each queue is owed an interrupt where one was. */
static void owed_state(struct virtio_transport *transport, struct state *state)
{
    uint32_t owed = (transport->owed_queues ? VIRTIO_INTERRUPT_USED : 0) |
                    (transport->owed_config ? VIRTIO_INTERRUPT_CONFIG : 0);

    state_u32(state, &owed);
    state_require(state, (owed & ~REASONS) == 0, "the interrupt status");
    if (!state_is_loading(state))
        return;
    transport->owed_queues = owed & VIRTIO_INTERRUPT_USED ? UINT64_MAX : 0;
    transport->owed_config = owed & VIRTIO_INTERRUPT_CONFIG;
}

static void registers_state(struct virtio_transport *transport, struct state *state)
{
    uint32_t id = transport->virtio->class->id;
    uint16_t queues = transport->virtio->queue_count;
    uint64_t features = transport->driver_features;

    state_u32(state, &id);
    state_u16(state, &queues);
    state_require(state, id == transport->virtio->class->id, "the kind of device");
    state_require(state, queues == transport->virtio->queue_count, "the number of queues");
    state_u32(state, &transport->status);
    state_u32(state, &transport->device_features_sel);
    state_u32(state, &transport->driver_features_sel);
    /* Written as features that are not offered, which FEATURES_OK is refused for, too. */
    if (!state_is_loading(state) && transport->unknown_features)
        features |= ~transport_offered(transport);
    state_u64(state, &features);
    if (state_is_loading(state))
        transport->driver_features = features;
    state_u32(state, &transport->queue_sel);
    state_u32(state, &transport->interrupt_status);
    owed_state(transport, state);
    state_u32(state, &transport->generation);
    state_require(state, status_is_valid(transport->status), "the device's status");
    state_require(state, (transport->interrupt_status & ~REASONS) == 0, "the interrupt status");
    state_require(state,
                  transport->status & VIRTIO_STATUS_DRIVER_OK ||
                  !(transport->interrupt_status || transport->owed_queues || transport->owed_config),
                  "an interrupt before DRIVER_OK");
    if (state_is_loading(state))
        check_features(transport, state);
}

static void transport_state(struct virtio_transport *transport, struct state *state)
{
    struct virtio_device *virtio = transport->virtio;

    state_begin(state, "virtio", transport->index, VERSION_NOW);
    registers_state(transport, state);
    for (unsigned int i = 0; i < virtio->queue_count; i++) {
        struct virtqueue *queue = &virtio->queues[i];

        if (state_is_loading(state))
            queue->broken = transport->status & VIRTIO_STATUS_NEEDS_RESET;
        virtqueue_state(queue, state);
        state_require(state, !queue->ready || transport->status & VIRTIO_STATUS_FEATURES_OK,
                      "a queue before FEATURES_OK");
    }
    state_end(state);
}

/* Between the two sections: what the device's own may rely on. */
static void open_queues(struct virtio_transport *transport, struct state *state)
{
    struct error error = ERROR_INIT;
    int result;

    if (!state_is_sound(state) || !(transport->status & VIRTIO_STATUS_DRIVER_OK))
        return;
    result = transport_open_queues(transport);
    if (result == 0)
        return;
    error_system(&error, -result, "snapshot: the queues of virtio device %u", transport->index);
    state_fail(state, &error);
}

static void resume(struct virtio_transport *transport)
{
    struct virtio_device *virtio = transport->virtio;

    if (!(transport->status & VIRTIO_STATUS_DRIVER_OK))
        return;
    if (virtio->class->activate && !(transport->status & VIRTIO_STATUS_NEEDS_RESET))
        virtio->class->activate(virtio, true);
    for (unsigned int i = 0; i < virtio->queue_count; i++)
        if (virtio->queues[i].ready)
            doorbell_ring(transport, i);
}

void virtio_transport_state(struct device *device, struct state *state)
{
    struct virtio_transport *transport = (struct virtio_transport *)device;
    const struct virtio_device_class *class = transport->virtio->class;

    transport->loading = state_is_loading(state);
    transport_state(transport, state);
    if (transport->loading)
        open_queues(transport, state);
    if (class->state && state_is_sound(state)) {
        state_begin(state, class->name, transport->index, class->state_version);
        class->state(transport->virtio, state);
        state_end(state);
    }
    if (transport->loading && state_is_sound(state))
        resume(transport);
    else if (transport->loading)
        transport_reset(transport);
    transport->loading = false;
}
