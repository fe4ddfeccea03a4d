/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_FETCH_WATCH_H
#define MOTE_FETCH_WATCH_H

/*
 * Finds double fetches: one page of guest memory whose every access traps, is
 * let through for one instruction, and is noted.  After each access a hook may
 * change what stands there, as another CPU of the guest would at the worst
 * moment.  Works by page protection and single-stepping (x86-64 Linux); system
 * calls that touch the page fail with EFAULT, so watch rings, tables and
 * headers, not payload.  One watch at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FETCH_WATCH_PAGE 4096

/* OFFSET of the byte in the page at which the access began. */
typedef void (*fetch_hook)(void *context, uint8_t *page, size_t offset);

/* Whether this machine can do it. */
bool fetch_watch_works(void);

/* PAGE is aligned; HOOK may be NULL.  It runs with the page open. */
void fetch_watch_start(uint8_t *page, fetch_hook hook, void *context);

/* Accesses so far that began at OFFSET, and the most at any one place. */
unsigned int fetch_watch_count(size_t offset);
unsigned int fetch_watch_most(void);

void fetch_watch_stop(void);

#endif
