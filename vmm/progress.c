/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS 500
#define EVERY_MS 100

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void progress_init(struct progress *progress, bool wanted)
{
    *progress = (struct progress){ .on = wanted && isatty(STDERR_FILENO) };
    if (progress->on)
        progress->next = now_ms() + FIRST_MS;
}

void progress_begin(struct progress *progress, uint64_t total, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(progress->what, sizeof(progress->what), format, arguments);
    va_end(arguments);
    /* File names are shown as they are but for what would move the cursor. */
    for (char *at = progress->what; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    progress->total = total;
    progress->done = 0;
    progress_add(progress, 0);
}

void progress_add(struct progress *progress, uint64_t bytes)
{
    uint64_t now;

    progress->done += bytes;
    if (!progress->on)
        return;
    now = now_ms();
    if (now < progress->next)
        return;
    progress->next = now + EVERY_MS;
    progress->shown = true;
    if (progress->total > 0)
        dprintf(STDERR_FILENO, "\r\033[Kmote: %s: %llu of %llu MiB, %u %%", progress->what,
                (unsigned long long)progress->done >> 20, (unsigned long long)progress->total >> 20,
                progress->done < progress->total
                    ? (unsigned int)((double)progress->done * 100 / (double)progress->total)
                    : 100u);
    else
        dprintf(STDERR_FILENO, "\r\033[Kmote: %s: %llu MiB", progress->what,
                (unsigned long long)progress->done >> 20);
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        dprintf(STDERR_FILENO, "\r\033[K");
    progress->shown = false;
}
