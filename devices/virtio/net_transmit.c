/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/net_internal.h"

#define HEADER sizeof(struct uplink_header)

enum outcome {
    SENT,    /* or dropped: the next one, please */
    NOTHING, /* until the guest kicks */
    WAITING, /* for EPOLLOUT */
    LIMITED, /* until the rate limit tells */
    STOPPED, /* the driver broke the rules, or the uplink ended */
};

/* The feature that a driver needs for TYPE (5.1.6.2); 0: there is none such. */
static uint64_t gso_feature(uint8_t type)
{
    switch (type) {
    case NET_GSO_TCPV4:
        return NET_F_HOST_TSO4;
    case NET_GSO_TCPV6:
        return NET_F_HOST_TSO6;
    case NET_GSO_TCPV4 | NET_GSO_ECN:
        return NET_F_HOST_TSO4 | NET_F_HOST_ECN;
    case NET_GSO_TCPV6 | NET_GSO_ECN:
        return NET_F_HOST_TSO6 | NET_F_HOST_ECN;
    case NET_GSO_UDP:
        return NET_F_HOST_UFO;
    case NET_GSO_UDP_L4:
        return NET_F_HOST_USO;
    }
    return 0;
}

/*
 * Leaves in our copy of a header what the driver may say of a frame of LENGTH
 * bytes.  -EPROTO: it used what it did not negotiate; -EINVAL: the frame is not
 * what the header says.
 */
static int check_header(const struct net *net, struct uplink_header *header, size_t length)
{
    uint64_t feature;

    /* Flags that the device does not know are ignored (5.1.6.2.2). */
    header->flags &= virtio_has(&net->virtio, NET_F_CSUM) ? NET_HDR_F_NEEDS_CSUM : 0;
    if (header->flags == 0)
        header->checksum_start = header->checksum_offset = 0;
    else if ((size_t)header->checksum_start + header->checksum_offset + 2 > length)
        return -EINVAL;
    header->buffers = 0;
    /* A hint, which need not be right. */
    if (header->header_length > length)
        header->header_length = (uint16_t)length;
    if (header->gso_type == NET_GSO_NONE) {
        header->gso_size = 0;
        return 0;
    }
    feature = gso_feature(header->gso_type);
    if (feature == 0 || !virtio_has(&net->virtio, feature))
        return -EPROTO;
    return header->gso_size == 0 ? -EINVAL : 0;
}

static enum outcome broken(struct net_pair *pair, const char *why)
{
    virtio_needs_reset(&pair->net->virtio, why);
    return STOPPED;
}

static enum outcome finish(struct net_pair *pair, uint16_t head, uint64_t *counter)
{
    virtqueue_push(net_transmit_queue(pair), head, 0);
    ++*counter;
    return SENT;
}

/* It cost a look at it, and counts as a frame of LENGTH bytes. */
static enum outcome drop(struct net_pair *pair, uint16_t head, size_t length)
{
    rate_limit_charge(pair->net->transmit_limit, length, 1);
    return finish(pair, head, &pair->net->counters.sent_dropped);
}

static void tell_refusal(struct net *net)
{
    const struct uplink_ops *ops = net->uplink->ops;
    const char *refusal = ops->refusal ? ops->refusal(net->uplink) : NULL;

    if (refusal)
        log_limited(net->virtio.env.log, &net->refusals_told, LOG_WARN, "net %s: %s",
                    net->uplink->name, refusal);
}

/* The frame of LENGTH bytes whose pieces are SEGMENTS, the header the first of them. */
static enum outcome send_frame(struct net_pair *pair, uint16_t head, struct iovec *segments,
                               int count, size_t length)
{
    struct net *net = pair->net;
    ssize_t result;

    if (!net->uplink || net->ended)
        return drop(pair, head, length);
    result = net->uplink->ops->send(net->uplink, pair->index, segments, count);
    if (result == -EAGAIN) {
        virtqueue_unpop(net_transmit_queue(pair), head);
        return WAITING;
    }
    if (result == -EPIPE)
        net_uplink_ended(net, net->uplink->ops->reason(net->uplink));
    if (result == -EACCES)
        tell_refusal(net);
    if (result < 0)
        return drop(pair, head, length);
    rate_limit_charge(net->transmit_limit, length, 1);
    return finish(pair, head, &net->counters.sent);
}

static enum outcome transmit_one(struct net_pair *pair)
{
    struct net *net = pair->net;
    struct virtio_chain chain = {
        .segments = pair->outgoing + 1, .capacity = NET_QUEUE_SIZE,
    };
    struct uplink_header header;
    struct chain_cursor cursor;
    struct iovec *first;
    size_t length;
    int result;

    if (!rate_limit_allows(net->transmit_limit))
        return LIMITED;
    result = virtqueue_pop(net_transmit_queue(pair), &chain);
    if (result == 0)
        return NOTHING;
    if (result < 0)
        return broken(pair, "the transmit queue is corrupt");
    cursor = chain_readable(&chain);
    if (chain.readable < chain.count || chain_read(&cursor, &header, HEADER) < HEADER)
        return broken(pair, "a frame to send has no header");
    length = (size_t)chain.readable_bytes - HEADER;
    if (length < UPLINK_FRAME_MIN || length > UPLINK_FRAME_MAX)
        return drop(pair, chain.head, length);
    result = check_header(net, &header, length);
    if (result == -EPROTO)
        return broken(pair, "a frame asks for an offload that was not negotiated");
    if (result < 0)
        return drop(pair, chain.head, length);
    /* Our copy of the header takes the place of the guest's. */
    first = &chain.segments[cursor.segment];
    first->iov_base = (uint8_t *)first->iov_base + cursor.offset;
    first->iov_len -= cursor.offset;
    first[-1] = (struct iovec){ .iov_base = &header, .iov_len = HEADER };
    return send_frame(pair, chain.head, first - 1, chain.count - cursor.segment + 1, length);
}

void net_transmit(struct net_pair *pair)
{
    struct net *net = pair->net;
    struct virtqueue *queue = net_transmit_queue(pair);
    enum outcome outcome = SENT;

    if (!net->running || pair->index >= net->active)
        return;
    if (!net->announced && !net->ended)
        net->announced = net->uplink->ops->announce(net->uplink, net->config.mac);
    virtqueue_disable_notify(queue);
    for (unsigned int i = 0; outcome == SENT && i < NET_QUEUE_SIZE; i++) {
        outcome = transmit_one(pair);
        /* A frame that came while we asked for notifications. */
        if (outcome == NOTHING && virtqueue_enable_notify(queue)) {
            virtqueue_disable_notify(queue);
            outcome = SENT;
        }
    }
    virtio_notify(&net->virtio, 2 * pair->index + 1);
    if (outcome == STOPPED)
        return;
    pair->stuck = outcome == WAITING;
    if (net->uplink && !net->ended && net->uplink->ops->flush)
        pair->stuck |= !net->uplink->ops->flush(net->uplink, pair->index);
    if (outcome == SENT)
        virtio_kick_again(&net->virtio, 2 * pair->index + 1);
    net_update_events(pair);
}
