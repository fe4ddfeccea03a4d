/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SNAPSHOT_MERGE_H
#define MOTE_SNAPSHOT_MERGE_H

#include "vmm/base/error.h"

/*
 * Folds the snapshot FROM and its bases to a full one, in the new folder INTO, or
 * in its own place where that is NULL.  It has the same id, for it is the same: so
 * what is a difference from it goes on being one.  Complete or not at all.
 */
int snapshot_merge(const char *from, const char *into, struct error *error);

#endif
