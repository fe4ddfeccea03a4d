/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_HUGE_PAGES_H
#define MOTE_HUGE_PAGES_H

/*
 * Transparent huge pages (Linux, admin-guide/mm/transhuge.rst): where their switch
 * says "never", madvise(MADV_HUGEPAGE) succeeds and does nothing.  From Linux 6.8
 * on each size has a switch of its own, which may be to "inherit" the common one.
 */

#define HUGE_PAGES_FOLDER "/sys/kernel/mm/transparent_hugepage"

/* The switch in FOLDER by which who asks for pages of 2 MiB gets none; NULL: they are given. */
const char *huge_pages_refused_by(const char *folder);

#endif
