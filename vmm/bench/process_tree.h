/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_PROCESS_TREE_H
#define MOTE_BENCH_PROCESS_TREE_H

/*
 * All processes that descend from this one.  It adopts what its children leave
 * behind (PR_SET_CHILD_SUBREAPER), so that a container's monitor that puts
 * itself in the background is found, charged and, at worst, ended.
 */

#include <stdint.h>

/* The proportional set size of all descendants, in bytes: shared pages are counted by halves, thirds… */
uint64_t tree_pss(void);

/* SIGKILL to every descendant; how many there were. */
unsigned int tree_kill(void);

/* MemAvailable of the host, in bytes. */
uint64_t memory_available(void);

#endif
