/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_HOST_DISK_H
#define MOTE_HOST_DISK_H

/*
 * The supervisor's part of a disk: its file or block device, and its overlay, are opened, locked and checked here, and
 * passed to the VM's process, which reads and writes them.
 *
 * The lock is an open-file-description lock over the whole file: any number of readers, or one writer, whichever process
 * they are in.  Other monitors that use such locks, QEMU among them, see it as well.  The VM's process shares it, and has
 * no system call to change it: it is held until the supervisor closes the disk, also while one monitor is followed by the
 * next.
 */

#include "devices/virtio/block.h"
#include "vmm/base/error.h"
#include "vmm/base/log.h"

/* The message names the path, the reason and a remedy. */
int host_disk_open(struct block_host *host, const struct block_options *options, struct log *log,
                   struct error *error);

/* For the next start of the same VM: the file stays open and locked, what ended with the last one is made anew. */
int host_disk_reopen(struct block_host *host, const struct block_options *options, struct log *log,
                     struct error *error);

/*
 * A file for a running VM's disk in the place of the present one, called PATH, with the options and blocks that the disk has: it
 * is opened, locked and checked, and the disk's io_uring has it, beside the present one.  FRESH is passed to the VM's process;
 * host_disk_settle() follows when that has answered, or ended.
 */
int host_disk_open_next(struct block_host *fresh, const struct block_host *present, const struct block_options *options,
                        const char *path, struct log *log, struct error *error);
/* TAKEN: PRESENT becomes FRESH, and what it was is unlocked and closed; or that becomes of FRESH. */
void host_disk_settle(struct block_host *present, struct block_host *fresh, bool taken);

/* Unlocks and closes it. */
void host_disk_close(struct block_host *host);

#endif
