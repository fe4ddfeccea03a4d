/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_SUPERVISOR_INTERNAL_H
#define MOTE_RUN_SUPERVISOR_INTERNAL_H

/*
 * What the supervisor's parts share: supervisor.c has the loop, the clock and
 * the signals; conversation.c the guest's connections and what it says on them;
 * warm.c the template that a VM goes on from or becomes.
 */

#include <signal.h>

#include "vmm/supervisor/background_task.h"
#include "vmm/supervisor/orders.h"
#include "vmm/base/event_loop.h"
#include "vmm/supervisor/kept_output.h"
#include "vmm/job/console_show.h"
#include "vmm/job/control.h"
#include "vmm/job/relay.h"
#include "vmm/job/supervisor.h"
#include "vmm/supervisor/vm_process.h"
#include "vmm/base/signals.h"
#include "vmm/base/terminal.h"
#include "vmm/base/timer.h"

/* How far the conversation has come. */
enum phase {
    PHASE_WAITING,  /* for the control connection and HELLO */
    PHASE_PREPARING, /* the guest does what it can before its job comes */
    PHASE_SAVING,   /* the guest waits for its job, and becomes a template; or what it wrote is recorded */
    PHASE_STARTING, /* the job was sent; its streams connect */
    PHASE_RUNNING,
    PHASE_ENDED,    /* the guest told how; streams may still have something */
};

enum alarm { ALARM_TIMEOUT, ALARM_GRACE, ALARM_LAST, ALARM_OUTPUT };

/* What the VM that runs now has to do with a template. */
enum warm { WARM_NONE, WARM_SAVES, WARM_RESTORED };

enum stream_name { STREAM_INPUT, STREAM_OUTPUT, STREAM_ERROR, STREAM_COUNT };

struct stream {
    struct supervisor *supervisor;
    struct relay *relay; /* NULL before it was connected and after its end */
    int fd;              /* the guest's side */
    bool connected;      /* once */
    uint64_t count;      /* bytes, at its end */
};

struct supervisor {
    const struct supervisor_options *options;
    struct outcome *outcome;
    struct event_loop *loop;
    struct vm_process vm;
    struct signals signals;
    struct timer clock;
    enum alarm alarm; /* what the clock is set for */
    enum warm warm;
    struct background_task keeping; /* of the template, while the job runs */
    const char *distrust; /* why a guest that was restored was ended; NULL: it was not */
    struct timer patience; /* with a guest that was restored, or a VM that is being saved */
    struct timer farewell; /* from the VM's last words to its end */
    uint64_t save_looks;   /* seconds that the saving has taken */
    const char *broken;    /* what the VM's process did, for which it was killed; NULL: nothing */
    uint64_t handoffs_since; /* ms */
    unsigned int handoffs; /* connections of the VM's process, in the second from then */
    unsigned int unasked;  /* answers of the VM's process that no order waited for */
    enum phase phase;
    bool over;        /* the outcome stands */
    bool failed;      /* Mote could not do all that was asked: status 125 */
    enum cause stop_cause; /* why we ended the job; CAUSE_COUNT: we did not */
    unsigned int ends_wanted;
    bool has_terminal; /* which went away if there is none later */
    struct orders *orders; /* of a job that has a name, or NULL; its VM's once the job runs */

    struct control *control;
    struct terminal *terminal;
    struct kept_output kept;
    struct console_show console;
    struct console_tail tail;
    struct stream streams[STREAM_COUNT];
    bool output_connected;
    pid_t output_process; /* unpacks /output; 0: none */
};

uint64_t supervisor_now_ms(void);

/* Tells the user and the verdict what went wrong. */
void supervisor_complain(struct supervisor *supervisor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The outcome: the first one counts. */
void supervisor_end(struct supervisor *supervisor, enum cause cause, int status);
/* SIGTERM to the job, and what follows where that does not help. */
void supervisor_stop_job(struct supervisor *supervisor, enum cause cause);
/* Sets the clock for /output. */
void supervisor_await_output(struct supervisor *supervisor);

/* The exit status of a job that was ended by us. */
int supervisor_stop_status(enum cause cause);
int supervisor_start_vm(struct supervisor *supervisor, struct error *error);
/* The VM ends before its job came: another may take its place. */
void supervisor_close_vm(struct supervisor *supervisor);
int supervisor_watch(struct supervisor *supervisor, int fd, event_handler handler,
                     struct error *error);
/* A record to a guest that is ready; false: it cannot be sent, which was told and ends the supervisor, or the trial. */
bool supervisor_send(struct supervisor *supervisor, const void *record, size_t length);
void supervisor_send_job(struct supervisor *supervisor);

/* ---- warm.c ---- */
/* Around the VM's start: whether it will be ordered to save; and what is waited for. */
bool warm_begin(struct supervisor *supervisor);
int warm_started(struct supervisor *supervisor, struct error *error);
/* The guest is ready; whether its job has to wait.  And once it is prepared, too. */
bool warm_comes_first(struct supervisor *supervisor);
void warm_prepared(struct supervisor *supervisor);
/* What the order came to. */
void warm_answered(struct supervisor *supervisor, const struct answer *answer);
/* A guest that was restored is not what it should be, and its job not sent: it is ended, and WHY told. */
bool warm_distrusts(struct supervisor *supervisor, const char *why);
/* The VM has ended; whether another has taken its place. */
bool warm_starts_anew(struct supervisor *supervisor);
/* The job is over: its template is waited for, by the loop; or that is given up, as the user wants to end. */
void warm_finish(struct supervisor *supervisor);
void warm_hurry(struct supervisor *supervisor);
void warm_close(struct supervisor *supervisor);
/* In the VM's process: closes what is not for it. */
void warm_leave(struct supervisor *supervisor);

/* All connections that are there. */
void supervisor_take_connections(struct supervisor *supervisor);
/* Takes the guest's connection to PORT, or tells that it is none of the job's. */
bool supervisor_accept(struct supervisor *supervisor, int fd, uint32_t port);
/* Ends it all if everything there is has come. */
void supervisor_conclude(struct supervisor *supervisor);
void supervisor_send_window(struct supervisor *supervisor);
int supervisor_open_terminal(struct supervisor *supervisor, struct error *error);
void supervisor_close_streams(struct supervisor *supervisor);
/* After SIGCHLD: whether the process that unpacks /output is done. */
void output_check(struct supervisor *supervisor);

#endif
