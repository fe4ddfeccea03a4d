/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/echo_device.h"

#include <stdlib.h>
#include <string.h>

static int echo_create(struct virtio_device **device, const struct virtio_env *env,
                       const void *options, struct error *error)
{
    struct echo_device *echo = calloc(1, sizeof(*echo));

    if (!echo)
        return error_system(error, 12, "echo");
    for (size_t i = 0; i < sizeof(echo->config); i++)
        echo->config[i] = (uint8_t)(0xc0 + i);
    virtio_device_init(&echo->virtio, &echo_class, env, ECHO_QUEUES, ECHO_FEATURES, echo->config);
    echo->options = options;
    *device = &echo->virtio;
    return 0;
}

static void echo_destroy(struct virtio_device *device)
{
    free(device);
}

static void echo_activate(struct virtio_device *device, bool loaded)
{
    struct echo_device *echo = (struct echo_device *)device;

    (void)loaded;
    echo->activations++;
    for (unsigned int i = 0; echo->options && echo->options->notifies_at_once && i < ECHO_QUEUES; i++)
        virtio_notify(device, i);
}

static void echo_reset(struct virtio_device *device)
{
    ((struct echo_device *)device)->resets++;
}

/* The device writes as much as it was given, and no more than there is room. */
static int copy(struct virtio_device *device, const struct virtio_chain *chain,
                struct virtio_answer *answer)
{
    struct echo_device *echo = (struct echo_device *)device;
    struct chain_cursor from = chain_readable(chain), to = chain_writable(chain);
    uint8_t bytes[512];
    size_t length;

    echo->chains++;
    while ((length = chain_read(&from, bytes, sizeof(bytes))) > 0)
        answer->written += (uint32_t)chain_write(&to, bytes, length);
    if (echo->serves)
        echo->serves();
    return 0;
}

static void echo_kick(struct virtio_device *device, unsigned int queue)
{
    struct echo_device *echo = (struct echo_device *)device;

    echo->kicks[queue]++;
    if (!echo->hold)
        virtio_serve(device, queue, NULL, copy, "a chain of the echo device");
}

static void echo_config_write(struct virtio_device *device, uint32_t offset, const uint8_t *bytes,
                              size_t length)
{
    struct echo_device *echo = (struct echo_device *)device;

    echo->config_writes++;
    echo->config_offset = offset;
    echo->config_length = length;
    memcpy(echo->config + offset, bytes, length);
}

const struct virtio_device_class echo_class = {
    .name = "echo",
    .id = 42,
    .queue_size = ECHO_QUEUE_SIZE,
    .config_size = ECHO_CONFIG_SIZE,
    .create = echo_create,
    .destroy = echo_destroy,
    .activate = echo_activate,
    .reset = echo_reset,
    .kick = echo_kick,
    .config_write = echo_config_write,
};
