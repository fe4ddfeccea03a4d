/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_FIXTURE_H
#define MOTE_FIXTURE_H

/*
 * The world of a device under test: a real event loop and real memory, and
 * fakes of what is usually KVM or the monitor: an interrupt line that counts,
 * an event sink that remembers, a log that is kept in memory.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/device.h"

struct fake_irq {
    bool high;
    unsigned int edges;    /* low to high */
    unsigned int repeated; /* calls that changed nothing */
};

struct fake_events {
    unsigned int count[GUEST_MARK + 1];
    const char *source; /* of the last */
    uint32_t detail;
};

struct fixture {
    struct fake_irq irq;
    struct fake_events events;
    struct guest_event_sink sink;
    struct log log;
    struct device_env env;
};

/* RAM: 1 MiB at 0 and 64 KiB at 2 MiB, with a hole between them. */
#define FIXTURE_LOW_SIZE 0x100000u
#define FIXTURE_HIGH_BASE 0x200000u
#define FIXTURE_HIGH_SIZE 0x10000u

void fixture_init(struct fixture *fixture);
void fixture_release(struct fixture *fixture);
/* Gives the device a console whose terminal is a socket; returns our end of that, non-blocking. */
int fixture_terminal(struct fixture *fixture);

/* A log that keeps its lines in a memory file. */
struct log memory_log(enum log_level level);
/* The text so far, NUL-terminated, cut at SIZE. */
const char *memory_log_text(const struct log *log, char *text, size_t size);
unsigned int memory_log_lines(const struct log *log);

/* Runs the loop's handlers for about that long. */
void run_loop_for(struct event_loop *loop, unsigned int milliseconds);

struct device *device_make(struct fixture *fixture, const struct device_ops *ops,
                           const void *options);

/* Accesses as the bus makes them, with the device's lock held. */
void device_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length);
void device_write(struct device *device, uint64_t offset, const uint8_t *bytes, size_t length);
uint8_t device_in(struct device *device, uint64_t offset);
void device_out(struct device *device, uint64_t offset, uint8_t value);

/* Numbers that look random and are the same in each run. */
uint64_t next_random(uint64_t *state);

#endif
