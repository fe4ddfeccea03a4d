/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_PROCESS_INTERNAL_H
#define MOTE_VM_PROCESS_INTERNAL_H

/* What the parts of vm_process share: vm_process.c has its life, vm_requests.c what it is asked and how long that may take. */

#include "vmm/base/timer.h"
#include "vmm/supervisor/vm_process.h"

/* Requests whose answers are due at the same time. */
#define REQUESTS_MAX 8

struct pending_request {
    uint32_t id; /* 0: this place is free */
    struct vm_reply_handler handler;
    unsigned int seconds; /* that it has taken */
    bool silent;          /* VM_SILENT was told */
    int memory_fd;        /* whose offset tells how far a snapshot is; -1: it is none */
    uint64_t memory;      /* how far it can come */
};

struct vm_process {
    struct event_loop *loop;
    struct log *log;
    struct vm_process_owner owner;
    struct sandbox *sandbox;
    bool runs;
    int channel; /* -1: it does not listen */
    struct timer stop_timer;     /* until a monitor that is to end is killed */
    struct timer farewell_timer; /* from the exit reason that the monitor told to its end */
    struct timer request_timer;  /* each second while an answer is due */

    /* Of one start: */
    bool overdue;       /* it was killed as it did not end in time */
    const char *broken; /* what it did, for which it was killed; NULL: nothing */
    bool reports_start;
    bool wanted_terminal, started, reported; /* which a monitor says once each */
    unsigned int unasked; /* messages that nobody asked for */
    struct event_exited report;

    uint32_t last_id;
    struct pending_request pending[REQUESTS_MAX];
};

/* Calls RANG with the process each time; opened when it is first wanted.  Without a timer there is no patience: false. */
bool vm_process_set_timer(struct vm_process *process, struct timer *timer, void (*rang)(void *context), uint64_t ms);

/* Takes one message of the monitor's from the channel, which is there; false: there is none, or will be none any more. */
bool vm_process_read(struct vm_process *process);

/* ---- vm_requests.c ---------------------------------------------------------- */

/* Whether somebody waits for ANSWER, who has heard it then. */
bool vm_requests_answered(struct vm_process *process, const struct message *answer);
/* There will be no answers. */
void vm_requests_fail(struct vm_process *process);

#endif
