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

int timer_make_fd(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

int timer_open_fd(struct timer *timer, int fd, struct event_loop *loop, pthread_mutex_t *lock,
                  void (*rang)(void *context), void *context)
{
    struct event_source source = {
        .fd = fd, .events = EPOLLIN, .handler = ready, .context = timer, .lock = lock,
    };
    int result;

    *timer = (struct timer){ .loop = loop, .fd = -1, .rang = rang, .context = context };
    result = event_loop_add(loop, &source);
    if (result == 0)
        timer->fd = fd;
    return result;
}

int timer_open_locked(struct timer *timer, struct event_loop *loop, pthread_mutex_t *lock,
                      void (*rang)(void *context), void *context)
{
    int fd = timer_make_fd();
    int result = fd < 0 ? fd : timer_open_fd(timer, fd, loop, lock, rang, context);

    if (result < 0) {
        *timer = (struct timer)TIMER_INIT;
        if (fd >= 0)
            close(fd);
    }
    return result;
}

int timer_open(struct timer *timer, struct event_loop *loop, void (*rang)(void *context),
               void *context, struct error *error)
{
    int result = timer_open_locked(timer, loop, NULL, rang, context);

    return result < 0 ? error_system(error, -result, "a timer") : 0;
}

void timer_set_ns(const struct timer *timer, uint64_t ns)
{
    const struct itimerspec when = {
        .it_value = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) },
    };

    /* Its arguments are sound: nothing else can fail. */
    if (timer->fd >= 0)
        timerfd_settime(timer->fd, 0, &when, NULL);
}

void timer_set(const struct timer *timer, uint64_t ms)
{
    timer_set_ns(timer, ms * 1000000);
}

void timer_close(struct timer *timer)
{
    if (timer->fd < 0)
        return;
    event_loop_remove(timer->loop, timer->fd);
    close(timer->fd);
    timer->fd = -1;
}
