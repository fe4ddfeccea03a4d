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

#define MACHINE_TEXT_MAX 4096
#define MACHINE_OPTION_MAX 32

struct machine_state {
    uint8_t id[SNAPSHOT_ID_SIZE]; /* of the snapshot: its memory has the same */
    char *arch;                   /* as arch_name */
    uint64_t memory;              /* bytes */
    uint32_t cpus;
    uint32_t console;  /* enum console_kind */
    uint32_t describe; /* enum describe */
    size_t device_count;
    struct {
        char *option; /* of the command line, without dashes */
        char *text;   /* NULL for none */
    } devices[CONFIG_TEXTS_MAX];
};

/* Saves or loads; MACHINE is the caller's, who ends it by machine_state_release(). */
void machine_state(struct machine_state *machine, struct state *state);
void machine_state_release(struct machine_state *machine);

/* From and to a configuration.  ID is the snapshot's. */
int machine_state_of(struct machine_state *machine, const struct vm_config *config,
                     const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error);
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
