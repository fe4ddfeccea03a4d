/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/net_internal.h"

#define HEADER sizeof(struct uplink_header)
#define BUFFERS_OFFSET offsetof(struct uplink_header, buffers)
#define ERRORS_MAX 64

enum outcome {
    DELIVERED,  /* or dropped: the next one, please */
    NO_BUFFERS, /* until the guest gives some */
    NO_FRAME,   /* until the descriptor tells */
    LIMITED,    /* until the rate limit tells */
    STOPPED,    /* the driver broke the rules, or the uplink ended */
};

static bool mergeable(const struct net_pair *pair)
{
    return virtio_has(&pair->net->virtio, NET_F_MRG_RXBUF);
}

void net_window_clear(struct net_window *window)
{
    window->first_buffer = window->buffer_count = 0;
    window->first_segment = window->segment_count = 0;
    window->bytes = window->frame = window->unspilled = 0;
}

/* Makes room at the end; false when the window is full of the guest's pieces. */
static bool make_room(struct net_window *window, unsigned int segments)
{
    unsigned int end = window->first_segment + window->segment_count;

    if (window->buffer_count == NET_QUEUE_SIZE)
        return false;
    if (window->first_buffer + window->buffer_count == NET_QUEUE_SIZE) {
        memmove(window->buffers, window->buffers + window->first_buffer,
                window->buffer_count * sizeof(window->buffers[0]));
        window->first_buffer = 0;
    }
    if (end + segments > NET_WINDOW_SEGMENTS) {
        memmove(window->segments, window->segments + window->first_segment,
                window->segment_count * sizeof(window->segments[0]));
        window->first_segment = 0;
        end = window->segment_count;
    }
    return end + segments <= NET_WINDOW_SEGMENTS;
}

/* Pops one buffer more: 1, 0 when there is none, -ENOBUFS, or -EPROTO. */
static int pull(struct net_pair *pair)
{
    struct net_window *window = &pair->window;
    struct virtqueue *queue = net_receive_queue(pair);
    struct virtio_chain chain;
    unsigned int end;
    int result;

    if (!make_room(window, (unsigned int)queue->size))
        return -ENOBUFS;
    end = window->first_segment + window->segment_count;
    chain.segments = window->segments + end;
    chain.capacity = (uint16_t)(NET_WINDOW_SEGMENTS - end);
    result = virtqueue_pop(queue, &chain);
    if (result <= 0)
        return result;
    /* 5.1.6.3.1: at least the header, all of it for the device to write. */
    if (chain.readable > 0 || chain.writable_bytes < HEADER)
        return -EPROTO;
    window->buffers[window->first_buffer + window->buffer_count++] = (struct net_buffer){
        .head = chain.head, .segments = chain.count, .bytes = (uint32_t)chain.writable_bytes,
    };
    window->segment_count += chain.count;
    window->bytes += chain.writable_bytes;
    return 1;
}

static enum outcome broken(struct net_pair *pair)
{
    virtio_needs_reset(&pair->net->virtio, "a receive buffer is broken, or takes no header");
    return STOPPED;
}

/* Buffers for the largest frame, as far as there are any; one where frames have one each. */
static int fill(struct net_pair *pair)
{
    struct net_window *window = &pair->window;

    while (window->buffer_count == 0 ||
           (mergeable(pair) && window->bytes < pair->net->window_bytes)) {
        int result = pull(pair);

        if (result == -EPROTO)
            return result;
        if (result <= 0)
            break;
    }
    return 0;
}

/* A cursor over all buffers of the window, as if they were one chain's. */
static struct virtio_chain all_segments(struct net_window *window)
{
    return (struct virtio_chain){
        .count = (uint16_t)window->segment_count,
        .segments = window->segments + window->first_segment,
    };
}

/* Gives the frame's buffers to the driver, all of them at once. */
static void complete(struct net_pair *pair)
{
    struct net_window *window = &pair->window;
    struct virtio_chain chain = all_segments(window);
    struct chain_cursor cursor = chain_writable(&chain);
    size_t left = window->frame;
    uint16_t used = 0;

    if (window->frame > window->unspilled) {
        chain_skip(&cursor, window->unspilled);
        chain_write(&cursor, window->spill, window->frame - window->unspilled);
        cursor = chain_writable(&chain);
    }
    while (left > 0) {
        struct net_buffer *buffer = &window->buffers[window->first_buffer];
        size_t part = left < buffer->bytes ? left : buffer->bytes;

        virtqueue_fill(net_receive_queue(pair), buffer->head, (uint32_t)part);
        left -= part;
        used++;
        window->first_buffer++;
        window->buffer_count--;
        window->first_segment += buffer->segments;
        window->segment_count -= buffer->segments;
        window->bytes -= buffer->bytes;
    }
    /* 5.1.6.4: how many buffers the frame takes. */
    chain_skip(&cursor, BUFFERS_OFFSET);
    chain_write(&cursor, &used, sizeof(used));
    virtqueue_publish(net_receive_queue(pair));
    window->frame = 0;
    pair->net->counters.received++;
}

