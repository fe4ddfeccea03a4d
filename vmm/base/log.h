/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_LOG_H
#define MOTE_LOG_H

/*
 * Lines for the user on one descriptor, normally standard error.  Each line is
 * written by a single write(2), so lines of several threads never mix.
 *
 * Whatever a guest can trigger goes through log_limited(), so that a guest
 * cannot fill a disk with the monitor's log: at most ten lines for each limit,
 * then one that says the rest is left out; and all limits together have an
 * allowance, since a guest that restarts for ever would find its limits new each
 * time.  The supervisor and its monitors share that one, and at the end
 * log_tell_left_out() says how many lines were left out.
 */

#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/base/error.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };

/* Of all lines that a guest triggers: a hundred at once, later one in ten seconds. */
#define LOG_ALLOWANCE 100
#define LOG_REFILL_SECONDS 10

/* What a monitor in a guest's hands writes here changes how many lines are left out, no more. */
struct log_allowance {
    atomic_uint lines;
    atomic_llong refilled_at; /* s, CLOCK_MONOTONIC */
    atomic_bool told;         /* that it is used up */
    atomic_ullong left_out;
};

struct log {
    int fd;
    enum log_level level;
    /* The guest's console owns the terminal in raw mode: lines need CR LF. */
    atomic_bool raw_terminal;
    struct log_allowance *allowance; /* NULL until log_share() */
    /* In a supervisor, which must not stand still with a reader of its lines: ms that it waits for one, once; 0: as long as it takes. */
    unsigned int patience_ms;
};

#define LOG_PATIENCE_MS 1000

struct log_limit {
    atomic_uint count;
};

#define LOG_INIT { .fd = 2, .level = LOG_WARN }

/* As the command line spells them; NULL behind the last. */
extern const char *const log_level_names[LOG_LEVEL_COUNT + 1];

void log_line(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* LIMIT may be NULL: for what can come once a start, or little more. */
void log_limited(struct log *log, struct log_limit *limit, enum log_level level,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * From here on the allowance counts, in this process and those that it forks; and this one, a supervisor, waits for no reader
 * longer than LOG_PATIENCE_MS: what that does not take is lost.
 * log_tell_left_out() begins to count anew; the allowance stays as it is.
 */
int log_share(struct log *log, struct error *error);
void log_tell_left_out(struct log *log);

#define log_error(log, ...) log_line(log, LOG_ERROR, __VA_ARGS__)
#define log_warn(log, ...) log_line(log, LOG_WARN, __VA_ARGS__)
#define log_info(log, ...) log_line(log, LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_line(log, LOG_DEBUG, __VA_ARGS__)

#endif
