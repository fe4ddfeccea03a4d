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
#include "vmm/snapshot/machine_state.h"

struct restore_options {
    struct boot_config boot;
    unsigned int log_level;
    bool trust; /* what the snapshot names is the user's wish */
    size_t override_count;
    struct device_text overrides[CONFIG_TEXTS_MAX]; /* the texts are argv's */
};

#define RESTORE_OPTIONS_DEFAULT                                                                    \
    {                                                                                              \
        .boot = { .vm = vm_config_default(), .sandbox = SANDBOX_CONFIG_DEFAULT,                     \
                  .on_reboot = ON_REBOOT_EXIT, .started_fd = -1 },                                  \
        .log_level = LOG_INFO,                                                                     \
    }

#define RESTORE_ROWS_MAX 32

/*
 * TABLE's rows become the command's OWN, COUNT of them, and those of both commands, in ROWS, of RESTORE_ROWS_MAX.  The
 * target of all is a structure whose first member is a struct restore_options.
 */
void restore_option_rows(struct option_table *table, struct option_row *rows, const struct option_row *own,
                         size_t count);

/* The machine's section of SOURCE, whose memory has to belong to it; the caller releases it. */
int restore_read(const struct vm_snapshot_source *source, struct machine_state *machine,
                 struct error *error);

/* Puts what was given in place of what MACHINE says, and sets GIVEN, of all its devices, where that was so. */
int restore_override(const struct restore_options *options, struct machine_state *machine,
                     bool given[CONFIG_TEXTS_MAX], struct error *error);

/*
 * Whether MACHINE's devices, but for those that were GIVEN, are what this user wants: SOURCE, of FOLDER, is their own, see
 * vmm/supervisor/snapshot/own.h, or they trust it, or nothing of the host is named.
 */
int restore_check_names(const struct restore_options *options, const struct vm_snapshot_source *source,
                        const struct machine_state *machine, const bool given[CONFIG_TEXTS_MAX], struct error *error);

/* OPTIONS->boot is for MACHINE from SOURCE, which outlives it; the caller releases its configuration. */
int restore_configure(struct restore_options *options, const struct machine_state *machine,
                      const struct vm_snapshot_source *source, struct error *error);

#endif
