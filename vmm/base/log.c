/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LINES_PER_LIMIT 10

const char *const log_level_names[LOG_LEVEL_COUNT + 1] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

/* What poll(2) promises of a pipe, a line has room in.  Who has kept us waiting once does not so again. */
static bool is_ready(struct log *log)
{
    struct pollfd reader = { .fd = log->fd, .events = POLLOUT };

    if (log->patience_ms == 0)
        return true;
    if (poll(&reader, 1, (int)log->patience_ms) != 0) /* an error is for write(2) to meet */
        return true;
    log->patience_ms = 1;
    return false;
}

__attribute__((format(printf, 3, 0))) static void
write_line(struct log *log, enum log_level level, const char *format, va_list arguments)
{
    char line[1024];
    size_t room = sizeof(line) - 3; /* CR, LF and NUL */
    size_t length;
    ssize_t written;

    length = (size_t)snprintf(line, room, "mote: %s", level <= LOG_WARN ? log_level_names[level] : "");
    if (level <= LOG_WARN)
        length += (size_t)snprintf(line + length, room - length, ": ");
    vsnprintf(line + length, room - length, format, arguments);
    length = strlen(line);
    if (atomic_load_explicit(&log->raw_terminal, memory_order_relaxed))
        line[length++] = '\r';
    line[length++] = '\n';
    /* There is nobody left to tell when the log itself cannot be written. */
    written = is_ready(log) ? write(log->fd, line, length) : 0;
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

/* ---- what guests trigger -------------------------------------------------- */

static long long seconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

int log_share(struct log *log, struct error *error)
{
    struct log_allowance *allowance = mmap(NULL, sizeof(*allowance), PROT_READ | PROT_WRITE,
                                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (allowance == MAP_FAILED)
        return error_system(error, errno, "the log");
    atomic_init(&allowance->lines, LOG_ALLOWANCE);
    atomic_init(&allowance->refilled_at, seconds());
    log->allowance = allowance;
    log->patience_ms = LOG_PATIENCE_MS;
    return 0;
}

/*
 * Who refills loses nothing to others who do: one of them wins the exchange.  The
 * numbers may be a guest's: no time before the clock's first second was, and none
 * after now; from such a one the count begins anew.
 */
static void refill(struct log_allowance *allowance)
{
    long long before = atomic_load(&allowance->refilled_at), now = seconds(), due, lines;

    if (before < 0 || before > now) {
        atomic_store(&allowance->refilled_at, now);
        return;
    }
    due = (now - before) / LOG_REFILL_SECONDS;
    if (due == 0 || !atomic_compare_exchange_strong(&allowance->refilled_at, &before,
                                                    before + due * LOG_REFILL_SECONDS))
        return;
    lines = atomic_load(&allowance->lines) + due;
    atomic_store(&allowance->lines, (unsigned int)(lines < LOG_ALLOWANCE ? lines : LOG_ALLOWANCE));
}

/* Takes one line of what all limits may use. */
static bool take_line(struct log *log)
{
    struct log_allowance *allowance = log->allowance;
    unsigned int lines;

    if (!allowance)
        return true;
    refill(allowance);
    lines = atomic_load(&allowance->lines);
    while (lines > 0) {
        unsigned int left = lines < LOG_ALLOWANCE ? lines - 1 : LOG_ALLOWANCE - 1;

        if (atomic_compare_exchange_weak(&allowance->lines, &lines, left))
            return true;
    }
    if (!atomic_exchange(&allowance->told, true))
        log_line(log, LOG_WARN, "the guest causes too many messages: of these, one in %d s is let "
                 "through from here on", LOG_REFILL_SECONDS);
    return false;
}

static void leave_out(struct log *log)
{
    if (log->allowance)
        atomic_fetch_add_explicit(&log->allowance->left_out, 1, memory_order_relaxed);
}

/* Whether a line of this kind may go on to the allowance. */
static bool within(struct log *log, struct log_limit *limit, enum log_level level)
{
    unsigned int seen;

    if (!limit)
        return true;
    /* Saturate: a guest that tries four billion times must not start anew. */
    seen = atomic_load_explicit(&limit->count, memory_order_relaxed);
    if (seen > LINES_PER_LIMIT)
        return false;
    seen = atomic_fetch_add_explicit(&limit->count, 1, memory_order_relaxed);
    if (seen == LINES_PER_LIMIT && take_line(log))
        log_line(log, level, "further messages of this kind are left out");
    return seen < LINES_PER_LIMIT;
}

void log_limited(struct log *log, struct log_limit *limit, enum log_level level, const char *format,
                 ...)
{
    va_list arguments;

    if (level > log->level)
        return;
    if (!within(log, limit, level) || !take_line(log)) {
        leave_out(log);
        return;
    }
    va_start(arguments, format);
    write_line(log, level, format, arguments);
    va_end(arguments);
}

void log_tell_left_out(struct log *log)
{
    unsigned long long left_out = log->allowance ? atomic_exchange(&log->allowance->left_out, 0) : 0;

    if (left_out > 0)
        log_warn(log, "%llu message%s that the guest caused %s left out", left_out,
                 left_out == 1 ? "" : "s", left_out == 1 ? "was" : "were");
}
