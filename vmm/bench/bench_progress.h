/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_BENCH_PROGRESS_H
#define MOTE_BENCH_BENCH_PROGRESS_H

/* One line on standard error: what is measured, and the time left.  On a terminal only. */

#include <stdbool.h>

struct bench_progress {
    bool on, shown;
};

void bench_progress_init(struct bench_progress *progress);
void bench_progress_show(struct bench_progress *progress, const char *what, const char *who,
                         double seconds_left);
/* Takes the line away. */
void bench_progress_end(struct bench_progress *progress);

#endif
