/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_JOB_RUN_H
#define MOTE_JOB_RUN_H

/*
 * The life of one job, from the fork of its VM to the verdict.
 *
 * One event loop has everything: the guest's connections as they come, the
 * streams, the signals, the clock, the VM's end.  The guest gets each stream
 * once and in its time; whatever else connects is closed: a job can connect,
 * too.  The job is over when the guest has told how it ended and its streams
 * have come to their ends, or when the VM is no more.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest/init/protocol.h"
#include "vmm/config/config.h"
#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/supervisor/store.h"
#include "vmm/job/template.h"
#include "vmm/base/timeline.h"

/* What ended the job, in the verdict's words (verdict.c). */
enum cause {
    CAUSE_EXITED,
    CAUSE_SIGNALLED,
    CAUSE_TIMEOUT,
    CAUSE_OOM,
    CAUSE_OUTPUT_LIMIT,
    CAUSE_GUEST_PANIC, /* the guest ended, or broke the protocol, before its job did */
    CAUSE_VMM_FAULT,   /* Mote failed, or was told to end */
    CAUSE_NOT_STARTED, /* the command could not be executed, or its root not be made */
    CAUSE_COUNT,
};

/* For --warm: where the guest's template is, or shall be. */
struct warm_start {
    struct template *template; /* one that was found is what `config` restores */
    struct template_about about;
    /* Makes `config` one that boots. */
    int (*go_cold)(void *context, struct error *error);
    void *context;
};

struct job_run_options {
    struct vm_config *config;
    const struct warm_start *warm; /* NULL: the VM boots, and that is it */
    const struct sandbox_config *sandbox;
    uint8_t *job; /* as job_encode() made it */
    size_t job_length;
    const uint8_t *prepare; /* as job_encode_prepare() made it, or NULL */
    size_t prepare_length;
    uint32_t flags;     /* of the job: enum run_flags */
    const char *command; /* for messages */
    const char *output;  /* folder for what is in /output; NULL: none is wanted */
    bool output_merge;   /* it may hold files */
    uint64_t timeout_ms; /* 0: none */
    int stop_signal; /* what the job gets when it is to end: SIGTERM, or what its image says */
    uint64_t output_limit; /* bytes of each output stream; 0: none */
    uint64_t log_limit; /* of a detached job's: bytes that its entry keeps of each; 0: it is not detached */
    bool quiet, verbose;
    int started_fd; /* gets a byte when the job has begun; -1: none */
    const struct store_entry *entry; /* of a job that has a name, or NULL */
    struct log *log;
    struct timeline *timeline; /* in memory shared with children */
};

struct outcome {
    enum cause cause;
    int status;    /* for exit(3) */
    bool began;    /* the command ran */
    bool restored; /* its VM went on from a template */
    char message[256]; /* the first thing that went wrong with Mote or the guest; or empty */
    int signal;    /* that ended the job's main process, or 0 */
    uint64_t wall_ms;
    struct run_ended usage; /* all 0 where the guest did not tell */
    uint64_t bytes_in, bytes_out, bytes_error;
};

/* Runs the job to its end.  Fails only before there is one. */
int job_run(const struct job_run_options *options, struct outcome *outcome,
              struct error *error);

#endif
