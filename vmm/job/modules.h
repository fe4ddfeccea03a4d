/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_MODULES_H
#define MOTE_RUN_MODULES_H

/*
 * Which modules of a stock kernel a job's guest needs: those of Mote's devices,
 * the overlay and what else is WANTED, with what they depend on by the folder's
 * modules.dep (depmod(8)).  One that is not there is built in, or missed when
 * the guest needs it.
 */

#include "vmm/base/error.h"
#include "vmm/job/job.h"

/* The files' paths in FOLDER into *MODULES, each after those that it needs. */
int modules_resolve(const char *folder, const struct text_list *wanted, struct text_list *modules,
                    struct error *error);

#endif
