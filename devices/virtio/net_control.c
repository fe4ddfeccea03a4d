/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/net_internal.h"

/* 5.1.6.5 */
#define CONTROL_MQ 4
#define CONTROL_MQ_PAIRS_SET 0
#define CONTROL_OK 0
#define CONTROL_ERROR 1

struct control_command {
    uint8_t class;
    uint8_t command;
};

/* How many pairs the driver uses (5.1.6.5.6). */
static uint8_t set_pairs(struct net *net, struct chain_cursor *cursor)
{
    uint16_t pairs;

    if (!virtio_has(&net->virtio, NET_F_MQ) ||
        chain_read(cursor, &pairs, sizeof(pairs)) < sizeof(pairs) || pairs < 1 ||
        pairs > net->pair_count)
        return CONTROL_ERROR;
    return net_set_pairs(net, pairs) < 0 ? CONTROL_ERROR : CONTROL_OK;
}

void net_control(struct net *net, unsigned int queue)
{
    struct virtqueue *control = &net->virtio.queues[queue];
    struct iovec segments[NET_QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = NET_QUEUE_SIZE };
    int result = 0;

    for (unsigned int i = 0; i < NET_QUEUE_SIZE && rate_limit_allows(net->control_limit) &&
                             (result = virtqueue_pop(control, &chain)) > 0; i++) {
        struct chain_cursor input = chain_readable(&chain), output = chain_writable(&chain);
        struct control_command command;
        uint8_t answer = CONTROL_ERROR;

        if (chain_read(&input, &command, sizeof(command)) < sizeof(command) ||
            chain.writable_bytes < sizeof(answer)) {
            virtio_needs_reset(&net->virtio, "a control command has no header or no place for "
                               "its answer");
            return;
        }
        if (command.class == CONTROL_MQ && command.command == CONTROL_MQ_PAIRS_SET)
            answer = set_pairs(net, &input);
        rate_limit_charge(net->control_limit, 0, 1);
        chain_write(&output, &answer, sizeof(answer));
        virtqueue_push(control, chain.head, sizeof(answer));
    }
    if (result < 0)
        virtio_needs_reset(&net->virtio, "the control queue is corrupt");
    virtio_notify(&net->virtio, queue);
    if (virtqueue_enable_notify(control) && rate_limit_allows(net->control_limit))
        virtio_kick_again(&net->virtio, queue);
}
