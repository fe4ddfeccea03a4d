/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONSOLE_INTERNAL_H
#define MOTE_CONSOLE_INTERNAL_H

/* What the files of the console share; console.h tells how it works. */

#include "devices/backend/byte_ring.h"
#include "devices/backend/console.h"
#include "devices/backend/host_stream.h"

#define CONSOLE_CHUNK 4096u
#define MILLISECOND 1000000ull            /* times are in nanoseconds, monotonic */
#define RETRY_INTERVAL (10 * MILLISECOND) /* where EAGAIN cannot be polled for */

enum input_state {
    INPUT_READING,
    INPUT_PAUSED, /* the ring is full; not polled */
    INPUT_DEAF,   /* the guest hangs: read on for the filter, drop what has no room */
    INPUT_ENDED,
};

struct console {
    struct log *log;
    console_filter filter;
    void *filter_context;

    /* Only for the owner and the loop's thread. */
    struct event_loop *loop; /* NULL while detached */
    struct console_peer peer;
    struct host_stream input;
    struct host_stream output;
    uint64_t output_room; /* bytes until its limit */
    bool on_terminal;     /* the output is one, which may go away */
    int wake_fd;
    bool input_polled;
    bool output_polled;

    pthread_mutex_t lock; /* innermost; guards what follows */
    uint64_t wake_at;     /* when wake_fd expires, in ns; 0 while it is not armed */
    uint64_t last_write;
    uint64_t paused_at;
    enum input_state input_state;
    bool room_wanted;
    int failed; /* the positive errno that ended the output */
    struct console_counters counters;
    struct byte_ring in;
    struct byte_ring out;
    uint8_t in_bytes[CONSOLE_INPUT_RING];
    uint8_t out_bytes[CONSOLE_OUTPUT_RING];
};

uint64_t console_now(void);

/*
 * Wakes the loop at AT, or sooner if that was asked for before; what has passed
 * means now.  With the console's lock held.
 */
void console_wake_at(struct console *console, uint64_t at);

/* Calls one of the peer's functions with the device's lock held. */
void console_call_peer(struct console *console, void (*call)(void *context));

enum chunk_result {
    CHUNK_LAST,  /* the ring is empty */
    CHUNK_LATER, /* a few bytes came meanwhile: let them become more */
    CHUNK_MORE,
};

/* Writes one chunk: an enum chunk_result or -errno. */
int console_write_chunk(struct console *console);
void console_pump_output(struct console *console);
void console_poll_output(struct console *console, bool wanted);

void console_pump_input(struct console *console);
void console_poll_input(struct console *console, bool wanted);

/* Takes up reading again after a pause; true when there is something to pump. */
bool console_resume_input(struct console *console);

#endif
