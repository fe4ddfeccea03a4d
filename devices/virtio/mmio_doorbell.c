/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio/mmio_internal.h"
#include "vmm/base/cleanup.h"

void doorbells_init(struct virtio_mmio *mmio)
{
    for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
        mmio->doorbells[i] = (struct doorbell){ .mmio = mmio, .event_fd = -1 };
}

void doorbells_release(struct virtio_mmio *mmio)
{
    for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        if (mmio->doorbells[i].event_fd < 0)
            continue;
        event_loop_remove(mmio->loop, mmio->doorbells[i].event_fd);
        close(mmio->doorbells[i].event_fd);
    }
}

static void rang(void *context, uint32_t events)
{
    struct doorbell *doorbell = context;
    struct virtio_mmio *mmio = doorbell->mmio;
    unsigned int queue = (unsigned int)(doorbell - mmio->doorbells);

    (void)events;
    mmio_interrupt_owed(mmio);
    /* It may have rung before a reset. */
    if (mmio->status & STATUS_DRIVER_OK && !(mmio->status & STATUS_NEEDS_RESET) &&
        mmio->virtio->queues[queue].ready)
        mmio->options.class->kick(mmio->virtio, queue);
}

int doorbell_open(struct virtio_mmio *mmio, unsigned int queue)
{
    struct doorbell *doorbell = &mmio->doorbells[queue];
    /* Each write is an edge of its own, so nobody needs to read the count. */
    struct event_source source = {
        .events = EPOLLIN | EPOLLET,
        .handler = rang,
        .context = doorbell,
        .lock = &mmio->device.lock,
    };
    cleanup_fd int fd = -1;
    int result;

    if (doorbell->event_fd >= 0)
        return 0;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    source.fd = fd;
    result = event_loop_add(mmio->loop, &source);
    if (result == 0)
        doorbell->event_fd = steal_fd(&fd);
    return result;
}

void doorbell_detach(struct virtio_mmio *mmio, unsigned int queue)
{
    struct doorbell *doorbell = &mmio->doorbells[queue];

    if (doorbell->attached)
        mmio->options.doorbell.detach(mmio->options.doorbell.context,
                                      mmio->options.base + QUEUE_NOTIFY, queue,
                                      doorbell->event_fd);
    doorbell->attached = false;
    doorbell->kicks = 0;
}

void doorbell_ring(struct virtio_mmio *mmio, unsigned int queue)
{
    /* Only a counter at its end could refuse: 2^64 - 1 notifications. */
    if (mmio->doorbells[queue].event_fd >= 0)
        eventfd_write(mmio->doorbells[queue].event_fd, 1);
}

void doorbell_notified(struct virtio_mmio *mmio, uint32_t queue)
{
    struct doorbell *doorbell;

    if (queue >= mmio->virtio->queue_count || !(mmio->status & STATUS_DRIVER_OK))
        return;
    doorbell = &mmio->doorbells[queue];
    if (doorbell->event_fd < 0)
        return;
    doorbell_ring(mmio, queue);
    if (doorbell->attached || ++doorbell->kicks < BUSY || !mmio->options.doorbell.attach)
        return;
    /* Where KVM refuses, plain exits go on serving; do not ask each time. */
    doorbell->kicks = 0;
    doorbell->attached =
        mmio->options.doorbell.attach(mmio->options.doorbell.context,
                                      mmio->options.base + QUEUE_NOTIFY, queue,
                                      doorbell->event_fd) == 0;
}
