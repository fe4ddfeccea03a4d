/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_MONITOR_H
#define MOTE_MONITOR_H

/*
 * The monitor of `mote boot`: the jailed process that has the VM, and what it and
 * its supervisor send each other.
 *
 * They share a socket of messages.  The supervisor sends single bytes, enum
 * boot_wish, and orders (order.h), which the monitor answers; it says once that it
 * is ready, if the terminal is to be made raw then, that the VM runs, if somebody
 * waits for that, and last sends its report.
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

enum boot_wish {
    BOOT_GO = 'g',      /* after BOOT_READY: the terminal is as it shall be */
    BOOT_STOP = 's',    /* end the VM: a signal */
    BOOT_END = 'e',     /* end the VM: the control socket */
    BOOT_REFRESH = 'r', /* look at the host side again */
};

/* The monitor's messages of one byte. */
#define BOOT_READY 'y'
#define BOOT_RUNS 'r' /* the VM stands: what can fail has not; only where somebody waits for it */

/* The monitor's last message.  The supervisor believes nothing of it: a guest may have written it. */
struct boot_report {
    uint32_t end;         /* enum vm_end_kind; VM_RUNNING: it did not come that far */
    int32_t error_number; /* positive; 0 where all went well */
    char how[48];         /* of the end */
    char message[sizeof(((struct error *)0)->message)];
    struct timeline timeline;
};

struct boot_monitor {
    const struct vm_config *config;
    uint64_t output_limit; /* bytes of the console, where it goes to a file; 0: any number */
    bool tells_start;      /* somebody waits for BOOT_RUNS */
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
