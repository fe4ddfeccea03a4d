/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ERROR_H
#define MOTE_ERROR_H

/*
 * The one shape of an error: a function that can fail returns 0 or a negative
 * errno and fills the caller's struct error.  The message is one line for the
 * user, "thing: reason; remedy", without a trailing newline.  Functions on hot
 * paths that have no words to add return the negative errno alone.
 */

#include <stddef.h>

struct error {
    int number; /* positive errno, 0 while nothing went wrong */
    char message[512];
};

#define ERROR_INIT { .number = 0, .message = "" }

/*
 * Records NUMBER (a positive errno) and the message; returns -NUMBER, so that
 * `return error_set(error, EINVAL, …)` reads as it should.  Control characters
 * that came with file names or option values are shown as '?': the message
 * stays one line whatever the input.  What is too long loses its middle.
 */
int error_set(struct error *error, int number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set(), with the text of errno NUMBER and what mostly helps against it appended. */
int error_system(struct error *error, int number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Text that others chose, such as a file's name or a broken monitor's words, as a line that does nothing to a terminal: '?' in
 * place of control characters, those of 8 bits (C1) among them, and of what is no UTF-8.
 */
void error_keep_one_line(char *text);

#endif
