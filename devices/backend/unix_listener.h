/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_UNIX_LISTENER_H
#define MOTE_UNIX_LISTENER_H

/*
 * A unix socket that others connect to, by its path.
 *
 * The file belongs to the listener: it must not exist before, and is removed at
 * the end unless somebody replaced it.  A socket that nobody listens on any
 * more, as one that a killed process left, is taken over.
 */

#include <stddef.h>
#include <sys/types.h>

#include "vmm/base/error.h"

struct unix_listener {
    int fd; /* non-blocking; -1 while closed */
    char *path; /* to remove at the end; NULL of one that is borrowed */
    dev_t device; /* of our file: what the path leads to may change */
    ino_t inode;
};

#define UNIX_LISTENER_INIT { .fd = -1 }

int unix_listener_open(struct unix_listener *listener, const char *option, const char *path,
                       struct error *error);

/* Another descriptor of OWNER's socket, for one who does not own the path: its end removes nothing. */
int unix_listener_borrow(struct unix_listener *listener, const struct unix_listener *owner,
                         struct error *error);

void unix_listener_close(struct unix_listener *listener);

/* The same on the heap, for options; NULL is fine to destroy. */
int unix_listener_make(struct unix_listener **listener, const char *option, const char *path,
                       struct error *error);
void unix_listener_destroy(struct unix_listener *listener);

/* Both yield a non-blocking stream or a negative errno, and never wait. */
int unix_listener_accept(const struct unix_listener *listener);
int unix_connect(const char *path);

#endif
