/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving and loading a virtio device: two sections, the transport's and the
 * device's own.
 *
 * What is loaded passes the checks that the driver's own writes met.  Doorbells
 * in KVM and the shortcut are no state: a queue that is busy gets them again.
 * A notification may have been on its way, so every ready queue is kicked.
 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/mmio_internal.h"
#include "vmm/machine/state.h"

#define VERSION_NOW 1
#define STATUS_BITS                                                                                \
    (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK | STATUS_FEATURES_OK |                  \
     STATUS_NEEDS_RESET | STATUS_FAILED)
#define REASONS (VIRTIO_INTERRUPT_USED | VIRTIO_INTERRUPT_CONFIG)

/* Both follow after FEATURES_OK alone, and that after DRIVER. */
static bool status_is_valid(uint32_t status)
{
    const uint32_t begun = STATUS_ACKNOWLEDGE | STATUS_DRIVER;

    return (status & ~STATUS_BITS) == 0 &&
           (!(status & STATUS_FEATURES_OK) || (status & begun) == begun) &&
           (status & STATUS_FEATURES_OK || !(status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)));
}

/* The device may have been made with other options, or on another host. */
static void check_features(const struct virtio_mmio *mmio, struct state *state)
{
    uint64_t missing = mmio->driver_features & ~mmio_offered(mmio) &
                       ~mmio->virtio->class->dispensable;
    struct error error = ERROR_INIT;

    if (!(mmio->status & STATUS_FEATURES_OK))
        return;
    state_require(state, mmio_features_are_whole(mmio), "the driver's features");
    if (!missing)
        return;
    error_set(&error, ENOTSUP, "snapshot: section \"virtio\" %u: the guest's driver uses features "
              "that this %s does not offer (0x%llx); give it the options that it was saved with",
              mmio->options.index, mmio->virtio->class->name, (unsigned long long)missing);
    state_fail(state, &error);
}

static void registers_state(struct virtio_mmio *mmio, struct state *state)
{
    uint32_t id = mmio->virtio->class->id;
    uint16_t queues = mmio->virtio->queue_count;
    uint64_t features = mmio->driver_features;

    state_u32(state, &id);
    state_u16(state, &queues);
    state_require(state, id == mmio->virtio->class->id, "the kind of device");
    state_require(state, queues == mmio->virtio->queue_count, "the number of queues");
    state_u32(state, &mmio->status);
    state_u32(state, &mmio->device_features_sel);
    state_u32(state, &mmio->driver_features_sel);
    /* Written as features that are not offered, which FEATURES_OK is refused for, too. */
    if (!state_is_loading(state) && mmio->unknown_features)
        features |= ~mmio_offered(mmio);
    state_u64(state, &features);
    if (state_is_loading(state))
        mmio->driver_features = features;
    state_u32(state, &mmio->queue_sel);
    state_u32(state, &mmio->interrupt_status);
    state_u32(state, &mmio->owed);
    state_u32(state, &mmio->generation);
    state_require(state, status_is_valid(mmio->status), "the device's status");
    state_require(state, ((mmio->interrupt_status | mmio->owed) & ~REASONS) == 0,
                  "the interrupt status");
    state_require(state,
                  (mmio->interrupt_status | mmio->owed) == 0 || mmio->status & STATUS_DRIVER_OK,
                  "an interrupt before DRIVER_OK");
    if (state_is_loading(state))
        check_features(mmio, state);
}

static void transport_state(struct virtio_mmio *mmio, struct state *state)
{
    struct virtio_device *virtio = mmio->virtio;

    state_begin(state, "virtio", mmio->options.index, VERSION_NOW);
    registers_state(mmio, state);
    for (unsigned int i = 0; i < virtio->queue_count; i++) {
        struct virtqueue *queue = &virtio->queues[i];

        if (state_is_loading(state))
            queue->broken = mmio->status & STATUS_NEEDS_RESET;
        virtqueue_state(queue, state);
        state_require(state, !queue->ready || mmio->status & STATUS_FEATURES_OK,
                      "a queue before FEATURES_OK");
    }
    state_end(state);
}

/* Between the two sections: what the device's own may rely on. */
static void open_queues(struct virtio_mmio *mmio, struct state *state)
{
    struct error error = ERROR_INIT;
    int result;

    if (!state_is_sound(state) || !(mmio->status & STATUS_DRIVER_OK))
        return;
    result = mmio_open_queues(mmio);
    if (result == 0)
        return;
    error_system(&error, -result, "snapshot: the queues of virtio device %u",
                 mmio->options.index);
    state_fail(state, &error);
}

void mmio_interrupt_owed(struct virtio_mmio *mmio)
{
    if (!mmio->owed)
        return;
    mmio->interrupt_status |= mmio->owed;
    mmio->owed = 0;
    irq_line_pulse(&mmio->irq);
}

static void resume(struct virtio_mmio *mmio)
{
    struct virtio_device *virtio = mmio->virtio;
    bool stands_still = mmio->status & STATUS_NEEDS_RESET;

    if (!(mmio->status & STATUS_DRIVER_OK))
        return;
    if (virtio->class->resume && !stands_still)
        virtio->class->resume(virtio);
    else if (virtio->class->activate && !stands_still)
        virtio->class->activate(virtio);
    for (unsigned int i = 0; i < virtio->queue_count; i++)
        if (virtio->queues[i].ready)
            doorbell_ring(mmio, i);
}

void mmio_state(struct device *device, struct state *state)
{
    struct virtio_mmio *mmio = (struct virtio_mmio *)device;
    const struct virtio_device_class *class = mmio->virtio->class;

    mmio->loading = state_is_loading(state);
    transport_state(mmio, state);
    if (mmio->loading)
        open_queues(mmio, state);
    if (class->state && state_is_sound(state)) {
        state_begin(state, class->name, mmio->options.index, class->state_version);
        class->state(mmio->virtio, state);
        state_end(state);
    }
    if (mmio->loading && state_is_sound(state))
        resume(mmio);
    else if (mmio->loading)
        mmio_reset(mmio);
    mmio->loading = false;
}

void mmio_drain(struct device *device)
{
    struct virtio_mmio *mmio = (struct virtio_mmio *)device;

    if (mmio->virtio->class->drain)
        mmio->virtio->class->drain(mmio->virtio);
}
