/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_OUTPUT_H
#define MOTE_RUN_OUTPUT_H

/*
 * What a job left in /output, as a tar archive that a hostile guest wrote: the
 * helper program program mote-image unpacks it, apart from us, straight from the
 * guest's stream.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/base/error.h"
#include "vmm/job/image_program.h"

/*
 * The folder is made if it is not there, and holds nothing unless the job's files are to MERGE with it: a job could
 * replace what the user runs.  Fails before any job runs.
 */
int output_prepare(const char *folder, bool merge, struct error *error);

/* Unpacks the archive that comes from FD, which stays the caller's. */
int output_start(pid_t *process, const struct image_program *program, const char *folder, bool merge,
                 int fd, struct error *error);

/* 1: it is done, or there was none; 0: not yet; -1: it failed, and told why. */
int output_finished(pid_t *process);

/* Ends it.  0 is fine. */
void output_stop(pid_t process);

#endif
