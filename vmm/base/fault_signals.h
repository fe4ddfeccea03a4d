/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_FAULT_SIGNALS_H
#define MOTE_FAULT_SIGNALS_H

#include <signal.h>

/*
 * All signals but those that a thread raises by what it does: blocked, they
 * would kill without their handler.
 */
static inline void fill_but_faults(sigset_t *set)
{
    sigfillset(set);
    sigdelset(set, SIGSEGV);
    sigdelset(set, SIGBUS);
    sigdelset(set, SIGABRT);
    sigdelset(set, SIGFPE);
    sigdelset(set, SIGILL);
    sigdelset(set, SIGSYS);
}

#endif
