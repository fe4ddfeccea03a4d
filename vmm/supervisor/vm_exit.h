/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_EXIT_H
#define MOTE_VM_EXIT_H

/*
 * How a VM ended: by what its monitor reported, as far as the kernel's account of that process' end does not say otherwise.
 * A guest may have written the report.
 */

#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/base/timeline.h"
#include "vmm/monitor/protocol.h"
#include "vmm/monitor/vm.h"

struct vm_exit {
    enum vm_end_kind end; /* VM_RUNNING: it did not come to one, and `error` tells why */
    char how[sizeof(((struct event_exited *)0)->how)];
    struct error error;   /* also of one that ended, such as a lost tail of its output; its number is 0 for none */
    struct timeline timeline; /* the monitor's; without marks where it reported none */
};

/*
 * What came of a monitor with this REPORT, NULL for none, whose process ended with STATUS, as sandbox_wait() told, and ERROR where
 * that is negative.  A report that the kernel contradicts is none.
 */
void vm_exit_judge(struct vm_exit *exit, const struct event_exited *report, int status, const struct error *error);

/* A guest that was to be restarted after its reset, but for a stop that came in the same moment, was stopped. */
void vm_exit_take_stop(struct vm_exit *exit);

/* Mote's exit status, and what the user is told; SIGNAL ended the VM, 0 for none. */
int vm_exit_status(const struct vm_exit *exit, int signal);
void vm_exit_tell(const struct vm_exit *exit, int signal, struct log *log);

#endif
