/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_REOPEN_H
#define MOTE_REOPEN_H

/*
 * A descriptor of what FD leads to, a pipe or a terminal, that is open with FLAGS (O_RDONLY or O_WRONLY, O_NONBLOCK)
 * and close-on-exec, whatever FD is open for: an open file description of our own.  A terminal that another
 * user owns (after su) is opened as /dev/tty, if that is the same one.  A negative errno; -ENOTTY for a
 * pseudo-terminal's master, which cannot be opened anew: that would make a new pair.
 */
int reopen(int fd, int flags);

#endif
