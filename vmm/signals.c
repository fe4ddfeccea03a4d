/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void ready(void *context, uint32_t events)
{
    const struct signals *signals = context;
    struct signalfd_siginfo info;

    (void)events;
    if (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        signals->arrived(signals->context, (int)info.ssi_signo);
}

int signals_open(struct signals *signals, struct event_loop *loop, const int *numbers, size_t count,
                 bool hangup_wanted, struct error *error)
{
    struct event_source source = { .events = EPOLLIN, .handler = ready, .context = signals };
    struct sigaction hangup;
    sigset_t set;
    int result;

    sigemptyset(&set);
    for (size_t i = 0; i < count; i++)
        sigaddset(&set, numbers[i]);
    if (hangup_wanted || (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN))
        sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals->loop = loop;
    signals->fd = source.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    result = signals->fd < 0 ? -errno : event_loop_add(loop, &source);
    return result < 0 ? error_system(error, -result, "signals") : 0;
}

void signals_close(struct signals *signals)
{
    if (signals->fd < 0)
        return;
    event_loop_remove(signals->loop, signals->fd);
    close(signals->fd);
    signals->fd = -1;
}
