/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SANDBOX_LISTS_H
#define MOTE_SANDBOX_LISTS_H

#include "vmm/jail/filter.h"
#include "vmm/jail/sandbox.h"

/* What each kind of thread may call; the most frequent first. */
extern const struct filter_list filter_lists[SANDBOX_THREAD_COUNT];

/* What all programs that make an image are refused; all else they may call. */
extern const struct filter_list filter_denied;

/*
 * What an architecture adds to them, from its folder (calls.c): system calls that it alone has, those by which its C library
 * does what has another number elsewhere, and what its part of the monitor asks of KVM.  The lists above end in these.
 */
extern const struct filter_list arch_filter_lists[SANDBOX_THREAD_COUNT];
extern const struct filter_list arch_filter_denied;

#endif
