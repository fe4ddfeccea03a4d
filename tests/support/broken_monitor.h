/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BROKEN_MONITOR_H
#define MOTE_BROKEN_MONITOR_H

/*
 * A VM's process that is in a guest's hands: it says, sends and does what a test wants.  Who uses this has its program linked with
 * --wrap=monitor_main, so that the process that `mote boot` or `mote run` forks is the test's.
 */

#include "tests/support/fixture.h"
#include "vmm/job/job_run.h"
#include "vmm/monitor/monitor.h"
#include "vmm/monitor/protocol.h"

/* s; a supervisor that is deaf takes longer, and the program with it. */
#define PATIENCE 20

/* What the process has. */
struct broken_monitor {
    const struct monitor_options *options;
    struct sandbox *sandbox;
    int channel;
};

typedef void (*broken_act)(struct broken_monitor *monitor);

/* What was told of it, by the supervisor's log and its error. */
extern char broken_told[8192];

/* `mote boot` with a VM whose process does ACT: what boot_supervise() returned. */
int broken_boot(broken_act act, int *status);

/* `mote run`, with OPTIONS for what matters; NULL: nothing does.  Returns the seconds that it took. */
double broken_run(broken_act act, const struct job_run_options *options, struct outcome *outcome);

/* Under both: the VM fails, WHY is told, and nothing else as its end. */
void broken_fails(broken_act act, const char *why);

/* ---- for acts --------------------------------------------------------------- */

_Noreturn void live_on(void);

#endif
