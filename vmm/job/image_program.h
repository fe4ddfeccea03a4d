/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_IMAGE_PROGRAM_H
#define MOTE_RUN_IMAGE_PROGRAM_H

/*
 * mote-image as mote run starts it: what reads images, archives and packed
 * kernels is a program of its own, which jails itself as its caller's VM is.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/base/error.h"
#include "vmm/jail/sandbox.h"

struct image_program {
    bool quiet;                           /* for the callers: no progress */
    const struct sandbox_config *sandbox; /* mode and `required` are passed on */
};

/*
 * Starts its command WORDS[0] with the other WORDS, of which there are few, up to
 * a NULL; the rest is as for helper_program_start().
 */
int image_program_start(pid_t *process, const struct image_program *program,
                        const char *const words[], int input, int output, struct error *error);

#endif
