/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONSOLE_CHANNEL_H
#define MOTE_CONSOLE_CHANNEL_H

/* A console of the host under test: its two descriptors, and who hears of input and of room. */

#include "tests/support/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/console.h"

/* A console and a device that only counts what it is told. */
struct channel {
    struct fixture fixture;
    struct console *console;
    pthread_mutex_t lock;
    unsigned int input_calls;
    unsigned int room_calls;
};

static inline int set_up(void **state)
{
    struct channel *channel = calloc(1, sizeof(*channel));

    fixture_init(&channel->fixture);
    pthread_mutex_init(&channel->lock, NULL);
    *state = channel;
    return 0;
}

static inline int tear_down(void **state)
{
    struct channel *channel = *state;

    console_destroy(channel->console);
    fixture_release(&channel->fixture);
    pthread_mutex_destroy(&channel->lock);
    free(channel);
    return 0;
}

static inline void input_ready(void *context)
{
    struct channel *channel = context;

    assert_int_equal(pthread_mutex_trylock(&channel->lock), EBUSY);
    channel->input_calls++;
}

static inline void output_room(void *context)
{
    struct channel *channel = context;

    assert_int_equal(pthread_mutex_trylock(&channel->lock), EBUSY);
    channel->room_calls++;
}

static inline void attach(struct channel *channel)
{
    const struct console_peer peer = {
        .lock = &channel->lock, .input_ready = input_ready, .output_room = output_room,
        .context = channel,
    };
    struct error error = ERROR_INIT;

    assert_int_equal(console_attach(channel->console, channel->fixture.env.loop, &peer, &error),
                     0);
}

static inline void open_filtered(struct channel *channel, int input_fd, int output_fd,
                                 console_filter filter, void *filter_context)
{
    const struct console_options options = {
        .input_fd = input_fd, .output_fd = output_fd, .filter = filter,
        .filter_context = filter_context, .log = &channel->fixture.log,
    };
    struct error error = ERROR_INIT;

    assert_int_equal(console_create(&channel->console, &options, &error), 0);
    attach(channel);
}

static inline void open_console(struct channel *channel, int input_fd, int output_fd)
{
    open_filtered(channel, input_fd, output_fd, NULL, NULL);
}

static inline void run(struct channel *channel)
{
    run_loop_for(channel->fixture.env.loop, 10);
}

static inline size_t put(struct channel *channel, const void *bytes, size_t length)
{
    return console_write(channel->console, bytes, length);
}

static inline void assert_arrives(int fd, const char *text)
{
    char bytes[256];

    assert_int_equal(read(fd, bytes, sizeof(bytes)), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static inline void assert_input(struct channel *channel, const char *text)
{
    uint8_t bytes[256];

    assert_int_equal(console_read(channel->console, bytes, sizeof(bytes)), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static inline void make_pipe(int ends[2])
{
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

/* The loop sleeps when there is nothing to do, whatever state descriptors are in. */
static inline void assert_idle(struct channel *channel)
{
    struct timespec before, after;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    run_loop_for(channel->fixture.env.loop, 100);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    assert_true((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec <
                50000000);
}

#endif
