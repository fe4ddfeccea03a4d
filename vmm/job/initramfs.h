/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_INITRAMFS_H
#define MOTE_RUN_INITRAMFS_H

/*
 * The initramfs of a job's guest, made in memory: the guest's init as /init
 * and, for a kernel that needs them, modules with their list (guest/init).
 *
 * The format is cpio's "newc" (the kernel's Documentation/driver-api/
 * early-userspace/buffer-format.rst): for each file a header of hexadecimal
 * numbers, the name and the bytes, each padded to four.
 */

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct kernel_choice;
struct text_list;

/* Grows as files are added; release by cpio_release(). */
struct cpio {
    uint8_t *bytes;
    size_t used, capacity;
    uint32_t next_inode;
};

/* MODE has the file's type, as in stat(2). */
int cpio_add(struct cpio *cpio, const char *name, uint32_t mode, const void *bytes, size_t length,
             struct error *error);
/* Ends the archive. */
int cpio_finish(struct cpio *cpio, struct error *error);
void cpio_release(struct cpio *cpio);

/*
 * A memory file with the initramfs for KERNEL and the modules that are WANTED
 * (modules.h), which the caller closes.  It is a descriptor, not bytes, as the
 * VM's process takes all that it reads so.
 */
int initramfs_create(const struct kernel_choice *kernel, const struct text_list *wanted, int *fd,
                     struct error *error);

#endif
