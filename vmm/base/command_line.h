/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_COMMAND_LINE_H
#define MOTE_COMMAND_LINE_H

/*
 * A kernel's command line is two: a kernel hands what follows a bare "--" to
 * init as its arguments.  So whatever is added to a user's text goes before that.
 */

#include <stddef.h>

/* How much of TEXT is the kernel's, without the blanks at its end: up to a word "--" outside
 * of double quotes, or all of it. */
size_t command_line_kernel_part(const char *text);

/* TEXT with WORDS as the last of the kernel's; to be freed, NULL when memory is short. */
char *command_line_add(const char *text, const char *words);

#endif
