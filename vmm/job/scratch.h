/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_SCRATCH_H
#define MOTE_RUN_SCRATCH_H

/*
 * The disk that a job writes to with --scratch: a sparse file without a name in
 * $TMPDIR or /var/tmp, which takes of the host's disk what the job writes and
 * is gone with the last who has it open.  mke2fs makes its file system.
 */

#include <stdint.h>

#include "vmm/base/error.h"

/* *FD is the caller's. */
int scratch_create(uint64_t size, int *fd, struct error *error);

#endif
