/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_VERDICT_H
#define MOTE_RUN_VERDICT_H

/*
 * How a job ended, as one JSON record:
 *
 *   cause          exited, signalled, timeout, oom, output-limit, guest-panic, vmm-fault, not-started
 *   status         mote's exit status
 *   signal         that ended the main process, or null
 *   restored       whether the VM went on from a template (--warm)
 *   wall_ms        from the fork of the VM to its end
 *   cpu_us, peak_memory_bytes, oom_kills, pids_refused
 *                  of the job's processes, as the guest told; 0 where it did not
 *   bytes_in, bytes_out, bytes_err
 *                  of the standard streams
 *   message        why Mote failed, or null
 *   command        a list of strings
 *   timeline       a list of { name, at_ms }
 *
 * What is no UTF-8 in a string is shown as U+FFFD.
 */

#include "vmm/base/error.h"
#include "vmm/job/job.h"
#include "vmm/job/job_run.h"

struct verdict {
    const struct outcome *outcome;
    const char *message; /* NULL: Mote did not fail */
    const struct text_list *command;
    const struct timeline *timeline;
};

/* Whether a file PATH could be written, before a job runs for nothing. */
int verdict_check(const char *path, struct error *error);

/* Over what was at PATH, in one step: whoever reads it sees a whole record. */
int verdict_write(const struct verdict *verdict, const char *path, struct error *error);

#endif
