/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_JAIL_H
#define MOTE_IMAGES_JAIL_H

/*
 * The jail around what reads images and archives (vmm/jail/sandbox.h): a
 * process in namespaces of its own, without a network and without rights, which
 * may read the host's programs and what it was asked to read, and write to one
 * folder.  A process in it that unpacks has a list of system calls besides:
 * sandbox_thread(…, SANDBOX_UNPACK).
 */

#include <stddef.h>

#include "vmm/base/options.h"
#include "vmm/jail/sandbox_options.h"

struct jail_options {
    unsigned int mode; /* enum sandbox_mode */
    bool required;
    bool verbose;
};

#define JAIL_OPTION_ROWS(type, member)                                                             \
    { NULL, "sandbox", "HOW", "on (default): it jails itself; or off", option_set_choice,          \
      .offset = offsetof(type, member.mode), .choices = sandbox_mode_names },                      \
    { NULL, "require-sandbox", NULL, "refuse to start unless every layer of it stands",            \
      option_set_flag, .offset = offsetof(type, member.required) },                                \
    { NULL, "verbose", NULL, "tell which layers stand", option_set_flag,                           \
      .offset = offsetof(type, member.verbose) }

struct jail {
    const struct jail_options *options;
    const char *reads, *writes; /* paths; either may be NULL */
    bool programs;              /* starts some, of those in $PATH */
    uint32_t capabilities;      /* that root keeps beside those that it needs for files */
    uint64_t file_size;         /* bytes: no file becomes larger */
    uint64_t memory;            /* bytes that a process may have; 0: what an image may take */
    const char *no_namespaces;  /* why it must do without, or NULL */
};

/*
 * Runs BODY in the jail, in a process of its own, and returns the exit status
 * that BODY returned there; or STATUS_FAILED, having said why.
 */
int jail_run(const struct jail *jail, int (*body)(void *context, struct sandbox *sandbox),
             void *context);

#endif
