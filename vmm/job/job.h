/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_JOB_H
#define MOTE_RUN_JOB_H

/* What shall run in the guest, and its form on the control connection. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/init/protocol.h"
#include "vmm/base/error.h"

/* A list of strings that ends in NULL; all its memory is its own. */
struct text_list {
    size_t count;
    char **items; /* COUNT of them and a NULL; NULL while empty */
};

int text_list_add(struct text_list *list, const char *text, struct error *error);
void text_list_release(struct text_list *list);

/* NAME=VALUE over an earlier one of that NAME. */
int text_list_set_variable(struct text_list *list, const char *variable, struct error *error);
/* The value of NAME, or NULL. */
const char *text_list_variable(const struct text_list *list, const char *name);

struct job_volume {
    const char *target, *file_system;
    bool file; /* one file is shown, not a folder */
};

/* Strings are the caller's. */
struct job {
    struct run_job head; /* counts, seed and text_length are filled in by job_encode() */
    const char *host_name, *user, *work_directory;
    const char *resolver; /* lines of resolv.conf beside the name server */
    const struct text_list *folders; /* that are to be there; or NULL */
    size_t layer_count, volume_count;
    const char *layers[RUN_LAYERS_MAX]; /* file system of each, bottom first */
    struct job_volume volumes[RUN_VOLUMES_MAX];
    const struct text_list *arguments, *environment;
};

/* The whole record, header included, without a clock; the caller frees *BYTES. */
int job_encode(const struct job *job, uint8_t **bytes, size_t *length, struct error *error);
/* The same, of what a template of JOB's guest may have: its disks, and how much may be written. */
int job_encode_prepare(const struct job *job, uint8_t **bytes, size_t *length,
                       struct error *error);
/* Writes the time into the record BYTES, which is sent now. */
void job_set_clock(uint8_t *bytes);

#endif
