/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_WORKING_SET_H
#define MOTE_WORKING_SET_H

/*
 * Which pages a VM needs first, so that the next ones of the same snapshot have
 * them read in one go instead of one by one, where they are not in the page cache.
 *
 * A snapshot's file "working-set": a page with "MOTETCH\n", the version 1, 32 bits of
 * zero, the bytes of RAM, the snapshot's id and the XXH64 of the rest; the rest is
 * a map as in a difference (memory_file.h), of the pages that the first VM of it
 * had touched a second after it began, or at its end.  Little-endian.
 *
 * Of a template the map has the pages alone that its guest had written when its
 * job was to be sent: each VM of it writes them, and none waits for what is not its
 * own.  They are copied in one go before the guest runs, as a write to a page that
 * was read before costs two exits, of which the second takes KVM's entry back.
 *
 * It is advice: the VM's process writes it, into memory that it shares with its
 * supervisor, and that, if it is sound, into a file; what is wrong with it is no
 * error.  Where the folder cannot be written, nothing is recorded.
 */

#include "vmm/config/config.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/snapshot/memory_chain.h"

/* Pages that are copied beforehand, at most: some milliseconds, whatever a file says. */
#define WORKING_SET_COPIES_MAX 2048u

/* After the restore, ms: starting is over, and what the guest then works on is not for others. */
#define WORKING_SET_AFTER_MS 1000

/* In the supervisor, before the VM: SOURCE, of the folder PATH, has a file to record to, if there is no sound one. */
void working_set_prepare(struct vm_snapshot_source *source, const char *path);
/* And after it: what was recorded is kept. */
void working_set_keep(struct vm_snapshot_source *source, const char *path);

/* In the VM's process: into SOURCE's file, once; PAGE_MAP is its /proc/self/pagemap. */
void working_set_record(const struct vm_snapshot_source *source, const struct guest_memory *memory,
                    int page_map);
/* And at the next restore, before it runs: has read ahead what was recorded, and of a template copied into MEMORY. */
void working_set_read_ahead(const struct vm_snapshot_source *source, struct memory_chain *chain,
                        const struct guest_memory *memory);

#endif
