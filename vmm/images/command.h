/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_COMMAND_H
#define MOTE_IMAGES_COMMAND_H

/* The subcommands of mote-image, as vmm/cli/commands.h has those of mote. */

#include "vmm/base/error.h"
#include "vmm/base/options.h"

int image_cmd_resolve(int argc, char **argv);
int image_cmd_build(int argc, char **argv);
int image_cmd_unpack_output(int argc, char **argv);
int image_cmd_unpack_kernel(int argc, char **argv);

/* Options as options_parse() reads them, then the one word that NAME names. */
int parse_with_word(const struct option_table *table, void *target, int argc, char **argv,
                    const char *name, const char **word, bool *helped, struct error *error);

#endif
