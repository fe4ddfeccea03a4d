/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PROGRESS_H
#define MOTE_PROGRESS_H

/*
 * One line on standard error for work that takes longer than half a second:
 * what, MiB or things done, percent.  On a terminal only; a pipe gets none.
 */

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool on, shown;
    char what[96];
    const char *unit;     /* NULL: bytes, told in MiB */
    uint64_t done, total; /* total 0 when it is not known */
    uint64_t next;        /* when the line is due, in ms of CLOCK_MONOTONIC */
};

/* Shows lines when WANTED and standard error is a terminal. */
void progress_init(struct progress *progress, bool wanted);

/* A new piece of work; the half second counts from the first. */
void progress_begin(struct progress *progress, uint64_t total, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same of things that UNIT, a literal, names: "clones". */
void progress_begin_count(struct progress *progress, uint64_t total, const char *unit,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));
void progress_add(struct progress *progress, uint64_t amount);

/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
