/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CLONE_H
#define MOTE_CLONE_H

/*
 * What the copies of a snapshot's VM have of their own.  Each device tells what
 * of its option's value two VMs cannot have both (for_clone, devices/virtio/device.h).
 * A value that the user gives for all copies may have
 *
 *   %d  the copy's number, from 1
 *   %s  its name
 *   %%  a percent sign
 *
 * and then is what each gets; one without %d and %s is treated as the snapshot's.
 */

#include "vmm/base/error.h"
#include "vmm/snapshot/machine_state.h"
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

/*
 * MACHINE's devices for one copy in *ONE, which shares all else with MACHINE and ends before it, by clone_release().
 * GIVEN are those whose values the user gave.
 */
int clone_machine(struct machine_state *one, const struct machine_state *machine, const bool *given,
                  const struct clone_identity *identity, struct error *error);
void clone_release(struct machine_state *one);

#endif
