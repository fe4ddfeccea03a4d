/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SNAPSHOT_FOLDER_H
#define MOTE_SNAPSHOT_FOLDER_H

/*
 * A snapshot on disk: a folder with the files "state", "memory" and "seal",
 * complete or absent.  It is filled under the name FOLDER.partial, which is locked
 * while somebody fills it; once all is on the disk it is renamed.  One that was
 * left by a process that died is taken over by the next snapshot of that name.
 *
 * A difference from another snapshot, its base, has of the memory what changed
 * since; the seal names the base, by its id and its path from this folder.  A base
 * may be a difference itself, SNAPSHOT_CHAIN_MAX of them at most make up a VM.
 *
 * What a snapshot names its VM is given: disks, sockets, ports.  So one that
 * others could have made or could change is not restored, nor is one whose base is
 * such a one.
 */

#include "vmm/config/config.h"
#include "vmm/base/error.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/supervisor/snapshot/seal.h"

struct snapshot_folder {
    int parent; /* descriptors; -1: none */
    int folder;
    int state_fd;
    int memory_fd;
    char *name; /* of the complete one, in PARENT */
    char *partial;
    bool replace; /* the one of that name that there is */
    struct seal seal;
};

#define SNAPSHOT_FOLDER_INIT { .parent = -1, .folder = -1, .state_fd = -1, .memory_fd = -1 }

/* Makes PATH.partial with its files, for SIZE bytes of RAM; the caller finishes or drops it. */
int snapshot_folder_begin(struct snapshot_folder *folder, const char *path, uint64_t size,
                          const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error);
/* The same, to take the place of the snapshot PATH, whose folder has nothing else, at the end. */
int snapshot_folder_begin_anew(struct snapshot_folder *folder, const char *path, uint64_t size,
                               const uint8_t id[SNAPSHOT_ID_SIZE], struct error *error);
/* Just begun at PATH, as above, it becomes a difference from the snapshot BASE, whose id is BASE_ID. */
int snapshot_folder_set_base(struct snapshot_folder *folder, const char *path, const char *base,
                             const uint8_t base_id[SNAPSHOT_ID_SIZE], struct error *error);
/*
 * The VM of CONFIG has written its state.  It comes from a process that the guest may
 * have broken into: it is checked, see machine_state_verify(), and a new file takes the
 * place of the one that the process has open, so that this is no longer its to change.
 */
int snapshot_folder_seal_state(struct snapshot_folder *folder, const struct vm_config *config,
                               struct error *error);
/* Everything is written: seals it and has it on the disk under its own name.  An error drops it. */
int snapshot_folder_finish(struct snapshot_folder *folder, struct error *error);
/* Whether it is begun, and neither finished nor taken over by another process. */
bool snapshot_folder_is_partial(const struct snapshot_folder *folder);
/* Removes what there is.  Nothing begun is fine. */
void snapshot_folder_drop(struct snapshot_folder *folder);
/* Lets go of it and leaves its files to another process that has it open, too. */
void snapshot_folder_leave(struct snapshot_folder *folder);

/* ---- folder_open.c --------------------------------------------------------- */

/*
 * Opens the files of the complete snapshot PATH and of its bases, all of which are
 * what their seals say; the caller ends it by snapshot_source_close().
 */
int snapshot_folder_open(struct vm_snapshot_source *source, const char *path, struct error *error);
/* The same at once: memory that would have to be read for it, as a copy's, is an error. */
int snapshot_folder_open_sealed(struct vm_snapshot_source *source, const char *path,
                                struct error *error);
/* The same, and reads all their memory to make sure. */
int snapshot_folder_verify(struct vm_snapshot_source *source, const char *path, struct error *error);
void snapshot_source_close(struct vm_snapshot_source *source);

#endif
