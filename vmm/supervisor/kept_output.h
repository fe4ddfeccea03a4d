/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_KEPT_OUTPUT_H
#define MOTE_KEPT_OUTPUT_H

/*
 * What a detached job has written, in the files "stdout" and "stderr" of its entry in the store, which often lies in memory:
 * the last of it, at least LIMIT bytes of each, and not half as much again.
 *
 * A file grows at its end, and what is dropped at its begin becomes a hole: so each byte stays at its place, for those who
 * read on.  How many were dropped of each stands in the entry's file "dropped", before they are.  Where a file system has no
 * holes a file begins anew, empty.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/supervisor/store.h"

#define KEPT_OUTPUT_DEFAULT (16u << 20)
#define KEPT_OUTPUT_MIN (64u << 10)
#define KEPT_OUTPUT_FILE "dropped"

enum kept_name { KEPT_STDOUT, KEPT_STDERR, KEPT_COUNT };

/* ---- by the job's supervisor ------------------------------------------------ */

struct kept_output {
    uint64_t limit; /* bytes of each; 0: nothing is kept, or all */
    int note_fd;
    uint64_t dropped[KEPT_COUNT];
};

#define KEPT_OUTPUT_INIT { .limit = 0, .note_fd = -1 }

int kept_output_open(struct kept_output *kept, const struct store_entry *entry, uint64_t limit, struct error *error);
/* Something may have been written to FD, the file NAME. */
void kept_output_wrote(struct kept_output *kept, enum kept_name name, int fd);
/* Also in a child that has no part in it. */
void kept_output_close(struct kept_output *kept);

/* ---- by those who read ------------------------------------------------------- */

struct kept_reader {
    int folder;      /* the entry's */
    int fd, note_fd; /* -1: none, for the note by now */
    enum kept_name name;
    uint64_t offset;
};

/* ENTRY stays open as long as READER. */
int kept_reader_open(struct kept_reader *reader, const struct store_entry *entry, enum kept_name name);
/* The next bytes, and first how many there are *MISSING before them; 0: no more by now.  Or a negative errno. */
ssize_t kept_reader_read(struct kept_reader *reader, void *bytes, size_t size, uint64_t *missing);
void kept_reader_close(struct kept_reader *reader);

#endif
