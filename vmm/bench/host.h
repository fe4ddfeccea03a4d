/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_HOST_H
#define MOTE_BENCH_HOST_H

/* Without the host that they come from figures say nothing. */

#include <stdint.h>

struct host {
    char kernel[128];
    char processor[128];
    unsigned int cpus; /* that this process may use */
    uint64_t memory;   /* bytes */
    char mitigations[256];
    char cgroup[64];
    char machine[160]; /* bare metal, a virtual machine, an emulated one */
    char user[32];
};

/* What cannot be read is said to be unknown: this never fails. */
void host_describe(struct host *host);

#endif
