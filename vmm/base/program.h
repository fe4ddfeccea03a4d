/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PROGRAM_H
#define MOTE_PROGRAM_H

/*
 * A program of subcommands: mote, mote-image, mote-bench.  A command gets its own
 * name as ARGV[0] and returns the process's exit status.
 */

#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/base/exit_status.h"
#include "vmm/base/options.h"

struct command {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv);
};

/* A program is a table of them, and what its help says around the table. */
struct program {
    const char *name;
    const char *intro;    /* from "Usage:" to the table */
    const char *examples; /* and whatever else follows it */
    int width;            /* of the longest command's name, for the table */
    const struct command *commands;
    size_t count;
    const struct foreign_word *foreign; /* commands of other programs; or NULL */
};

/* Runs the command that ARGV names, or tells of all; returns the exit status. */
int program_main(const struct program *program, int argc, char **argv);

/* Says what went wrong in one line on standard error; returns STATUS_FAILED. */
int command_failed(const struct error *error);

#endif
