/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/device.h"

#include "devices/rate_limit.h"

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

void virtio_serve(struct virtio_device *device, unsigned int queue, struct rate_limit *limit,
                  virtio_chain_server server, const char *why)
{
    struct virtqueue *chains = &device->queues[queue];
    struct iovec segments[VIRTQUEUE_SIZE_MAX];
    struct virtio_chain chain = { .segments = segments, .capacity = chains->size_max };

    for (uint32_t left = chains->size; left > 0 && rate_limit_allows(limit); left--) {
        struct virtio_answer answer = { .written = 0 };
        int result = virtqueue_pop(chains, &chain);

        if (result == 0)
            break;
        if (result < 0 || server(device, &chain, &answer) < 0) {
            virtio_needs_reset(device, why);
            return;
        }
        rate_limit_charge(limit, answer.cost, 1);
        virtqueue_push(chains, chain.head, answer.written);
    }
    virtio_notify(device, queue);
    if (virtqueue_enable_notify(chains) && rate_limit_allows(limit))
        virtio_kick_again(device, queue);
}
