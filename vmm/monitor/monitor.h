/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_MONITOR_H
#define MOTE_MONITOR_H

/*
 * The monitor: the jailed process that has one VM, from its fork to its end.  It is the same for a VM that boots, that is
 * restored, and that runs a job; what it and its supervisor send each other is in protocol.h.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/log.h"
#include "vmm/base/terminal.h"
#include "vmm/base/timeline.h"
#include "vmm/config/config.h"
#include "vmm/jail/sandbox.h"

/* The host's side of the guest's console, where the configuration has one. */
struct monitor_console {
    int input_fd, output_fd;   /* -1: none */
    uint64_t output_limit;     /* bytes, where it goes to a file; 0: any number */
    unsigned int drain_ms;     /* for the last output: a reader that stopped reading must not keep the monitor */
    bool tail_matters;         /* one that did not leave by then is an error */
    struct terminal *terminal; /* behind INPUT_FD; NULL: none that could be made raw */
};

struct monitor_options {
    struct vm_config *config;
    struct monitor_console console;
    bool reports_start; /* somebody waits for EVENT_STARTED */
    int handoff;        /* the socket on which the guest's connections are handed over; -1: none is */
    struct log *log;
    struct timeline *timeline;
};

/* In the child that sandbox_fork() made; CHANNEL is its end of the protocol's socket. */
_Noreturn void monitor_main(const struct monitor_options *options, struct sandbox *sandbox, int channel);

#endif
