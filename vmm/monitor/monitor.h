/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_MONITOR_H
#define MOTE_MONITOR_H

/*
 * The monitor of `mote boot`: the jailed process that has the VM, and what it and
 * its supervisor send each other.
 *
 * They share a socket of messages (protocol.h).
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/base/terminal.h"
#include "vmm/base/timeline.h"
#include "vmm/base/timer.h"
#include "vmm/config/config.h"
#include "vmm/jail/sandbox.h"

struct vm;

struct boot_monitor {
    const struct vm_config *config;
    uint64_t output_limit; /* bytes of the console, where it goes to a file; 0: any number */
    bool tells_start;      /* somebody waits for EVENT_STARTED */
    struct log *log;
    struct timeline *timeline;
    struct terminal *terminal; /* NULL without a console */
    struct sandbox *sandbox;
    int channel;
    struct vm *vm;
    struct timer silence; /* rings when a guest has had time to come to its console */
};

/* The monitor's process from its fork to its end. */
_Noreturn void boot_monitor(struct boot_monitor *monitor);

/* Ctrl-A x, in the shape of a terminal's quit; CONTEXT is the monitor. */
void boot_escape(void *context);

#endif
