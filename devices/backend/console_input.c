/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/console_internal.h"

#include <errno.h>
#include <string.h>

#define HANGING_AFTER (1000 * MILLISECOND)

static void input_readable(void *context, uint32_t events);

void console_poll_input(struct console *console, bool wanted)
{
    struct event_source source = {
        .fd = console->input.fd, .events = EPOLLIN, .handler = input_readable, .context = console,
    };

    if (wanted == console->input_polled)
        return;
    if (!wanted) {
        event_loop_remove(console->loop, console->input.fd);
        console->input_polled = false;
    } else {
        /* A regular file refuses (-EPERM): console_pump_input() then reads on by itself. */
        console->input_polled = event_loop_add(console->loop, &source) == 0;
    }
}

/* How much to read now; 0 after a change to INPUT_PAUSED. */
static size_t input_room(struct console *console, size_t most)
{
    size_t room;

    pthread_mutex_lock(&console->lock);
    room = byte_ring_room(&console->in);
    /* One byte stays free for the one that a filter may add. */
    room = room > 1 ? room - 1 : 0;
    if (console->input_state == INPUT_DEAF) {
        room = most;
    } else if (room == 0) {
        console->input_state = INPUT_PAUSED;
        console->paused_at = console_now();
        if (console->filter)
            console_wake_at(console, console->paused_at + HANGING_AFTER);
    }
    pthread_mutex_unlock(&console->lock);
    return room < most ? room : most;
}

static void end_input(struct console *console, int number)
{
    console_poll_input(console, false);
    pthread_mutex_lock(&console->lock);
    console->input_state = INPUT_ENDED;
    pthread_mutex_unlock(&console->lock);
    log_debug(console->log, "console input: %s",
              number ? strerror(number) : "the end of the input was reached");
}

static void accept_input(struct console *console, const uint8_t *bytes, size_t length)
{
    uint8_t filtered[CONSOLE_CHUNK + 1];
    size_t taken;

    if (console->filter) {
        length = console->filter(console->filter_context, bytes, length, filtered);
        bytes = filtered;
    }
    pthread_mutex_lock(&console->lock);
    taken = byte_ring_push(&console->in, bytes, length);
    console->counters.input_discarded += length - taken;
    pthread_mutex_unlock(&console->lock);
    if (taken > 0)
        console_call_peer(console, console->peer.input_ready);
}

/* Reads once.  What cannot be polled asks to be called again. */
void console_pump_input(struct console *console)
{
    uint8_t bytes[CONSOLE_CHUNK];
    size_t room = input_room(console, sizeof(bytes));
    ssize_t length;

    if (room == 0) {
        console_poll_input(console, false);
        return;
    }
    console_poll_input(console, true);
    length = host_stream_read(&console->input, bytes, room);
    if (length == 0 || (length < 0 && length != -EAGAIN)) {
        end_input(console, (int)-length);
        return;
    }
    if (length > 0)
        accept_input(console, bytes, (size_t)length);
    if (!console->input_polled) {
        pthread_mutex_lock(&console->lock);
        console_wake_at(console, length > 0 ? 1 : console_now() + RETRY_INTERVAL);
        pthread_mutex_unlock(&console->lock);
    }
}

static void input_readable(void *context, uint32_t events)
{
    (void)events;
    console_pump_input(context);
}

size_t console_read(struct console *console, uint8_t *bytes, size_t length)
{
    size_t taken;

    pthread_mutex_lock(&console->lock);
    taken = byte_ring_peek(&console->in, bytes, length);
    byte_ring_drop(&console->in, taken);
    if (taken > 0 && console->input_state == INPUT_DEAF)
        console->input_state = INPUT_READING;
    if (console->input_state == INPUT_PAUSED && console->in.used <= CONSOLE_INPUT_RING / 2) {
        console->input_state = INPUT_READING;
        console_wake_at(console, 1);
    }
    pthread_mutex_unlock(&console->lock);
    return taken;
}

bool console_resume_input(struct console *console)
{
    bool reading;

    pthread_mutex_lock(&console->lock);
    if (console->input_state == INPUT_PAUSED && console->filter) {
        if (console_now() - console->paused_at >= HANGING_AFTER)
            console->input_state = INPUT_DEAF;
        else
            console_wake_at(console, console->paused_at + HANGING_AFTER);
    }
    reading = console->input_state == INPUT_READING || console->input_state == INPUT_DEAF;
    pthread_mutex_unlock(&console->lock);
    return reading && !console->input_polled;
}
