/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_TEMPLATE_H
#define MOTE_RUN_TEMPLATE_H

/*
 * Templates: snapshots (vmm/supervisor/snapshot/folder.h) of a guest that waits for its job,
 * from which `mote run --warm` goes on instead of booting.
 *
 *   templates/NAME/state, memory, seal   the snapshot
 *   templates/NAME/about                 JSON: what it is of; its time is that of the last use
 *
 * in the cache (cache_folder.h).  `about` has the whole key, of which NAME is a
 * short form, and how the two files were when they were saved: what was changed or
 * cut since then is found without reading it.  Any fault makes a template one that
 * is not there: it is removed, and the job's VM boots.
 *
 * A template is written before any job arrives, by a VM's process that has lost
 * its descriptors by then, and is removed by its names: who has it open goes on.
 * The TEMPLATES_KEPT used last are kept.
 */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "vmm/config/config.h"
#include "vmm/base/error.h"
#include "vmm/job/template_key.h"
#include "vmm/supervisor/snapshot/folder.h"

#define TEMPLATES_KEPT 8

/* What a list of them shows. */
struct template_about {
    const char *kernel, *root; /* as they were named */
    uint64_t memory;           /* bytes */
    unsigned int cpus;
};

/* The place of one. */
struct template {
    char *key;
    char name[TEMPLATE_NAME_SIZE];
    int folder; /* of all templates */
    char *path; /* of this one */
    struct vm_snapshot_source source; /* once found; -1: not */
    struct snapshot_folder saving;    /* from template_begin() on */
    uint8_t id[SNAPSHOT_ID_SIZE];     /* of what is saved */
};

#define TEMPLATE_INIT                                                                      \
    { .folder = -1, .source = SNAPSHOT_SOURCE_INIT, .saving = SNAPSHOT_FOLDER_INIT }

/* The place of KEY's, which becomes the template's.  After a failure, too: template_close(). */
int template_open(struct template *template, char *key, struct error *error);
void template_close(struct template *template);
/* In the process of a VM: closes all but what is restored; what is to be saved into comes with the order. */
void template_leave(struct template *template);

/*
 * Whether it is there; then `source` is open.  One with a fault is removed, and
 * the error tells of it.
 */
int template_find(struct template *template, struct error *error);

/* What was found is of no use. */
void template_remove(struct template *template);

/* ---- a new one -------------------------------------------------------------- */

/* Makes the files, for MEMORY bytes of RAM; the caller keeps or drops it. */
int template_begin(struct template *template, uint64_t memory, struct error *error);

/* The VM of CONFIG has been saved.  An error drops it. */
int template_keep(struct template *template, const struct vm_config *config,
                  const struct template_about *about, struct error *error);

/* It was kept by another process: its files are let go of. */
void template_kept(struct template *template);

/* Nothing begun is fine, and one that is complete stays. */
void template_drop(struct template *template);

/* ---- all of them ------------------------------------------------------------ */

struct template_entry {
    const char *name;
    struct template_about about;
    uint64_t disk;     /* bytes that it takes */
    time_t made, used; /* s since the epoch */
};

/* Calls EACH for all, in no order. */
int template_list(void (*each)(void *context, const struct template_entry *entry), void *context,
                  struct error *error);

/*
 * Removes those last used before BEFORE, and what writers that died left.  Returns
 * how many there were; *DISK are the bytes that they took.
 */
int template_prune(time_t before, uint64_t *disk, struct error *error);

#endif
