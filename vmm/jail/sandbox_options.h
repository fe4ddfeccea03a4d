/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SANDBOX_OPTIONS_H
#define MOTE_SANDBOX_OPTIONS_H

/* The sandbox's options, for the tables of all commands that start a VM. */

#include <stddef.h>

#include "vmm/base/options.h"
#include "vmm/jail/sandbox.h"

extern const char *const sandbox_mode_names[];

/* A user or group into a uint64_t. */
int sandbox_set_id(void *target, const struct option_row *row, const char *value,
                   struct error *error);

#define SANDBOX_OPTION_ROW_COUNT 4
/* Rows for the struct sandbox_config MEMBER of TYPE. */
#define SANDBOX_OPTION_ROWS(type, member)                                                          \
    { "Sandbox", "sandbox", "HOW", "on (default): the monitor jails itself; or off",               \
      option_set_choice, .offset = offsetof(type, member.mode), .choices = sandbox_mode_names },   \
    { NULL, "require-sandbox", NULL, "refuse to start unless every layer of it stands",            \
      option_set_flag, .offset = offsetof(type, member.required) },                                \
    { NULL, "uid", "N", "as root: the user to become (default: one of the VM's own)",              \
      sandbox_set_id, .offset = offsetof(type, member.uid) },                                      \
    { NULL, "gid", "N", "as root: the group to become (default: as the user)", sandbox_set_id,     \
      .offset = offsetof(type, member.gid) }

#endif
