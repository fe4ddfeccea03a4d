/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CLONE_H
#define MOTE_CLONE_H

/*
 * What the copies of a snapshot's VM have of their own.  Each type of device knows
 * what of its configuration two VMs cannot have both (for_clone, vmm/config/device.h).
 * A value that the user gives for all copies may have
 *
 *   %d  the copy's number, from 1
 *   %s  its name
 *   %%  a percent sign
 *
 * and then is what each gets; one without %d and %s is treated as the snapshot's.
 */

#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/supervisor/store.h"

struct clone_identity {
    char name[STORE_NAME_MAX + 1];
    unsigned int number; /* from 1 */
};

/* PREFIX-NUMBER, which has to be a name. */
int clone_identify(struct clone_identity *identity, const char *prefix, unsigned int number,
                   struct error *error);

/* A name made of the last part of the path FOLDER. */
void clone_prefix(char prefix[STORE_NAME_MAX + 1], const char *folder);

/* PATTERN for this copy, which the caller frees; *OWN: for another it is another one. */
int clone_expand(char **written, const char *option, const char *pattern,
                 const struct clone_identity *identity, bool *own, struct error *error);

#endif