void net_release_buffers(struct net_pair *pair)
{
    struct net_window *window = &pair->window;
    struct virtio_chain chain = all_segments(window);
    struct chain_cursor cursor = chain_writable(&chain);
    size_t frame = window->frame;

    if (frame > 0) {
        memmove(window->spill + window->unspilled, window->spill, frame - window->unspilled);
        chain_read(&cursor, window->spill, window->unspilled);
    }
    while (window->buffer_count > 0)
        virtqueue_unpop(net_receive_queue(pair),
                        window->buffers[window->first_buffer + --window->buffer_count].head);
    net_window_clear(window);
    window->frame = frame;
}

static enum outcome drop(struct net_pair *pair, const char *why)
{
    struct net *net = pair->net;

    net->counters.received_dropped++;
    log_limited(net->virtio.env.log, &net->drops_told, LOG_WARN,
                "net %s: dropped a frame of %zu bytes to the guest: %s", net->uplink->name,
                pair->window.frame - HEADER, why);
    pair->window.frame = 0;
    return DELIVERED;
}

/* The frame is in the window and maybe the spill: finds it the buffers that it lacks. */
static enum outcome deliver(struct net_pair *pair)
{
    struct net_window *window = &pair->window;
    struct virtqueue *queue = net_receive_queue(pair);

    while (window->bytes < window->frame) {
        int result = mergeable(pair) ? pull(pair) : -ENOBUFS;

        if (result == -EPROTO)
            return broken(pair);
        /* Where all entries of the queue are here, no more will come. */
        if (result == -ENOBUFS || (result == 0 && queue->in_use >= queue->size))
            return drop(pair, "it is larger than the guest's buffers");
        if (result == 0)
            return NO_BUFFERS;
    }
    complete(pair);
    return DELIVERED;
}

static enum outcome receive_failed(struct net_pair *pair, ssize_t result)
{
    struct net *net = pair->net;

    if (result == -EAGAIN)
        return NO_FRAME;
    /* What may pass is tried again, though not for ever: the descriptor stays readable. */
    if (result < 0 && result != -EPIPE && ++pair->errors < ERRORS_MAX)
        return NO_FRAME;
    net_uplink_ended(net, result == 0 || result == -EPIPE ? net->uplink->ops->reason(net->uplink)
                                                          : strerror((int)-result));
    return STOPPED;
}

static enum outcome receive_one(struct net_pair *pair)
{
    struct net *net = pair->net;
    struct net_window *window = &pair->window;
    struct iovec *spill;
    ssize_t result;

    if (window->frame > 0)
        return deliver(pair);
    if (fill(pair) < 0)
        return broken(pair);
    if (window->buffer_count == 0)
        return NO_BUFFERS;
    if (!rate_limit_allows(net->receive_limit))
        return LIMITED;
    spill = &window->segments[window->first_segment + window->segment_count];
    *spill = (struct iovec){ .iov_base = window->spill, .iov_len = sizeof(window->spill) };
    result = net->uplink->ops->receive(net->uplink, pair->index,
                                       window->segments + window->first_segment,
                                       (int)window->segment_count + 1);
    if (result <= 0)
        return receive_failed(pair, result);
    pair->errors = 0;
    rate_limit_charge(net->receive_limit, (uint64_t)result, 1);
    window->frame = (size_t)result;
    window->unspilled = window->frame < window->bytes ? window->frame : window->bytes;
    if (window->frame < HEADER + UPLINK_FRAME_MIN) {
        window->frame = HEADER;
        return drop(pair, "it is too short for a frame");
    }
    return deliver(pair);
}

void net_receive(struct net_pair *pair)
{
    struct net *net = pair->net;
    struct virtqueue *queue = net_receive_queue(pair);
    enum outcome outcome = DELIVERED;

    if (!net->running || pair->index >= net->active || !net->uplink || net->ended)
        return;
    virtqueue_disable_notify(queue);
    for (unsigned int i = 0; outcome == DELIVERED && i < NET_QUEUE_SIZE; i++) {
        outcome = receive_one(pair);
        /* A buffer that came while we asked for notifications. */
        if (outcome == NO_BUFFERS && virtqueue_enable_notify(queue)) {
            virtqueue_disable_notify(queue);
            outcome = DELIVERED;
        }
    }
    virtio_notify(&net->virtio, 2 * pair->index);
    if (outcome == STOPPED)
        return;
    pair->reading = outcome == DELIVERED || outcome == NO_FRAME;
    if (outcome == DELIVERED)
        virtio_kick_again(&net->virtio, 2 * pair->index);
    net_update_events(pair);
}
