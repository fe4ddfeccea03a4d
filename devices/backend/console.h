/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONSOLE_H
#define MOTE_CONSOLE_H

/*
 * A duplex channel of bytes between one device and the host: normally a serial
 * port and the user's terminal.  It outlives the device: a restarted VM
 * attaches a new one to the same console.
 *
 * Output.  The device's thread, normally a vCPU, puts bytes into a ring of
 * 64 KiB and goes on; the event loop's thread takes them out in chunks and
 * writes them.  No vCPU ever waits for a write(2), and the only lock that the
 * two share is held for a memcpy or for arming a timer.  The loop is woken only
 * when the ring stops being empty (or gets half full), and not sooner than a
 * millisecond after the last write: a single echoed key goes out at once, a
 * flood goes out in batches.  When the ring is full the device is told so, and
 * told again when half of it is free: the rest is the device's flow control.
 *
 * After a write error (closed pipe, full disk) one line goes to the log and
 * whatever follows is discarded and counted: a broken terminal does not stop
 * the guest.
 *
 * Input.  The loop reads while the small input ring has room, passes the bytes
 * through the filter (the monitor's escape key) and tells the device, which
 * fetches them when it can.  With the ring full the loop stops reading, so that
 * a pipe's writer waits.  A console with a filter goes on reading when the
 * guest has fetched nothing for a second, and drops what has no room, as a
 * terminal does: the escape key must work on a guest that hangs.
 *
 * Locks: the device's lock is the outer one, the console's own the inner one.
 * console_write(), console_has_room() and console_read() are for the device,
 * with its lock held, on any thread.  The rest is for the owner, on the loop's
 * thread or while the loop is not running.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/log.h"

#define CONSOLE_OUTPUT_RING (64u << 10)
#define CONSOLE_INPUT_RING (4u << 10)

struct console;

/*
 * Sees each input byte once, in order.  Writes what the device shall get to
 * OUT, which has room for LENGTH + 1 bytes, and returns how much that is.
 */
typedef size_t (*console_filter)(void *context, const uint8_t *in, size_t length, uint8_t *out);

struct console_options {
    int input_fd;  /* -1: no input; both stay the caller's */
    int output_fd; /* -1: output goes nowhere */
    uint64_t output_limit; /* bytes that a file shall have at the most; 0: any number */
    console_filter filter; /* NULL for none */
    void *filter_context;
    struct log *log;
};

/* The device's side.  Both calls come on the loop's thread with *LOCK held. */
struct console_peer {
    pthread_mutex_t *lock;
    void (*input_ready)(void *context); /* console_read() has something */
    void (*output_room)(void *context); /* half the ring is free, after a refusal */
    void *context;
};

struct console_counters {
    uint64_t written;         /* bytes that reached the host */
    uint64_t discarded;       /* output bytes thrown away after a write error */
    uint64_t input_discarded; /* input bytes that a hanging guest did not fetch */
    uint64_t writes;          /* calls of write(2) that moved bytes */
};

/*
 * Also makes the process ignore SIGPIPE if nobody handles it: a closed pipe is
 * an error to report, not a reason to die with the terminal in raw mode.
 */
int console_create(struct console **console, const struct console_options *options,
                   struct error *error);
void console_destroy(struct console *console);

/* One device at a time; PEER is copied. */
int console_attach(struct console *console, struct event_loop *loop,
                   const struct console_peer *peer, struct error *error);
void console_detach(struct console *console);

/* How many of the bytes were taken; the others had no room. */
size_t console_write(struct console *console, const uint8_t *bytes, size_t length);

/* Whether LENGTH bytes fit.  If not, the peer's output_room() will be called. */
bool console_has_room(struct console *console, size_t length);

/* Fetches up to LENGTH bytes of input; 0 when there are none. */
size_t console_read(struct console *console, uint8_t *bytes, size_t length);

/* The size of the terminal that the output goes to; false if it is none or does not know. */
bool console_size(const struct console *console, uint16_t *columns, uint16_t *rows);

/*
 * Writes what is left, for at most TIMEOUT_MS.  Fails with -ETIMEDOUT when the
 * reader does not keep up, or with the write error that the console met; that its
 * limit was reached is none.
 */
int console_drain(struct console *console, int timeout_ms, struct error *error);

struct console_counters console_counters(struct console *console);

#endif
