/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_KERNEL_CHOICE_H
#define MOTE_RUN_KERNEL_CHOICE_H

/*
 * Which kernel a job's guest boots.  The first of these that there is:
 *
 *   --kernel FILE, $MOTE_KERNEL
 *   Mote's own, installed with it (../share/mote/guest-kernel)
 *   Mote's own, as scripts/guest-kernel built it last (guest-kernels in
 *     $MOTE_CACHE, $XDG_CACHE_HOME/mote or ~/.cache/mote)
 *   the newest of a Debian host's own, /boot/vmlinuz-VERSION
 *
 * Mote's own is a vmlinux, which has nothing to unpack in the guest.
 *
 * A kernel has modules if there is a folder of them: /lib/modules/VERSION for a
 * kernel in /boot, `modules` beside any other.  How it is told of the machine,
 * its own file says (DESCRIBE_AUTO).
 */

#include "vmm/base/error.h"
#include "vmm/machine/machine.h"

struct kernel_choice {
    char *path;
    char *modules; /* a folder with modules.dep; NULL for none */
};

/* NAMED is --kernel's FILE or NULL.  Release by kernel_choice_release(). */
int kernel_choose(const char *named, struct kernel_choice *choice, struct error *error);
void kernel_choice_release(struct kernel_choice *choice);

/* The folder that has guest-kernels in it, to be freed; NULL when memory is short. */
char *kernel_cache_base(void);

#endif
