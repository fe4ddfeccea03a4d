/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_COMMAND_H
#define MOTE_COMMAND_H

/*
 * The subcommands, one file each.  A command gets its own name as ARGV[0] and
 * returns the process's exit status.
 */

#include <stddef.h>

#include "vmm/base/error.h"

/* Exit statuses of the monitor itself; the manual lists them. */
enum {
    STATUS_OK = 0,
    STATUS_PANIC = 123, /* the guest's kernel panicked */
    STATUS_TIMEOUT = 124, /* --timeout ended the job */
    STATUS_FAILED = 125,  /* Mote could not do what was asked */
    STATUS_NOT_EXECUTABLE = 126, /* the job's command, in the guest */
    STATUS_NOT_FOUND = 127,
    STATUS_SIGNAL = 128, /* plus the number of the signal that ended it */
};

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
};

/* Runs the command that ARGV names, or tells of all; returns the exit status. */
int program_main(const struct program *program, int argc, char **argv);

int cmd_bench(int argc, char **argv);
int cmd_boot(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_run(int argc, char **argv);

int cmd_clone(int argc, char **argv);
int cmd_restore(int argc, char **argv);

int cmd_template(int argc, char **argv);
/* cmd_vm.c */
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_refresh(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);

/* cmd_snapshot.c; of `mote snapshot` */
int cmd_snapshot_merge(int argc, char **argv);
int cmd_snapshot_verify(int argc, char **argv);

/* cmd_jobs.c */
int cmd_ps(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_rm(int argc, char **argv);

/* Says what went wrong in one line on standard error; returns STATUS_FAILED. */
int command_failed(const struct error *error);

#endif
