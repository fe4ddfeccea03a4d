/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_COMMANDS_H
#define MOTE_COMMANDS_H

/*
 * The subcommands of mote in the order of its --help, a row each: cmd_NAME() of vmm/cli/cmd_*.c, and what --help says of it.  The
 * verbs of vm_verbs.h that are commands, by cmd_verb(), stand between the two tables.
 */

#include "vmm/base/program.h"

#define COMMANDS_FIRST(row)                             \
    row(boot, "boot a kernel in a microVM")             \
    row(run, "run a command in a microVM of its own")

#define COMMANDS_LAST(row)                                                  \
    row(disk, "change the file or the rate limits of a VM's disk")          \
    row(net, "change the rate limits of a VM's network")                    \
    row(snapshot, "save a VM")                                              \
    row(restore, "start a VM from a snapshot")                              \
    row(clone, "start many VMs from one snapshot")                          \
    row(template, "list or remove what 'mote run --warm' saved")            \
    row(status, "show a VM or job that runs")                               \
    row(ps, "list the jobs and VMs that have a name")                       \
    row(logs, "print what a detached job has written")                      \
    row(wait, "wait for a job's end")                                       \
    row(stop, "end a job, by SIGTERM first")                                \
    row(kill, "send a job a signal")                                        \
    row(rm, "remove a job that has ended")                                  \
    row(bench, "compare Mote's start with containers and other monitors")   \
    row(doctor, "show what this host offers and what Mote will use")

#define COMMAND_DECLARE(name, help) int cmd_##name(int argc, char **argv);
COMMANDS_FIRST(COMMAND_DECLARE)
COMMANDS_LAST(COMMAND_DECLARE)

int cmd_verb(int argc, char **argv);

/* Of `mote snapshot`. */
int cmd_snapshot_merge(int argc, char **argv);
int cmd_snapshot_verify(int argc, char **argv);

#endif
