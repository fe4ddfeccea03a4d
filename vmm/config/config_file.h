/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_FILE_H
#define MOTE_CONFIG_FILE_H

/*
 * A VM's configuration as a JSON file: in Mote's own form (config_json.h), which
 * its key "mote" tells, or else in the schema of Firecracker's (firecracker.h).
 *
 * The file comes first, whatever its place on the command line: an option given
 * there replaces the file's value, and devices given there follow the file's.
 */

#include "vmm/config/config.h"

/* What a file says of messages. */
struct config_file_log {
    const char *path; /* CONFIG's pool's; NULL: standard error */
    int level;        /* enum log_level, or -1: not said */
};

/* Reads PATH into CONFIG, and LOG. */
int config_file_load(const char *path, struct vm_config *config, struct config_file_log *log,
                     struct error *error);

#endif
