/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_WORKSHOP_BENCH_H
#define MOTE_BENCH_WORKSHOP_BENCH_H

/* A benchmark under test: its options, and a workshop whose folder is empty. */

#include "vmm/bench/bench.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#define SECOND 1000000000ll

static const volatile bool never;
static struct bench_options options;
static struct bench bench;
static char folder[64];

/* Every contender's program is gone but those that a test puts there. */
static inline int set_up(void **state)
{
    (void)state;
    options = (struct bench_options){ .runs = 2, .axes = "start" };
    bench = (struct bench){ .options = &options, .stop = &never, .random = 1,
                            .workshop = WORKSHOP_INIT, .deadline = now_ns() + 60 * SECOND };
    strcpy(folder, "/tmp/mote-test-bench.XXXXXX");
    if (!mkdtemp(folder) || results_init(&bench.results) < 0)
        return -1;
    bench.results.host.cpus = 2;
    strcpy(bench.workshop.folder, folder);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    results_release(&bench.results);
    workshop_close(&bench.workshop);
    return 0;
}

#endif
