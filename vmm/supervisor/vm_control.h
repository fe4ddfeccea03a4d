/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_CONTROL_H
#define MOTE_VM_CONTROL_H

/*
 * The control of a VM or job that has a name: what clients of its control socket ask becomes requests to its VM's process, whose
 * answers go back.  The supervisor opens and names the files of a snapshot; the process in its jail gets their descriptors.
 */

#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/config/config.h"
#include "vmm/supervisor/store.h"
#include "vmm/supervisor/vm_process.h"

struct vm_control;

/* Whose VM it is; all of it outlives the control. */
struct vm_control_owner {
    struct vm_config *vm; /* follows what is changed while it runs */
    struct log *log;
    const struct store_entry *entry; /* which the owner has claimed */
    bool is_job; /* its VM is no one without this supervisor: it is not to be saved */
    void (*stop)(void *context); /* as SIGTERM does */
    void *context;
};

int vm_control_create(struct vm_control **control, const struct vm_control_owner *owner,
                      struct event_loop *loop, struct error *error);

/*
 * PROCESS, which runs, is the one to ask from now on; NULL: it has ended, and nobody awaits its answer any more.
 * NULL for CONTROL is fine, here and below.
 */
void vm_control_attach(struct vm_control *control, struct vm_process *process);

/* Resumes a paused VM, also one that is just being paused: somebody else than its client wants something of it. */
void vm_control_resume(struct vm_control *control);

/* A snapshot that is being brought to the disk is given up. */
void vm_control_abandon(struct vm_control *control);

/* The last monitor has ended: runs the loop until such a snapshot is complete or given up. */
int vm_control_finish(struct vm_control *control, struct error *error);

/* In a child that was just forked, such as the VM's process: none of it is for a jail. */
void vm_control_leave(struct vm_control *control);

void vm_control_destroy(struct vm_control *control);

#endif
