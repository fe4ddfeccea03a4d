/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_LOG_H
#define MOTE_LOG_H

/*
 * Lines for the user on one descriptor, normally standard error.  Each line is
 * written by a single write(2), so lines of several threads never mix.
 *
 * Whatever a guest can trigger goes through log_limited(): at most ten lines
 * for each limit, then one that says the rest is counted only, so that a guest
 * cannot fill a disk with the monitor's log.
 */

#include <stdatomic.h>
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };

struct log {
    int fd;
    enum log_level level;
    /* The guest's console owns the terminal in raw mode: lines need CR LF. */
    atomic_bool raw_terminal;
};

struct log_limit {
    atomic_uint count;
};

#define LOG_INIT { .fd = 2, .level = LOG_WARN }

/* The level's name as the command line spells it, and back; -1 if unknown. */
const char *log_level_name(enum log_level level);
int log_level_parse(const char *name);

void log_line(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void log_limited(struct log *log, struct log_limit *limit, enum log_level level,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

#define log_error(log, ...) log_line(log, LOG_ERROR, __VA_ARGS__)
#define log_warn(log, ...) log_line(log, LOG_WARN, __VA_ARGS__)
#define log_info(log, ...) log_line(log, LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_line(log, LOG_DEBUG, __VA_ARGS__)

#endif
