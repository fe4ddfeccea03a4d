/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/progress.h"

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

__attribute__((format(printf, 4, 0))) static void
begin(struct progress *progress, uint64_t total, const char *unit, const char *format,
      va_list arguments)
{
    vsnprintf(progress->what, sizeof(progress->what), format, arguments);
    /* File names are shown as they are but for what would move the cursor. */
    for (char *at = progress->what; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    progress->unit = unit;
    progress->total = total;
    progress->done = 0;
    progress_add(progress, 0);
}

void progress_begin(struct progress *progress, uint64_t total, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    begin(progress, total, NULL, format, arguments);
    va_end(arguments);
}

void progress_begin_count(struct progress *progress, uint64_t total, const char *unit,
                          const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    begin(progress, total, unit, format, arguments);
    va_end(arguments);
}

void progress_add(struct progress *progress, uint64_t amount)
{
    const char *unit = progress->unit ? progress->unit : "MiB";
    unsigned int shift = progress->unit ? 0 : 20;
    uint64_t now;

    progress->done += amount;
    if (!progress->on)
        return;
    now = now_ms();
    if (now < progress->next)
        return;
    progress->next = now + EVERY_MS;
    progress->shown = true;
    if (progress->total > 0)
        dprintf(STDERR_FILENO, "\r\033[Kmote: %s: %llu of %llu %s, %u %%", progress->what,
                (unsigned long long)progress->done >> shift,
                (unsigned long long)progress->total >> shift, unit,
                progress->done < progress->total
                    ? (unsigned int)((double)progress->done * 100 / (double)progress->total)
                    : 100u);
    else
        dprintf(STDERR_FILENO, "\r\033[Kmote: %s: %llu %s", progress->what,
                (unsigned long long)progress->done >> shift, unit);
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        dprintf(STDERR_FILENO, "\r\033[K");
    progress->shown = false;
}
