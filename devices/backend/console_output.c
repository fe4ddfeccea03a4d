/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/console_internal.h"

#include <errno.h>
#include <string.h>

#define BATCH_INTERVAL MILLISECOND

/* The host will take no more: from here on output is discarded. */
static void output_failed(struct console *console, int number)
{
    pthread_mutex_lock(&console->lock);
    console->failed = number;
    console->counters.discarded += console->out.used;
    byte_ring_drop(&console->out, console->out.used);
    pthread_mutex_unlock(&console->lock);
    log_limited(console->log, NULL, LOG_WARN,
                "console output: %s; what the guest writes from here on is discarded",
                strerror(number));
}

int console_write_chunk(struct console *console)
{
    uint8_t chunk[CONSOLE_CHUNK];
    ssize_t written;
    size_t length;
    int result;

    pthread_mutex_lock(&console->lock);
    length = byte_ring_peek(&console->out, chunk, sizeof(chunk));
    pthread_mutex_unlock(&console->lock);
    if (length == 0)
        return CHUNK_LAST;
    if (length > console->output_room)
        length = console->output_room;
    written = length == 0 ? -EFBIG : host_stream_write(&console->output, chunk, length);
    if (written == -EAGAIN)
        return -EAGAIN;
    if (written < 0) {
        output_failed(console, (int)-written);
        return (int)written;
    }
    console->output_room -= (uint64_t)written;
    pthread_mutex_lock(&console->lock);
    byte_ring_drop(&console->out, (size_t)written);
    console->counters.written += (uint64_t)written;
    console->counters.writes++;
    console->last_write = console_now();
    if (console->out.used == 0)
        result = CHUNK_LAST;
    else if ((size_t)written < length || console->out.used >= CONSOLE_CHUNK)
        result = CHUNK_MORE;
    else
        result = CHUNK_LATER;
    pthread_mutex_unlock(&console->lock);
    return result;
}

static void output_writable(void *context, uint32_t events);

/*
 * Output is polled only while something waits to be written: a closed pipe
 * reports its error for ever, whatever one polls for.
 */
void console_poll_output(struct console *console, bool wanted)
{
    struct event_source source = {
        .fd = console->output.fd, .events = EPOLLOUT, .handler = output_writable,
        .context = console,
    };

    if (wanted == console->output_polled)
        return;
    if (!wanted) {
        event_loop_remove(console->loop, console->output.fd);
        console->output_polled = false;
    } else if (event_loop_add(console->loop, &source) == 0) {
        console->output_polled = true;
    } else {
        pthread_mutex_lock(&console->lock);
        console_wake_at(console, console_now() + RETRY_INTERVAL);
        pthread_mutex_unlock(&console->lock);
    }
}

static void tell_of_room(struct console *console)
{
    bool tell;

    pthread_mutex_lock(&console->lock);
    tell = console->room_wanted && console->out.used <= CONSOLE_OUTPUT_RING / 2;
    if (tell)
        console->room_wanted = false;
    pthread_mutex_unlock(&console->lock);
    if (tell)
        console_call_peer(console, console->peer.output_room);
}

void console_pump_output(struct console *console)
{
    int result = CHUNK_MORE;

    /* One ring's worth, then the loop's other descriptors have their turn. */
    for (size_t i = 0; i < CONSOLE_OUTPUT_RING / CONSOLE_CHUNK && result == CHUNK_MORE; i++)
        result = console_write_chunk(console);
    console_poll_output(console, result == -EAGAIN);
    if (result > CHUNK_LAST) {
        pthread_mutex_lock(&console->lock);
        console_wake_at(console, result == CHUNK_MORE ? 1 : console->last_write + BATCH_INTERVAL);
        pthread_mutex_unlock(&console->lock);
    }
    tell_of_room(console);
}

static void output_writable(void *context, uint32_t events)
{
    (void)events;
    console_pump_output(context);
}

size_t console_write(struct console *console, const uint8_t *bytes, size_t length)
{
    const size_t half = CONSOLE_OUTPUT_RING / 2;
    size_t before, taken = length;

    pthread_mutex_lock(&console->lock);
    if (console->failed) {
        console->counters.discarded += length;
    } else if (console->output.fd >= 0 && length > 0) {
        before = console->out.used;
        taken = byte_ring_push(&console->out, bytes, length);
        if (before == 0)
            console_wake_at(console, console->last_write + BATCH_INTERVAL);
        if (before < half && console->out.used >= half)
            console_wake_at(console, 1);
        if (taken < length)
            console->room_wanted = true;
    }
    pthread_mutex_unlock(&console->lock);
    return taken;
}

bool console_has_room(struct console *console, size_t length)
{
    bool has_room;

    pthread_mutex_lock(&console->lock);
    has_room = byte_ring_room(&console->out) >= length;
    if (!has_room)
        console->room_wanted = true;
    pthread_mutex_unlock(&console->lock);
    return has_room;
}
