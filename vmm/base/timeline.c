/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/timeline.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vmm/base/error.h"

#define BAR_WIDTH 40

void timeline_mark_number(struct timeline *timeline, const char *name, uint32_t number)
{
    unsigned int index = atomic_load_explicit(&timeline->count, memory_order_relaxed);
    struct timeline_mark *mark;
    struct timespec now;

    if (index >= TIMELINE_MARKS_MAX)
        return;
    index = atomic_fetch_add_explicit(&timeline->count, 1, memory_order_relaxed);
    if (index >= TIMELINE_MARKS_MAX)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    mark = &timeline->marks[index];
    mark->number = number;
    mark->nanoseconds = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    strncpy(mark->name, name, sizeof(mark->name) - 1);
}

void timeline_mark(struct timeline *timeline, const char *name)
{
    timeline_mark_number(timeline, name, 0);
}

/* Where NANOSECONDS from the first mark lie in a bar for TOTAL of them. */
static size_t column(int64_t nanoseconds, int64_t total)
{
    if (nanoseconds <= 0 || total <= 0)
        return 0;
    if (nanoseconds >= total)
        return BAR_WIDTH;
    return (size_t)((double)nanoseconds * BAR_WIDTH / (double)total);
}

/* A bar from FROM to TO on a scale of TOTAL, all in nanoseconds. */
static void draw_bar(char *bar, int64_t from, int64_t to, int64_t total)
{
    size_t start = column(from, total), end = column(to, total);

    memset(bar, ' ', BAR_WIDTH);
    bar[BAR_WIDTH] = '\0';
    if (start >= BAR_WIDTH)
        start = BAR_WIDTH - 1;
    if (end <= start)
        end = start + 1;
    memset(bar + start, '#', end - start);
}

void timeline_print(const struct timeline *timeline, int fd)
{
    unsigned int count = atomic_load(&timeline->count);
    uint64_t origin;
    int64_t total = 0, before = 0;

    if (count > TIMELINE_MARKS_MAX)
        count = TIMELINE_MARKS_MAX;
    if (count == 0)
        return;
    origin = timeline->marks[0].nanoseconds;
    /* A thread may be held up between taking its place and reading the clock:
     * neither is the last mark always the latest, nor the first the earliest. */
    for (unsigned int i = 0; i < count; i++)
        if ((int64_t)(timeline->marks[i].nanoseconds - origin) > total)
            total = (int64_t)(timeline->marks[i].nanoseconds - origin);
    dprintf(fd, "timeline%26s%11s\n", "at ms", "took ms");
    for (unsigned int i = 0; i < count; i++) {
        const struct timeline_mark *mark = &timeline->marks[i];
        int64_t at = (int64_t)(mark->nanoseconds - origin);
        char name[TIMELINE_NAME_SIZE + 16], bar[BAR_WIDTH + 1];

        if (mark->number)
            snprintf(name, sizeof(name), "%.*s %u", TIMELINE_NAME_SIZE, mark->name, mark->number);
        else
            snprintf(name, sizeof(name), "%.*s", TIMELINE_NAME_SIZE, mark->name);
        error_keep_one_line(name);
        draw_bar(bar, before, at, total);
        dprintf(fd, "  %-22s%10.3f%11.3f  |%s|\n", name, (double)at / 1e6,
                (double)(int64_t)((uint64_t)at - (uint64_t)before) / 1e6, bar);
        before = at;
    }
}
