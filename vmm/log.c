/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINES_PER_LIMIT 10

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};
_Static_assert(sizeof(level_names) / sizeof(level_names[0]) == LOG_LEVEL_COUNT,
               "every level has a name");

const char *log_level_name(enum log_level level)
{
    return level < LOG_LEVEL_COUNT ? level_names[level] : "?";
}

int log_level_parse(const char *name)
{
    for (int level = 0; level < LOG_LEVEL_COUNT; level++)
        if (strcmp(name, level_names[level]) == 0)
            return level;
    return -1;
}

__attribute__((format(printf, 3, 0))) static void
write_line(struct log *log, enum log_level level, const char *format, va_list arguments)
{
    char line[1024];
    size_t room = sizeof(line) - 3; /* CR, LF and NUL */
    size_t length;
    ssize_t written;

    length = (size_t)snprintf(line, room, "mote: %s", level <= LOG_WARN ? level_names[level] : "");
    if (level <= LOG_WARN)
        length += (size_t)snprintf(line + length, room - length, ": ");
    vsnprintf(line + length, room - length, format, arguments);
    length = strlen(line);
    if (atomic_load_explicit(&log->raw_terminal, memory_order_relaxed))
        line[length++] = '\r';
    line[length++] = '\n';
    /* There is nobody left to tell when the log itself cannot be written. */
    written = write(log->fd, line, length);
    (void)written;
}

void log_line(struct log *log, enum log_level level, const char *format, ...)
{
    va_list arguments;

    if (level > log->level)
        return;
    va_start(arguments, format);
    write_line(log, level, format, arguments);
    va_end(arguments);
}

void log_limited(struct log *log, struct log_limit *limit, enum log_level level, const char *format,
                 ...)
{
    va_list arguments;
    unsigned int seen;

    if (level > log->level)
        return;
    /* Saturate: a guest that tries four billion times must not start anew. */
    seen = atomic_load_explicit(&limit->count, memory_order_relaxed);
    if (seen > LINES_PER_LIMIT)
        return;
    seen = atomic_fetch_add_explicit(&limit->count, 1, memory_order_relaxed);
    if (seen == LINES_PER_LIMIT)
        log_line(log, level, "further messages of this kind are left out");
    if (seen >= LINES_PER_LIMIT)
        return;
    va_start(arguments, format);
    write_line(log, level, format, arguments);
    va_end(arguments);
}
