/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_COMMANDS_H
#define MOTE_COMMANDS_H

/* The subcommands of mote, a file each. */

#include "vmm/base/program.h"

int cmd_bench(int argc, char **argv);
int cmd_boot(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_run(int argc, char **argv);

int cmd_clone(int argc, char **argv);
int cmd_restore(int argc, char **argv);

int cmd_template(int argc, char **argv);
/* cmd_vm.c */
int cmd_verb(int argc, char **argv); /* of vm_verbs.h */
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

#endif
