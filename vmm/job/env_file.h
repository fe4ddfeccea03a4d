/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_ENV_FILE_H
#define MOTE_RUN_ENV_FILE_H

/*
 * Variables for a job.  `NAME=VALUE` sets one, `NAME` alone hands on the one
 * that we have, if we have it.  A file has one to a line; empty lines and those
 * that begin with '#' are left out, and quotes are not special.
 */

#include "vmm/job/job.h"

int env_add(struct text_list *environment, const char *option, const char *text,
            struct error *error);
int env_add_file(struct text_list *environment, const char *path, struct error *error);

#endif
