/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_HELPER_PROGRAM_H
#define MOTE_HELPER_PROGRAM_H

/*
 * The files that come with the mote program: beside it, as in the build folder,
 * or where `make install` puts them, ../libexec/mote and ../share/mote as seen
 * from it.  Not from the user's PATH: what runs as the user came with Mote.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/base/error.h"

/* The path of NAME, which must be there; the caller frees it. */
int helper_program_find(const char *name, char **path, struct error *error);

/* FOLDER/NAME where FOLDER is as seen from the program's own; whether there is such a file. */
bool helper_program_at(const char *folder, const char *name, char **path);

/*
 * Starts ARGUMENTS[0] with the descriptors as its standard input and output,
 * where they are not -1, with no signal blocked; it is killed when we die.
 */
int helper_program_start(pid_t *process, char *const arguments[], int input, int output,
                    struct error *error);

/* Its exit status, once it has ended; -1 if a signal ended it. */
int helper_program_wait(pid_t process);

#endif
