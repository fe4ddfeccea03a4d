/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_PROCESS_H
#define MOTE_VM_PROCESS_H

/*
 * A VM in its jail, as its supervisor has it: the one handle for all that start VMs.
 *
 * The process that the user started supervises: it has the terminal, the signals, the clock and the verdict.  The VM's
 * process, the monitor, has the VM and nothing else.  It dies with its parent, and what the two share are inherited
 * descriptors: whichever is killed, and whenever, nothing is left.
 *
 * The handle works on its owner's event loop and never waits, but for the kernel where it says so.  The owner starts the VM,
 * sends it requests, and hears of events: that the VM has started, that it was answered, that it has exited.  Nothing that the
 * monitor sends is believed, as its guest may have broken into it: one that sends what is no message of its own, or without end
 * what nobody asked for, is killed; so is one that does not end when it is told to, or says why it dies and lives on.
 */

#include <stdbool.h>

#include "vmm/base/event_loop.h"
#include "vmm/jail/sandbox.h"
#include "vmm/monitor/monitor.h"
#include "vmm/monitor/protocol.h"
#include "vmm/supervisor/vm_exit.h"

struct vm_process;

/* Who is told, from the event loop; NULL where such an event is none that a sound monitor sends. */
struct vm_process_owner {
    void (*terminal_wanted)(void *context); /* REQUEST_TERMINAL_READY is due when it is raw */
    void (*started)(void *context);
    /* The last of a start; the process may be started again, or be destroyed, from within. */
    void (*exited)(void *context, const struct vm_exit *exit);
    /*
     * In the VM's process, first of all: closes what the owner has open.  None of that is the VM's: a guest that breaks its
     * monitor could disarm a clock, or write another process into a lock.
     */
    void (*leave)(void *context);
    void *context;
};

/* SANDBOX is copied; LOG, and OWNER's context, outlive the process. */
int vm_process_create(struct vm_process **process, const struct sandbox_config *sandbox, struct event_loop *loop,
                      struct log *log, const struct vm_process_owner *owner, struct error *error);

/* Kills what still runs.  NULL is fine. */
void vm_process_destroy(struct vm_process *process);

/*
 * Forks the monitor.  One at a time; all of the caller's signals are blocked by then.  OPTIONS are copied but for what they
 * point to; they have no log and no sandbox, which are the process's.
 */
int vm_process_start(struct vm_process *process, const struct monitor_options *options, struct error *error);

bool vm_process_runs(const struct vm_process *process);
/* The monitor; 0: it does not run. */
pid_t vm_process_pid(const struct vm_process *process);

/* After SIGCHLD: the VM may have ended. */
void vm_process_look(struct vm_process *process);

/* Kills it, if it still runs, and waits for the kernel; its exit is not told.  Whoever awaits an answer hears that there is none. */
void vm_process_end(struct vm_process *process);

/* For SIGSTOP, SIGCONT, and SIGKILL, upon which its exit is told as always. */
void vm_process_signal(struct vm_process *process, int signal);

/* Kills it for what it did, which no sound monitor does: "handed over what is no connection".  A literal. */
void vm_process_kill_broken(struct vm_process *process, const char *what);

/* In another child that was forked: closes what of it is open. */
void vm_process_leave(struct vm_process *process);

/* ---- requests --------------------------------------------------------------- */

enum vm_reply {
    VM_ANSWERED,
    VM_SILENT, /* there was no answer for too long; one of the others follows, as late as it may be */
    VM_GONE,   /* there will be no answer: the VM ended, or its process hung up */
};

struct vm_reply_handler {
    void (*replied)(void *context, enum vm_reply reply, const struct answer *answer); /* ANSWER is of VM_ANSWERED alone */
    void *context;
};

/*
 * Sends a request; HANDLER hears what comes of it, NULL asks for no answer.  An error tells the user why it was not sent.
 * How long the monitor may be silent is vm_process.c's to know.
 */
int vm_process_request(struct vm_process *process, const struct message *request, const int *fds, size_t fd_count,
                       const struct vm_reply_handler *handler, struct error *error);

/* Whether requests can be sent: it runs and has not hung up. */
bool vm_process_listens(const struct vm_process *process);

/* Has it end; it is killed if it does not within a few seconds. */
void vm_process_stop(struct vm_process *process, enum stop_origin origin);

/* It will be sent FD, a disk of SIZE bytes, and may write so far, also where that is memory. */
void vm_process_allow_file(struct vm_process *process, int fd, uint64_t size);

/* What a VM is saved to; the caller's, open until its handler has heard. */
struct vm_saving {
    int state_fd, memory_fd;
    uint64_t memory; /* the guest's, bytes */
    struct request_snapshot request;
    const struct vm_snapshot_source *base; /* of which request.base_count are to be passed on, or NULL */
};

/* Has it saved.  vm_process_files_written() is due when the handler has heard VM_ANSWERED or VM_GONE, or after an error. */
int vm_process_save(struct vm_process *process, const struct vm_saving *saving, const struct vm_reply_handler *handler,
                    struct error *error);
/* NULL is fine: a process that has ended. */
void vm_process_files_written(struct vm_process *process, bool kept);

#endif
