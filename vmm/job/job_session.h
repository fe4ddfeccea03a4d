/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_JOB_SESSION_H
#define MOTE_JOB_SESSION_H

/*
 * One `mote run` from its options to a job and a VM to run it in: everything
 * that can be wrong with what the user asked for is found out here, before
 * there is a VM.
 */

#include "vmm/base/log.h"
#include "vmm/job/kernel_choice.h"
#include "vmm/job/rootfs.h"
#include "vmm/job/run_options.h"
#include "vmm/job/template.h"
#include "vmm/base/timeline.h"

struct job_session {
    struct run_options options;
    struct kernel_choice kernel;
    char *unpacked_kernel; /* that boots in its place; NULL: it boots itself */
    struct rootfs rootfs;
    int initramfs;
    struct template template; /* with a key: --warm */
    int scratch; /* the job's writable disk; -1: it writes to memory */
    struct text_list arguments, environment;
    int stop_signal; /* of the options, the image, or SIGTERM */
    uint32_t flags; /* of the job */
    uint8_t *job;   /* as job_encode() made it */
    size_t job_length;
    uint8_t *prepare; /* for a template's guest; NULL: nothing can be done before its job */
    size_t prepare_length;
    struct log log;
    struct timeline *timeline; /* shared with the VM's process */
};

#define JOB_SESSION_INIT \
    { .initramfs = -1, .scratch = -1, .template = TEMPLATE_INIT, .log = LOG_INIT }

/* Of OPTIONS, which are read already.  After a failure, too: job_session_close(). */
int job_session_open(struct job_session *session, struct error *error);
int job_session_prepare(struct job_session *session, struct error *error);
/* In place of the template that job_session_prepare() found: the VM boots. */
int job_session_go_cold(struct job_session *session, struct error *error);
void job_session_close(struct job_session *session);

/* ---- session_job.c ---- */
/* Of the options and a root that is open; a part of job_session_prepare(). */
int job_session_encode_job(struct job_session *session, struct error *error);

#endif
