/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_HOST_STREAM_H
#define MOTE_HOST_STREAM_H

/*
 * One direction of a descriptor that the user gave us, read or written without
 * ever blocking, and without touching what others see of it.
 *
 * The open file description behind standard input or output is shared with the
 * user's shell and with whatever else runs on the terminal, so O_NONBLOCK must
 * not be set on it: it would stay set after we are gone.  How else not to block
 * depends on what is behind the descriptor:
 *
 *   terminal, pipe, FIFO   opened anew through /proc/self/fd, which gives an
 *                          open file description of our own, with O_NONBLOCK;
 *                          a terminal that another user owns (after su) is
 *                          opened as /dev/tty, if that is the same one
 *   socket                 MSG_DONTWAIT on each call
 *   regular file           a plain call; files do not block in this sense
 *   anything else, or where opening anew is refused
 *                          poll(2) first, then at most as much as poll promises
 *
 * What poll promises is PIPE_BUF bytes for a pipe, and for a terminal one byte.
 * For a pseudo-terminal that is all but full, even that has been seen to block
 * (Linux 6.18); this is left to pty masters and terminals that do not control us.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"

struct host_stream {
    int fd; /* our own; -1 for a stream that leads nowhere */
    bool socket;
    bool poll_first;
    size_t limit; /* bytes per call */
};

enum host_direction { HOST_INPUT, HOST_OUTPUT };

/*
 * FD stays the caller's; -1 opens the stream that leads nowhere.  THING names
 * it in the error message.
 */
int host_stream_open(struct host_stream *stream, int fd, enum host_direction direction,
                     const char *thing, struct error *error);
void host_stream_close(struct host_stream *stream);

/*
 * Bytes moved, or a negative errno: -EAGAIN when nothing can be moved now.  A
 * read yields 0 at the end of the input; a write never yields 0.  Writing to a
 * pipe without readers raises SIGPIPE unless the process ignores it.
 */
ssize_t host_stream_read(const struct host_stream *stream, uint8_t *bytes, size_t length);
ssize_t host_stream_write(const struct host_stream *stream, const uint8_t *bytes, size_t length);

#endif
