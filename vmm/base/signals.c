/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void ready(void *context, uint32_t events)
{
    const struct signals *signals = context;
    struct signalfd_siginfo info;

    (void)events;
    if (read(signals->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (signals->tells_stop && info.ssi_signo == SIGTERM && info.ssi_code == SI_QUEUE &&
        info.ssi_int == SIGNALS_STOP)
        signals->arrived(signals->context, SIGNALS_STOP);
    else
        signals->arrived(signals->context, (int)info.ssi_signo);
}

/* Digits alone, at most two; -1 for anything else. */
static int read_number(const char *text)
{
    size_t length = strspn(text, "0123456789");

    return length > 0 && length <= 2 && text[length] == '\0' ? atoi(text) : -1;
}

/* The C library's, as container tools count them: 34 to 64. */
static int real_time_number(const char *name)
{
    bool from_top = strncasecmp(name, "RTMAX", 5) == 0;
    int offset = 0;

    if (!from_top && strncasecmp(name, "RTMIN", 5) != 0)
        return 0;
    if (name[5] != '\0') {
        if (name[5] != (from_top ? '-' : '+'))
            return 0;
        offset = read_number(name + 6);
    }
    if (offset < 0 || offset > SIGRTMAX - SIGRTMIN)
        return 0;
    return from_top ? SIGRTMAX - offset : SIGRTMIN + offset;
}

int signal_number(const char *text)
{
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    int number = read_number(text);

    if (number >= 0)
        return number < NSIG ? number : 0;
    for (number = 1; number < NSIG; number++) {
        const char *known = sigabbrev_np(number);

        if (known && strcasecmp(name, known) == 0)
            return number;
    }
    return strcasecmp(name, "CLD") == 0 ? SIGCHLD : strcasecmp(name, "IOT") == 0 ? SIGABRT
                                                                     : real_time_number(name);
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
