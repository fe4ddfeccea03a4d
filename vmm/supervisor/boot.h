/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BOOT_H
#define MOTE_BOOT_H

/*
 * What `mote boot` does once its options are read: it supervises a VM (vm_process.h), with the terminal, the signals and the
 * exit status.  A VM that restarts is a new monitor.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/config/config.h"
#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/jail/sandbox.h"
#include "vmm/base/timeline.h"
#include "vmm/supervisor/store.h"

struct boot_config {
    struct vm_config vm;
    struct sandbox_config sandbox;
    struct store_entry *entry; /* by which others find the VM, claimed; NULL for none */
    uint64_t output_limit;     /* bytes of the console, where it goes to a file; 0: any number */
    bool detached;             /* from any terminal: SIGHUP is no end, but has disks looked at again */
    int started_fd;            /* gets a byte when the VM runs; -1: nobody waits for that */
};

/* Runs VMs until one ends for good; *STATUS is the exit status then. */
int boot_supervise(struct boot_config *config, struct log *log, struct timeline *timeline,
                   int *status, struct error *error);

/* What `mote boot` and `restore` are told of a VM among others. */
struct boot_naming {
    const char *name;   /* NULL: none, or one that is made up */
    bool detach;        /* go on in the background */
    char *const *words; /* of the command line, for `mote ps` */
    size_t word_count;
};

/*
 * As boot_supervise(), for a VM with a name or without.  With NAMING->detach it returns twice: in the parent once the
 * VM runs, or cannot, with a TIMELINE that has no marks; and in the process that went on with it, at its end.
 */
int boot_named(struct boot_config *config, const struct boot_naming *naming, struct log *log,
               struct timeline *timeline, int *status, struct error *error);

#endif
