/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio/transport_internal.h"
#include "vmm/base/cleanup.h"

void doorbells_init(struct virtio_transport *transport)
{
    for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
        transport->doorbells[i] = (struct virtio_doorbell){
            .transport = transport, .event_fd = -1,
        };
}

void doorbells_release(struct virtio_transport *transport)
{
    for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        if (transport->doorbells[i].event_fd < 0)
            continue;
        event_loop_remove(transport->loop, transport->doorbells[i].event_fd);
        close(transport->doorbells[i].event_fd);
    }
}

static void serve_queue(void *context, uint32_t events)
{
    struct virtio_doorbell *doorbell = context;
    struct virtio_transport *transport = doorbell->transport;
    unsigned int queue = (unsigned int)(doorbell - transport->doorbells);

    (void)events;
    if (transport->owed_config || transport->owed_queues)
        transport_interrupt_owed(transport);
    /* The notification may be older than a reset. */
    if ((transport->status & VIRTIO_STATUS_DRIVER_OK) &&
        !(transport->status & VIRTIO_STATUS_NEEDS_RESET) &&
        transport->virtio->queues[queue].ready)
        transport->virtio->class->kick(transport->virtio, queue);
}

int doorbell_open(struct virtio_transport *transport, unsigned int queue)
{
    struct virtio_doorbell *doorbell = &transport->doorbells[queue];
    /* Each write is an edge of its own, so nobody needs to read the count. */
    struct event_source source = {
        .events = EPOLLIN | EPOLLET,
        .handler = serve_queue,
        .context = doorbell,
        .lock = &transport->device.lock,
    };
    cleanup_fd int fd = -1;
    int result;

    if (doorbell->event_fd >= 0)
        return 0;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    source.fd = fd;
    result = event_loop_add(transport->loop, &source);
    if (result == 0)
        doorbell->event_fd = steal_fd(&fd);
    return result;
}

void doorbell_detach(struct virtio_transport *transport, unsigned int queue)
{
    struct virtio_doorbell *doorbell = &transport->doorbells[queue];

    if (doorbell->attached)
        transport->ops->detach(transport, queue, doorbell->event_fd);
    doorbell->attached = false;
    doorbell->kicks = 0;
}

void doorbell_ring(struct virtio_transport *transport, unsigned int queue)
{
    /* Only a counter at its end could refuse: 2^64 - 1 notifications. */
    if (transport->doorbells[queue].event_fd >= 0)
        eventfd_write(transport->doorbells[queue].event_fd, 1);
}

void virtio_transport_notified(struct virtio_transport *transport, uint32_t queue)
{
    struct virtio_doorbell *doorbell;

    if (queue >= transport->virtio->queue_count ||
        !(transport->status & VIRTIO_STATUS_DRIVER_OK))
        return;
    doorbell = &transport->doorbells[queue];
    if (doorbell->event_fd < 0)
        return;
    doorbell_ring(transport, queue);
    if (doorbell->attached || ++doorbell->kicks < VIRTIO_BUSY || !transport->ops->attach)
        return;
    /* Where KVM refuses, notifications stay plain exits; KVM is not asked each time. */
    doorbell->kicks = 0;
    doorbell->attached = transport->ops->attach(transport, queue, doorbell->event_fd) == 0;
}
