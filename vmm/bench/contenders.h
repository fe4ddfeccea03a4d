/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_CONTENDERS_H
#define MOTE_BENCH_CONTENDERS_H

/*
 * What is compared, one row each.  Classes are never mixed: a container shares
 * the host's kernel, a job's VM boots one and mounts a root, the plain VMs boot
 * a kernel to an init in its initramfs, by the bzImage, the vmlinux or a row for
 * each, as a monitor can.  A row's ratio is to the row of Mote that does the same.
 *
 * A command line is a text of words with blanks between; a word that begins
 * with '@' stands for one of the workshop's things (workshop.h):
 *
 *   @program      the contender's own program   @mode        what the job shall do
 *   @root @image  the root, as folder and image @bundle      an OCI bundle
 *   @kernel @elf  the kernel, and uncompressed  @initramfs   one whose init is the job
 *   @best         the latter where there is one
 *   @cmdline      the kernel's command line     @id          a name of this start alone
 *   @firecracker  its configuration, with @elf  @firecracker-bzimage  the same with @kernel
 *   @data         the data that the axis block reads
 *   @extra        what the axes block and network need besides, else nothing
 *   @net          podman's network: none, but for the axis network
 *   @storage      nothing, or where podman keeps its state while its own place does not work
 *   @folder       the workshop's folder
 *
 * What a word has before '@' stays, and what it has from a comma or a slash on: "id=@id,ro".
 */

#include <stdbool.h>
#include <stddef.h>

enum bench_class {
    CLASS_FLOOR,
    CLASS_CONTAINER,
    CLASS_JOB,
    CLASS_BOOT,
    CLASS_BOOT_STOCK,
    CLASS_COUNT,
};

extern const char *const class_names[CLASS_COUNT];  /* for programs */
extern const char *const class_titles[CLASS_COUNT]; /* for people */

enum kernel_kind { KERNEL_NONE, KERNEL_OWN, KERNEL_STOCK };

struct contender {
    const char *name; /* as --only has it */
    enum bench_class class;
    enum kernel_kind kernel;
    const char *program; /* looked for in PATH; "mote" and "mote-probe" come with Mote */
    const char *option;  /* names its path, without the dashes; NULL: there is none */
    const char *base;    /* the contender that its ratio is to */
    const char *install; /* where to get it */
    const char *command;
    /* Its @extra on these axes; NULL: it has no part in them. */
    const char *block, *network;
    bool is_vm_init;     /* the job is the machine's init, whose input never ends */
    bool ends_by_signal; /* has no way to end with its guest */
};

const struct contender *contenders(size_t *count);

/* What the job shall do. */
enum job_mode { JOB_ONCE, JOB_IDLE, JOB_BLOCK, JOB_NETWORK, JOB_MODE_COUNT };

/* What its command line has besides in MODE; NULL: it has no part in that. */
const char *contender_extra(const struct contender *contender, enum job_mode mode);

#endif
