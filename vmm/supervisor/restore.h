/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RESTORE_H
#define MOTE_RESTORE_H

/*
 * What `mote restore` and `clone` share: their options, and the machine that a
 * snapshot's first section describes, with other devices' values where the user
 * gave some.  All the rest of the state is for the jail.
 */

#include <stdbool.h>
#include <stddef.h>

#include "vmm/supervisor/boot.h"
#include "vmm/base/options.h"
#include "vmm/jail/sandbox_options.h"
#include "vmm/snapshot/machine_state.h"

struct clone_identity;

/* A device as the user gave it, to take the place of one of the snapshot's: text that may be a pattern, see clone.h. */
struct given_device {
    enum device_type type;
    const char *text;
};

#define RESTORE_GIVEN_MAX 192

struct restore_options {
    struct boot_config boot;
    unsigned int log_level;
    bool trust; /* what the snapshot names is the user's wish */
    size_t given_count;
    struct given_device given[RESTORE_GIVEN_MAX]; /* the texts are argv's */
};

#define RESTORE_OPTIONS_DEFAULT                                                                    \
    {                                                                                              \
        .boot = { .vm = vm_config_default(), .sandbox = SANDBOX_CONFIG_DEFAULT, .started_fd = -1 }, \
        .log_level = LOG_INFO,                                                                     \
    }

/* What restore_option_rows() adds to a command's own rows. */
#define RESTORE_ROWS (DEVICE_TYPE_COUNT + 2 + 1 + SANDBOX_OPTION_ROW_COUNT)

/*
 * TABLE's rows become the command's OWN, COUNT of them, and those of both commands, in ROWS, of COUNT + RESTORE_ROWS.
 * The target of all is a structure whose first member is a struct restore_options.
 */
void restore_option_rows(struct option_table *table, struct option_row *rows, const struct option_row *own,
                         size_t count);

/* The machine's section of SOURCE, whose memory has to belong to it; the caller releases it. */
int restore_read(const struct vm_snapshot_source *source, struct machine_state *machine,
                 struct error *error);

/*
 * Whether as many devices were given as MACHINE has of their types, and the others are what this user wants: SOURCE is their
 * own, see vmm/supervisor/snapshot/own.h, or they trust it, or nothing of the host is named.
 */
int restore_check(const struct restore_options *options, const struct vm_snapshot_source *source,
                  const struct machine_state *machine, struct error *error);

/* What was given takes the place of CONFIG's devices; and the copy IDENTITY, NULL for none, has its own of what cannot be shared. */
int restore_devices(struct vm_config *config, const struct given_device *given, size_t count,
                    const struct clone_identity *identity, struct error *error);

/* OPTIONS->boot is for MACHINE from SOURCE, which outlives it; the caller releases its configuration. */
int restore_configure(struct restore_options *options, const struct machine_state *machine,
                      const struct vm_snapshot_source *source, const struct clone_identity *identity,
                      struct error *error);

#endif
