/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/bench_progress.h"

#include <stdio.h>
#include <unistd.h>

void bench_progress_init(struct bench_progress *progress)
{
    *progress = (struct bench_progress){ .on = isatty(STDERR_FILENO) };
}

void bench_progress_show(struct bench_progress *progress, const char *what, const char *who,
                         double seconds_left)
{
    unsigned int seconds = seconds_left > 0 ? (unsigned int)seconds_left + 1 : 1;

    if (!progress->on)
        return;
    progress->shown = true;
    dprintf(STDERR_FILENO, "\r\033[Kmote bench: %s, %s: about %u:%02u left", what, who,
            seconds / 60, seconds % 60);
}

void bench_progress_end(struct bench_progress *progress)
{
    if (progress->shown)
        dprintf(STDERR_FILENO, "\r\033[K");
    progress->shown = false;
}
