/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_NAMELESS_FILE_H
#define MOTE_NAMELESS_FILE_H

/*
 * A new file without a name in $TMPDIR, or else /var/tmp, readable and writable: its
 * space is free again when it is closed.  WHAT and REMEDY ("set TMPDIR to …") are
 * of the message.  Returns the descriptor, the caller's.
 */

#include "vmm/base/error.h"

int nameless_file(const char *what, const char *remedy, struct error *error);

#endif
