/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_MACHINE_STATE_H
#define MOTE_MACHINE_STATE_H

/*
 * The first section of a snapshot's state: which machine it is, and of which
 * devices.  A restored VM is made from it as if its options had been given again;
 * the supervisor reads this section alone, the monitor in its jail all others.
 */

#include "vmm/config/config.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/machine/state.h"

struct machine_state {
    uint8_t id[SNAPSHOT_ID_SIZE]; /* of the snapshot: its memory has the same */
    char *arch;                   /* as arch_name */
    struct vm_config config;      /* of it: memory, CPUs, console, describe and the devices */
};

/*
 * Saves or loads; MACHINE is the caller's, begins as MACHINE_STATE_INIT and ends by machine_state_release().  What is
 * loaded is in the range of each field; vm_config_validate() tells whether it makes a VM.
 */
#define MACHINE_STATE_INIT { .arch = NULL, .config = vm_config_default() }
void machine_state(struct machine_state *machine, struct state *state);
void machine_state_release(struct machine_state *machine);

/* Saves CONFIG's.  ID is the snapshot's. */
void machine_state_save(const struct vm_config *config, const uint8_t id[SNAPSHOT_ID_SIZE],
                        struct state *state);

/* CONFIG, which has no devices, becomes that of MACHINE in all that this has of one. */
int machine_state_configure(const struct machine_state *machine, struct vm_config *config,
                            struct error *error);

/*
 * Whether the state BYTES is that of CONFIG's machine and the snapshot ID, to the
 * byte: it says what of the host a restored VM gets, and came from a process that
 * a guest may have broken into.
 */
int machine_state_verify(const void *bytes, size_t length, const struct vm_config *config,
                         const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error);

/* All of the file FD, at most STATE_SIZE_MAX bytes; the caller frees *BYTES. */
int machine_state_read(int fd, void **bytes, size_t *length, struct error *error);
/* To the begin of FD. */
int machine_state_write(int fd, const void *bytes, size_t length, struct error *error);

#endif
