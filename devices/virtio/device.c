/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/device.h"

void virtio_device_init(struct virtio_device *device, const struct virtio_device_class *class,
                        const struct virtio_env *env, uint16_t queue_count, uint64_t features,
                        uint8_t *config)
{
    *device = (struct virtio_device){
        .class = class,
        .env = *env,
        .offered = features,
        .queue_count = queue_count,
        .config = config,
    };
    for (unsigned int i = 0; i < queue_count; i++)
        virtqueue_init(&device->queues[i], env->memory, class->queue_size);
}

void virtio_notify(struct virtio_device *device, unsigned int queue)
{
    if (virtqueue_wants_interrupt(&device->queues[queue]))
        device->transport->interrupt(device->transport, VIRTIO_INTERRUPT_USED);
}

void virtio_kick_again(struct virtio_device *device, unsigned int queue)
{
    device->transport->kick_again(device->transport, queue);
}

void virtio_config_changed(struct virtio_device *device)
{
    device->transport->interrupt(device->transport, VIRTIO_INTERRUPT_CONFIG);
}

void virtio_needs_reset(struct virtio_device *device, const char *why)
{
    device->transport->needs_reset(device->transport, why);
}
