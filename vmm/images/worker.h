/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_WORKER_H
#define MOTE_IMAGES_WORKER_H

/*
 * What reads something hostile does so in a process of its own, which starts no
 * program, opens no socket (SANDBOX_UNPACK's list of system calls) and changes
 * nothing but one folder.  Its answer comes back through a pipe, and is as
 * hostile as what it read.
 */

#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/base/progress.h"
#include "vmm/jail/sandbox.h"

struct worker {
    struct sandbox *sandbox;   /* NULL for none */
    struct progress *progress; /* that it shows; or NULL */
    const char *what;          /* "the process that unpacks it": begins messages of its death */
    int folder;                /* that it may change; -1: none */
    /* In that process: writes its answer to PIPE by worker_answer(); below 0 with ERROR. */
    int (*run)(void *context, int pipe, struct error *error);
    void *context;
};

/*
 * Runs WORKER to its end.  At most SIZE bytes of its answer go to ANSWER, *LENGTH
 * is how many they were.  Its errors are returned, what cannot be printed taken
 * out; one without a message has been told of already.
 */
int worker_run(const struct worker *worker, void *answer, size_t size, size_t *length,
               struct error *error);

/* Sends LENGTH bytes of the answer. */
int worker_answer(int pipe, const void *bytes, size_t length, struct error *error);

#endif
