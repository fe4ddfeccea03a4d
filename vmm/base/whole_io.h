/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_WHOLE_IO_H
#define MOTE_WHOLE_IO_H

/*
 * All bytes of a read or write, in however many calls the kernel takes for them,
 * or a negative errno.  By pread(2), pwrite(2) and write(2) alone, which the lists
 * of system calls know.
 */

#include <stddef.h>
#include <stdint.h>

/* -ENODATA: the file ends before. */
int whole_pread(int fd, void *bytes, size_t length, uint64_t offset);
int whole_pwrite(int fd, const void *bytes, size_t length, uint64_t offset);
int whole_write(int fd, const void *bytes, size_t length);

#endif
