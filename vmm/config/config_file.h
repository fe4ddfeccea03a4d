/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_FILE_H
#define MOTE_CONFIG_FILE_H

/*
 * A VM's configuration as a JSON file in the schema of Firecracker's, so that
 * such files work as they are.  Each value becomes what the command line would
 * say: a drive is the text of a --disk option.  What Mote has no equal for is
 * an error, unless it says what holds anyway ("smt": false).
 *
 * The file comes first, whatever its place on the command line: an option given
 * there replaces the file's value, and devices given there follow the file's.
 */

#include "vmm/config/config.h"
#include "vmm/base/json_reader.h"

/* Takes a device: OPTION is the command line's without dashes, TEXT its value. */
typedef int (*config_add_device)(void *context, const char *option, const char *text,
                                 struct error *error);

struct config_file {
    const char *log_path; /* NULL: standard error */
    int log_level;        /* enum log_level, or -1: not said */
    struct json_reader reader;
    char *command_line; /* made of boot_args and the root drive; NULL without boot_args */
    char *root;         /* of the root drive, for the default command line */
};

/*
 * Reads PATH into CONFIG and its devices by ADD with CONTEXT.  CONFIG's texts
 * are FILE's then: release FILE after the last VM.
 */
int config_file_load(struct config_file *file, const char *path, struct vm_config *config,
                     config_add_device add, void *context, struct error *error);
void config_file_release(struct config_file *file);

#endif
