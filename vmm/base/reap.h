/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_REAP_H
#define MOTE_REAP_H

/*
 * Waits for the end of a child that was killed, as long as the kernel takes for a large guest's memory, and no longer: what it
 * holds for a disk or network file system that hangs is given up, and goes when that answers.
 */

#include <stdbool.h>
#include <sys/types.h>

/* *STATUS, of waitpid(2), may be NULL.  0; -ETIMEDOUT: it has not ended; or another negative errno. */
int reap_killed(pid_t pid, int *status);

#endif
