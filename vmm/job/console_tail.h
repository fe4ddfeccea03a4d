/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_CONSOLE_TAIL_H
#define MOTE_RUN_CONSOLE_TAIL_H

/* The last line that looked like a panic's, or just the last one, of a guest's console. */

#include <stdbool.h>
#include <stddef.h>

#define CONSOLE_TAIL_LINE 160

struct console_tail {
    char line[CONSOLE_TAIL_LINE];    /* printable; empty: none yet */
    char current[CONSOLE_TAIL_LINE]; /* not ended yet */
    size_t used;
    bool is_panic; /* LINE is the panic's first, which stays */
};

void console_tail_add(struct console_tail *tail, const char *bytes, size_t length);

#endif
