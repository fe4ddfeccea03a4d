/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TEST_ACTS_H
#define MOTE_TEST_ACTS_H

/* What a monitor in an attacker's hands might try of the host. */

#include <stdbool.h>
#include <stddef.h>

/* No calls: */
#define ACT_CRASH (-1) /* a bug */
#define ACT_HEAP (-2)  /* much memory of the C library's, and back */
#define ACT_FILL (-3)  /* a disk written to its end */
#define ACT_FRAME (-4) /* where in the host's memory a page lies */

/* An argument: the descriptor of a file that is open to append to. */
#define ACT_OUTPUT (-1000)

struct act {
    const char *name; /* that of its system call, and more where there are several */
    long call;
    long arguments[6];
    bool by_layers; /* denied without seccomp as well: by what lies below it */
    /* Kinds of thread, a bit each, on which it does not end the monitor: it is done (or would be, with better
     * arguments), or refused with EPERM or ENOMEM. */
    unsigned int allowed, refused;
    bool of_monitors; /* it is about their lists alone */
};

/* The table's length; VICTIM is a process of the host's, FD a descriptor of the monitor's. */
size_t acts_list(const struct act **acts, int victim, int kvm_fd);

/* Those of them that are about arguments. */
size_t acts_arguments(const struct act **acts, int victim);

/* Before a list is in force: looks for what the acts want. */
void acts_prepare(void);

/*
 * Tries act NUMBER of the list on the calling thread, against the process that
 * the environment names (MOTE_ACTS_VICTIM), and says on standard error "act:
 * allowed" or "act: denied: ERRNO", if it lives.
 */
void acts_try(size_t number, int kvm_fd);

#endif
