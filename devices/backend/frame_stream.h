/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_FRAME_STREAM_H
#define MOTE_FRAME_STREAM_H

/*
 * Ethernet frames over a stream socket, each behind its length in four bytes,
 * big-endian, as QEMU's socket netdev and passt have it.
 *
 * A stream has no borders: one recv(2) may bring a hundred frames or half a
 * length, and one send may take half a frame.  What came too early or did not
 * get away waits in a buffer here.  The peer is not trusted either: a length
 * that no frame has ends the stream, for nothing after it has a meaning.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct frame_stream;

/* FD becomes the stream's own, and blocks nobody.  NULL: no memory, or FD is none; it stays.  SIGPIPE is to be ignored. */
struct frame_stream *frame_stream_create(int fd);
void frame_stream_destroy(struct frame_stream *stream);

/*
 * The next frame, behind an empty uplink_header, into SEGMENTS; the bytes of
 * both, as far as they fit.  -EAGAIN: none is complete; -EPIPE: the peer is
 * gone; -EPROTO: the peer sent a length that cannot be.
 */
ssize_t frame_stream_receive(struct frame_stream *stream, const struct iovec *segments, int count);

/*
 * The frame that frame_stream_receive() gives next, where no guest can change it;
 * its length, or as that one what there is instead.
 */
ssize_t frame_stream_peek(struct frame_stream *stream, const uint8_t **frame);

/* As uplink_ops's send() and flush(). */
ssize_t frame_stream_send(struct frame_stream *stream, struct iovec *segments, int count);
bool frame_stream_flush(struct frame_stream *stream);

#endif
