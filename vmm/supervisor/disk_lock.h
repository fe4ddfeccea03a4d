/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_LOCK_H
#define MOTE_DISK_LOCK_H

/*
 * Open-file-description locks over whole files: any number of readers, or one
 * writer, whichever process they are in.
 */

/* TYPE is F_RDLCK or F_WRLCK; waits a little.  -EAGAIN: another one has it; or another errno. */
int disk_lock(int fd, short type);

/*
 * Before closing: the VM's process, or the kernel for its io_uring, may have the file a
 * moment longer, and whoever opens it next must not meet the lock.
 */
void disk_unlock(int fd);

#endif
