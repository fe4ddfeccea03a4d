/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/timer.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void ready(void *context, uint32_t events)
{
    const struct timer *timer = context;
    uint64_t count;

    (void)events;
    /* Otherwise it was set anew in the meantime. */
    if (read(timer->fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
        timer->rang(timer->context);
}

int timer_open(struct timer *timer, struct event_loop *loop, void (*rang)(void *context),
               void *context, struct error *error)
{
    struct event_source source = { .events = EPOLLIN, .handler = ready, .context = timer };
    int result;

    *timer = (struct timer){ .loop = loop, .rang = rang, .context = context };
    timer->fd = source.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    result = timer->fd < 0 ? -errno : event_loop_add(loop, &source);
    return result < 0 ? error_system(error, -result, "a timer") : 0;
}

void timer_set(const struct timer *timer, uint64_t ms)
{
    struct itimerspec when = {
        .it_value = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 },
    };

    timerfd_settime(timer->fd, 0, &when, NULL);
}

void timer_close(struct timer *timer)
{
    if (timer->fd < 0)
        return;
    event_loop_remove(timer->loop, timer->fd);
    close(timer->fd);
    timer->fd = -1;
}
