/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

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

static int run_command(struct virtio_device *device, const struct virtio_chain *chain,
                       struct virtio_answer *answer)
{
    struct chain_cursor input = chain_readable(chain), output = chain_writable(chain);
    struct control_command command;
    uint8_t result = CONTROL_ERROR;

    if (chain_read(&input, &command, sizeof(command)) < sizeof(command) ||
        chain->writable_bytes < sizeof(result))
        return -EPROTO;
    if (command.class == CONTROL_MQ && command.command == CONTROL_MQ_PAIRS_SET)
        result = set_pairs((struct net *)device, &input);
    answer->written = (uint32_t)chain_write(&output, &result, sizeof(result));
    return 0;
}

void net_control(struct net *net, unsigned int queue)
{
    virtio_serve(&net->virtio, queue, net->control_limit, run_command,
                 "a command has no header or no place for its answer, or its queue is corrupt");
}
