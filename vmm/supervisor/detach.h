/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DETACH_H
#define MOTE_DETACH_H

/*
 * A command that goes on as a process of its own, apart from the user's terminal and pipes, as the owner of an entry
 * in the store.  Its parent waits until what it runs has begun, or tells why it has not.
 */

#include <stddef.h>
#include <sys/types.h>

#include "vmm/base/error.h"
#include "vmm/supervisor/store.h"

/* A guest's console is kept in the store, which often lies in memory: so much of it, in bytes. */
#define DETACHED_OUTPUT_MAX (16u << 20)

struct detached {
    struct store_entry entry; /* made and closed by the caller */
    pid_t process;
    int started; /* gets a byte once it has begun */
};

#define DETACHED_INIT { .entry = STORE_ENTRY_INIT, .started = -1 }

/*
 * Returns 1 in the parent.  In the child, 0: its output goes to the entry's files, the entry is its own, and
 * *STARTED_FD, a socket, wants a byte; what of the OTHERS is open was only the parent's.
 * A failure takes the entry away.
 */
int detach_fork(struct detached *detached, struct detached *others, size_t other_count, int *started_fd,
                struct error *error);

/*
 * In the parent: returns STATUS_OK when it has begun; or mote's status of what ended before, whose messages are now
 * on standard error; or a negative errno.  The entry of one that has not begun is gone.
 */
int detach_await(struct detached *detached, struct error *error);

/* The entry's name, in a line on standard output. */
int detach_tell(const char *name, struct error *error);

#endif
