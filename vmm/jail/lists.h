/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SANDBOX_LISTS_H
#define MOTE_SANDBOX_LISTS_H

#include "vmm/jail/filter.h"
#include "vmm/jail/sandbox.h"

struct filter_list {
    const char *name; /* of the kind of thread */
    const struct filter_rule *rules;
    size_t count;
};

/* What each kind of thread may call; the most frequent first. */
extern const struct filter_list filter_lists[SANDBOX_THREAD_COUNT];

/* What all programs that make an image are refused; all else they may call. */
extern const struct filter_list filter_denied;

#endif
