/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TIMELINE_H
#define MOTE_TIMELINE_H

/*
 * Where the start's time went: named moments on CLOCK_MONOTONIC, from main() to
 * the end.  Marks come from any thread and cost one clock read; a full table
 * drops them, so a guest that marks without end costs nothing.  A timeline is
 * plain data: it may come from another process, and is not believed.
 */

#include <stdatomic.h>
#include <stdint.h>

#define TIMELINE_MARKS_MAX 48
#define TIMELINE_NAME_SIZE 24

struct timeline {
    atomic_uint count; /* marks taken; those past the table are dropped */
    struct timeline_mark {
        char name[TIMELINE_NAME_SIZE]; /* cut where it is too long */
        uint32_t number;  /* shown behind the name when not 0 */
        uint64_t nanoseconds;
    } marks[TIMELINE_MARKS_MAX];
};

void timeline_mark(struct timeline *timeline, const char *name);
void timeline_mark_number(struct timeline *timeline, const char *name, uint32_t number);

/* Prints a table to FD, once all threads that mark have ended. */
void timeline_print(const struct timeline *timeline, int fd);

#endif
