/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/relay.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/backend/host_stream.h"

#define RELAY_BUFFER (64u << 10)
#define BUFFERS_PER_TURN 16

struct side {
    struct host_stream stream;
    uint32_t event; /* that it is waited for by */
    bool waiting;   /* in the loop */
};

struct relay {
    struct event_loop *loop;
    struct relay_options options;
    struct side from, to;
    uint64_t count;
    size_t first, end;
    uint8_t bytes[RELAY_BUFFER];
};

static void take_turn(void *context, uint32_t events);

/* Out of the loop while it is not waited for: a hang-up would be reported without end. */
static void stop_waiting(struct relay *relay, struct side *side)
{
    if (side->waiting)
        event_loop_remove(relay->loop, side->stream.fd);
    side->waiting = false;
}

/* Waits for SIDE alone.  1: that is always ready, and nothing is waited for. */
static int wait_for(struct relay *relay, struct side *side)
{
    struct event_source source = {
        .fd = side->stream.fd, .events = side->event, .handler = take_turn, .context = relay,
    };
    int result;

    stop_waiting(relay, side == &relay->from ? &relay->to : &relay->from);
    if (side->waiting)
        return 0;
    result = event_loop_add(relay->loop, &source);
    if (result == -EPERM)
        return 1;
    side->waiting = result == 0;
    return result;
}

static void finish(struct relay *relay, enum relay_end end, int number)
{
    stop_waiting(relay, &relay->from);
    stop_waiting(relay, &relay->to);
    relay->options.ended(relay->options.context, end, number);
}

/* 1: there are bytes; 0: it waits or has ended. */
static int fill(struct relay *relay)
{
    ssize_t count;

    if (relay->first < relay->end)
        return 1;
    count = host_stream_read(&relay->from.stream, relay->bytes, sizeof(relay->bytes));
    if (count == -EAGAIN) {
        if (wait_for(relay, &relay->from) < 0)
            finish(relay, RELAY_INPUT_FAILED, ENOMEM);
        return 0;
    }
    if (count <= 0) {
        finish(relay, count == 0 ? RELAY_INPUT_ENDED : RELAY_INPUT_FAILED, (int)-count);
        return 0;
    }
    relay->first = 0;
    relay->end = (size_t)count;
    return 1;
}

static size_t allowed(const struct relay *relay)
{
    size_t held = relay->end - relay->first;
    uint64_t left = relay->options.limit - relay->count;

    return relay->options.limit > 0 && held > left ? (size_t)left : held;
}

/* 1: some bytes went; 0: it waits or has ended. */
static int drain(struct relay *relay)
{
    size_t length = allowed(relay);
    ssize_t count;

    if (length == 0) {
        finish(relay, RELAY_LIMITED, 0);
        return 0;
    }
    count = host_stream_write(&relay->to.stream, relay->bytes + relay->first, length);
    if (count == -EAGAIN) {
        if (wait_for(relay, &relay->to) < 0)
            finish(relay, RELAY_OUTPUT_FAILED, ENOMEM);
        return 0;
    }
    if (count < 0) {
        finish(relay, RELAY_OUTPUT_FAILED, (int)-count);
        return 0;
    }
    relay->first += (size_t)count;
    relay->count += (uint64_t)count;
    if (relay->options.wrote)
        relay->options.wrote(relay->options.context);
    return 1;
}

/*
 * The next turn comes when there is input again.  A file always has some: then
 * it comes when the guest's stream, at the other side, has room.
 */
static int wait_for_turn(struct relay *relay)
{
    int result = wait_for(relay, &relay->from);

    return result == 1 ? wait_for(relay, &relay->to) : result;
}

static void take_turn(void *context, uint32_t events)
{
    struct relay *relay = context;

    (void)events;
    for (unsigned int i = 0; i < BUFFERS_PER_TURN || relay->first < relay->end; i++)
        if (!fill(relay) || !drain(relay))
            return;
    if (wait_for_turn(relay) < 0)
        finish(relay, RELAY_INPUT_FAILED, ENOMEM);
}

int relay_create(struct relay **relay, struct event_loop *loop,
                 const struct relay_options *options, struct error *error)
{
    struct relay *created = calloc(1, sizeof(*created));
    int result;

    if (!created)
        return error_system(error, ENOMEM, "%s", options->name);
    created->loop = loop;
    created->options = *options;
    created->from = (struct side){ .stream.fd = -1, .event = EPOLLIN };
    created->to = (struct side){ .stream.fd = -1, .event = EPOLLOUT };
    result = host_stream_open(&created->from.stream, options->from, HOST_INPUT, options->name,
                              error);
    if (result == 0)
        result = host_stream_open(&created->to.stream, options->to, HOST_OUTPUT, options->name,
                                  error);
    if (result == 0 && (result = wait_for_turn(created)) < 0)
        error_system(error, -result, "%s", options->name);
    if (result < 0) {
        relay_destroy(created);
        return result;
    }
    *relay = created;
    return 0;
}

void relay_destroy(struct relay *relay)
{
    if (!relay)
        return;
    stop_waiting(relay, &relay->from);
    stop_waiting(relay, &relay->to);
    host_stream_close(&relay->from.stream);
    host_stream_close(&relay->to.stream);
    free(relay);
}

uint64_t relay_count(const struct relay *relay)
{
    return relay->count;
}
