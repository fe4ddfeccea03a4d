/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_JOB_RUN_INTERNAL_H
#define MOTE_JOB_RUN_INTERNAL_H

/*
 * What the parts of a job's run share: job_run.c has its beginning and its end; job_vm.c the VM and the connections that it
 * hands over; job_signals.c the clock and the signals; guest_channel.c the guest's connections and what it says on them;
 * warm.c the template that a VM is restored from or becomes.
 */

#include <signal.h>

#include "vmm/base/event_loop.h"
#include "vmm/base/signals.h"
#include "vmm/base/terminal.h"
#include "vmm/base/timer.h"
#include "vmm/job/console_show.h"
#include "vmm/job/control.h"
#include "vmm/job/job_run.h"
#include "vmm/job/relay.h"
#include "vmm/supervisor/background_task.h"
#include "vmm/supervisor/kept_output.h"
#include "vmm/supervisor/vm_control.h"
#include "vmm/supervisor/vm_process.h"

/* How far the guest's channel has come. */
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
    struct job_run *run;
    struct relay *relay; /* NULL before it was connected and after its end */
    int fd;              /* the guest's side */
    bool connected;      /* once */
    uint64_t count;      /* bytes, at its end */
};

/* The VM of the job: a process, and what it and its supervisor share. */
struct job_vm {
    struct vm_process *process; /* NULL: there is none */
    int handoff; /* the guest's connections, by socket_handoff_receive(); -1: none */
    int console; /* what the guest's kernel prints; non-blocking; -1: none */
    uint64_t handoffs_since; /* ms */
    unsigned int handoffs;   /* connections, in the second from then */
};

#define JOB_VM_INIT { .handoff = -1, .console = -1 }

struct job_run {
    const struct job_run_options *options;
    struct outcome *outcome;
    struct event_loop *loop;
    struct job_vm vm;
    struct signals signals;
    struct timer clock;
    enum alarm alarm; /* what the clock is set for */
    enum warm warm;
    struct background_task keeping; /* of the template, while the job runs */
    const char *distrust; /* why a guest that was restored was ended; NULL: it was not */
    struct timer patience; /* with a guest that was restored */
    enum phase phase;
    bool over;        /* the outcome stands */
    bool failed;      /* Mote could not do all that was asked: status 125 */
    enum cause stop_cause; /* why we ended the job; CAUSE_COUNT: we did not */
    unsigned int ends_wanted;
    bool has_terminal; /* which went away if there is none later */
    struct vm_control *vm_control; /* of a job that has a name, or NULL; its VM's once the job runs */

    struct control *control;
    struct terminal *terminal;
    struct kept_output kept;
    struct console_show console;
    struct console_tail tail;
    struct stream streams[STREAM_COUNT];
    bool output_connected;
    pid_t output_process; /* unpacks /output; 0: none */
};

/* ---- job_run.c ---- */
uint64_t job_run_now_ms(void);
/* Tells the user and the verdict what went wrong. */
void job_run_complain(struct job_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The outcome: the first one counts. */
void job_run_end(struct job_run *run, enum cause cause, int status);

/* ---- job_vm.c ---- */
int job_vm_start(struct job_run *run, struct error *error);
/* The VM ends, if it still runs: it is not needed any more, or another may take its place. */
void job_vm_end(struct job_run *run);
void job_vm_close(struct job_run *run);
/* What is in the console's pipe when the VM has ended. */
void job_vm_drain_console(struct job_run *run);
/* All connections that are there. */
void job_vm_take_connections(struct job_run *run);

/* ---- job_signals.c ---- */
int job_signals_open(struct job_run *run, struct error *error);
void job_signals_close(struct job_run *run);
/* As `mote stop` asks: the job gets its stop signal.  CONTEXT is the run. */
void job_told_to_stop(void *context);
/* SIGTERM to the job, and what follows where that does not help. */
void job_run_stop_job(struct job_run *run, enum cause cause);
/* Sets the clock for /output. */
void job_run_await_output(struct job_run *run);

/* ---- guest_channel.c ---- */
/* The exit status of a job that was ended by us. */
int job_run_stop_status(enum cause cause);
/* A record to a guest that is ready; false: it cannot be sent, which was told and ends the run, or the trial. */
bool job_run_send(struct job_run *run, const void *record, size_t length);
void job_run_send_job(struct job_run *run);
/* Takes the guest's connection to PORT, or tells that it is none of the job's. */
bool job_run_accept(struct job_run *run, int fd, uint32_t port);
/* Ends it all if everything there is has come. */
void job_run_conclude(struct job_run *run);
void job_run_send_window(struct job_run *run);
int job_run_open_terminal(struct job_run *run, struct error *error);
void job_run_close_streams(struct job_run *run);
/* After SIGCHLD: whether the process that unpacks /output is done. */
void output_check(struct job_run *run);

/* ---- warm.c ---- */
/* Around the VM's start: what it has to do with a template; and what is waited for. */
void warm_begin(struct job_run *run);
int warm_started(struct job_run *run, struct error *error);
/* The guest is ready; whether its job has to wait.  And once it is prepared, too. */
bool warm_comes_first(struct job_run *run);
void warm_prepared(struct job_run *run);
/* A guest that was restored is not what it should be, and its job not sent: it is ended, and WHY told. */
bool warm_distrusts(struct job_run *run, const char *why);
/* The VM has ended, so; whether another has taken its place. */
bool warm_starts_anew(struct job_run *run, const struct vm_exit *exit);
/* The job is over: its template is waited for, by the loop; or that is given up, as the user wants to end. */
void warm_finish(struct job_run *run);
void warm_hurry(struct job_run *run);
void warm_close(struct job_run *run);
/* In the VM's process: closes what is not for it. */
void warm_leave(struct job_run *run);

#endif
