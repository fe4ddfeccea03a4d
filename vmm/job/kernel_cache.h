/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_KERNEL_CACHE_H
#define MOTE_RUN_KERNEL_CACHE_H

/*
 * What packed kernels hold, unpacked once: `unpacked-kernels` in $MOTE_CACHE,
 * $XDG_CACHE_HOME/mote or ~/.cache/mote.  A guest that boots what was packed need
 * not unpack it, which is a fifth of a stock kernel's boot.
 *
 * A file's name is what fstat(2) tells of the packed one: device, inode, size, and
 * the times of its last write and its last change, of which nobody can set the
 * latter.  So nothing is read of that to find it.  Its own time of
 * writing is set to the packed one's: whatever changes or cuts it off later moves
 * that, and then it is made anew.  The folder and the file must be this user's,
 * and nobody else may write there.  A writer holds flock(2) on NAME.tmp, which
 * gets the name once it is whole and on the disk; one that is killed leaves it
 * to the next.  The KERNEL_CACHE_KEPT files made last are kept.
 *
 * That runs where it was linked: a kernel's own choice of a random place
 * is part of what a packed kernel does as it unpacks.  In a VM with one job that
 * choice keeps nothing from anybody, since the job is the VM's root.
 */

#include "vmm/base/error.h"
#include "vmm/job/image_program.h"

#define KERNEL_CACHE_KEPT 4

/* Writes to TO what is packed in the kernel FROM; both are files, at their beginning.  PROGRAM is
 * kernel_cache_get()'s. */
typedef int (*kernel_unpacker)(const struct image_program *program, int from, int to,
                               struct error *error);

/*
 * The path of the unpacked KERNEL, a file's path, made by UNPACK if it is not
 * there.  Returns 1 with *PATH, to be freed; 0 where there is nothing to unpack
 * or somebody else is just about it; or a negative errno: KERNEL itself
 * serves then.
 */
int kernel_cache_get(const char *kernel, kernel_unpacker unpack,
                     const struct image_program *program, char **path, struct error *error);

/* By `mote-image unpack-kernel`: kernels are hostile, and that is a process of its own. */
int kernel_cache_unpack(const struct image_program *program, int from, int to,
                        struct error *error);

#endif
