/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PROBE_H
#define MOTE_PROBE_H

/*
 * What the job measures from inside, besides that it runs.  Each takes about a
 * second or two and gives two figures; false: what it needs is not there, and
 * standard error tells what.
 */

#include <stdbool.h>
#include <stdint.h>

struct figures {
    double first, second;
};

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t probe_now(void);

/* "mote-probe: WHAT: why", by errno, as mote-bench finds it; false. */
bool probe_failed(const char *what);

/*
 * Reads from PATH, a file or a disk, of data that this kernel has not seen yet:
 * 4 KiB here and there in its first half, reads a second; then the second half
 * from its begin to its end, MiB/s.
 */
bool probe_block(const char *path, struct figures *figures);

/*
 * To the host's PEER, "ADDRESS-PORT" in hexadecimal digits as a kernel's command
 * line can carry it: a byte and back, round trips a second; then data out until
 * the host says that it has them, MiB/s.  With CONFIGURE this is a VM's init, and
 * its card gets the address that user-mode networks give.
 */
bool probe_network(const char *peer, bool configure, struct figures *figures);

#endif
