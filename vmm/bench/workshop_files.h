/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_WORKSHOP_FILES_H
#define MOTE_BENCH_WORKSHOP_FILES_H

/* The files of the workshop that have formats of their own. */

#include "vmm/bench/workshop.h"

/* The job as the init of an initramfs. */
int workshop_make_initramfs(const struct workshop *workshop, struct error *error);

/* An OCI bundle (runtime-spec 1.0) over the root, with namespaces of every kind and no rights. */
int workshop_make_bundle(const struct workshop *workshop, enum job_mode mode, struct error *error);

/* Firecracker's configuration for KERNEL and the contender NAME; PATH gets its name. */
int workshop_make_firecracker(const struct workshop *workshop, const char *name,
                              const char *kernel, enum job_mode mode, char path[PATH_MAX],
                              struct error *error);

/* The kernel's command line: what boots fast everywhere, and the job's word for its init. */
void workshop_command_line(const struct workshop *workshop, enum job_mode mode,
                           char line[PATH_MAX]);

/* The job's word for MODE, and the folder of its bundle. */
void workshop_mode_word(const struct workshop *workshop, enum job_mode mode, char word[PATH_MAX]);
void workshop_bundle(const struct workshop *workshop, enum job_mode mode, char path[PATH_MAX]);

/* In the workshop's folder: in the root, for containers, and a disk for VMs. */
#define WORKSHOP_DATA "root/mote-data"
int workshop_make_data(const struct workshop *workshop, struct error *error);

#endif
