/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_VM_PROCESS_H
#define MOTE_RUN_VM_PROCESS_H

/*
 * The VM in a process of its own, and that in its jail (sandbox.h).
 *
 * The process that the user started supervises: it has the terminal, the
 * signals, the clock and the verdict.  Its child has the VM and nothing else.
 * The child dies with its parent, and what the two share are inherited
 * descriptors: whichever is killed, and whenever, nothing is left.
 */

#include "vmm/config/config.h"
#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/jail/sandbox.h"
#include "vmm/base/timeline.h"

/* Why the VM's process failed; in memory that both share. */
struct vm_failure {
    char message[sizeof(((struct error *)0)->message)];
};

/* Files that a VM is to be saved into; see vm.h. */
struct vm_saving {
    int state_fd, memory_fd;
    const uint8_t *id; /* 16 bytes, the snapshot's */
};

/*
 * Whoever starts it.  What that has open is none of the VM's: a guest that breaks
 * its monitor could disarm a clock, or write another process into a lock.  LEAVE
 * closes it, in the child.
 */
struct vm_owner {
    void (*leave)(void *context);
    void *context;
};

struct vm_process {
    struct vm_failure *failure;
    struct sandbox *sandbox;
    bool runs;      /* not waited for yet */
    int handoff;    /* the guest's connections, by socket_handoff_receive() */
    int console;    /* what the guest's kernel prints; non-blocking */
    int channel;    /* for requests (protocol.h); -1: there will be none */
    uint32_t last_id; /* of a request */
    int status;     /* once it was waited for: STATUS_OK, STATUS_PANIC or STATUS_FAILED;
                       or less than 0, if it did not end by itself */
    struct error error; /* why it failed */
};

#define VM_PROCESS_INIT { .failure = NULL, .handoff = -1, .console = -1, .channel = -1, .error = ERROR_INIT }

/*
 * Forks; the child makes a VM of CONFIG, to which a vsock device is added, enters
 * the jail that SANDBOX describes, runs the VM and leaves its error in `failure`.
 * TIMELINE lies in shared memory.  All of the caller's signals are blocked by
 * then.  ORDERED: there will be orders.
 */
int vm_process_start(struct vm_process *process, struct vm_config *config,
                     bool ordered, const struct vm_owner *owner, const struct sandbox_config *sandbox,
                     struct log *log, struct timeline *timeline, struct error *error);

/* Of a template, with a record_fd: has recorded what its guest has written by now, once; `channel` tells when. */
int vm_process_record(struct vm_process *process, struct error *error);

/*
 * Orders it to save the VM.  When the answer comes from `channel`, the VM goes on,
 * and its process has the files no more.
 */
int vm_process_save(struct vm_process *process, const struct vm_config *config,
                    const struct vm_saving *saving, struct error *error);

/* There will be no more orders. */
void vm_process_close_channel(struct vm_process *process);

/* The VM can do nothing more; vm_process_look() tells when it has ended. */
void vm_process_kill(struct vm_process *process);

/* Ends it, if it still runs, and waits for it.  As often as you like. */
void vm_process_end(struct vm_process *process);

/*
 * Whether it has ended by itself; then `status` tells how.  Due when, and never waits, as sandbox_look(); and what is readable
 * with its last words, -1 once it has ended.
 */
enum sandbox_end vm_process_look(struct vm_process *process);
int vm_process_end_fd(const struct vm_process *process);

/* And takes away from CONFIG what vm_process_start() added. */
void vm_process_close(struct vm_process *process, struct vm_config *config);

#endif
