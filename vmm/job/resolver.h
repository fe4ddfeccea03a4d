/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RESOLVER_H
#define MOTE_RESOLVER_H

#include "vmm/base/error.h"

/*
 * How the host's resolv.conf, the file PATH, looks names up, but not where: its search
 * domains, of which the last line counts, and its options, as lines for a guest's.
 * Empty where there is none; the caller frees *LINES.
 */
int resolver_read(const char *path, char **lines, struct error *error);

#endif
