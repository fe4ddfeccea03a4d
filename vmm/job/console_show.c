/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/console_show.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

static void ready(void *context, uint32_t events);

static int wait_for(struct console_show *show, int fd, uint32_t events)
{
    struct event_source source = { .fd = fd, .events = events, .handler = ready, .context = show };

    return event_loop_add(show->loop, &source);
}

/* Whether it took all there is, or never will. */
static bool write_held(struct console_show *show)
{
    while (show->first < show->end) {
        ssize_t count = host_stream_write(&show->to, show->bytes + show->first, show->end - show->first);

        if (count == -EAGAIN)
            return false;
        if (count < 0) {
            show->failed = true;
            show->shows = false;
            break;
        }
        show->first += (size_t)count;
        if (show->wrote)
            show->wrote(show->context);
    }
    show->first = show->end = 0;
    return true;
}

/* As read(2). */
static ssize_t read_some(struct console_show *show)
{
    ssize_t count = read(show->from, show->bytes, sizeof(show->bytes));

    if (count <= 0)
        return count;
    console_tail_add(show->tail, (const char *)show->bytes, (size_t)count);
    show->end = show->shows ? (size_t)count : 0;
    return count;
}

/* Waits for one of the two alone: the other's hang-up would come without end. */
static void ready(void *context, uint32_t events)
{
    struct console_show *show = context;
    bool held = show->first < show->end;
    ssize_t count = held ? 1 : read_some(show);

    (void)events;
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        event_loop_remove(show->loop, show->from);
        return;
    }
    if (write_held(show) == !held)
        return; /* nothing changes */
    event_loop_remove(show->loop, held ? show->to.fd : show->from);
    if (wait_for(show, held ? show->from : show->to.fd, held ? EPOLLIN : EPOLLOUT) < 0)
        show->failed = true;
}

int console_show_open(struct console_show *show, struct event_loop *loop, int from, struct console_tail *tail, bool shows,
                      int to, struct error *error)
{
    int result;

    *show = (struct console_show){ .loop = loop, .tail = tail, .from = from, .shows = shows };
    result = host_stream_open(&show->to, shows ? to : -1, HOST_OUTPUT, "standard error", error);
    if (result == 0 && (result = wait_for(show, from, EPOLLIN)) < 0)
        error_system(error, -result, "the guest's console");
    return result;
}

static unsigned int now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned int)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

/* At most as much as a pipe holds. */
void console_show_drain(struct console_show *show, unsigned int limit_ms)
{
    unsigned int begin = now_ms(), passed = 0;

    while (show->from >= 0) {
        struct pollfd reader = { .fd = show->to.fd, .events = POLLOUT };

        while (!write_held(show) && passed < limit_ms) {
            poll(&reader, 1, (int)(limit_ms - passed));
            passed = now_ms() - begin;
        }
        if (passed >= limit_ms)
            show->shows = false; /* the tail is kept all the same */
        show->first = show->end = 0;
        if (read_some(show) <= 0)
            return;
    }
}

void console_show_close(struct console_show *show)
{
    if (show->loop) {
        event_loop_remove(show->loop, show->from);
        event_loop_remove(show->loop, show->to.fd);
    }
    host_stream_close(&show->to);
    show->from = -1;
    show->first = show->end = 0;
}
