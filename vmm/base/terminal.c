/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/reopen.h"

#define CTRL_A 0x01

static const int fatal_signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

struct terminal {
    int fd;
    int screen; /* where help is shown: FD, or a descriptor of its own */
    struct log *log;
    void (*quit)(void *context);
    void *context;
    bool ours;
    bool raw;
    bool escaped; /* the last key was Ctrl-A, and is held back */
    struct termios saved;
    struct sigaction actions[ARRAY_LENGTH(fatal_signals)];
};

/*
 * The terminal that is raw now.  The one mutable global of the monitor: a
 * signal handler gets no context, and after SIGSEGV there is nobody else left
 * who could give the user's terminal back.  It points to a terminal only from
 * terminal_raw() to terminal_restore().
 */
static _Atomic(struct terminal *) raw_terminal;
_Static_assert(ATOMIC_POINTER_LOCK_FREE == 2, "a signal handler may not take a lock");

int terminal_create(struct terminal **terminal, int fd, struct log *log, struct error *error)
{
    struct terminal *created = calloc(1, sizeof(*created));
    pid_t foreground;

    if (!created)
        return error_system(error, ENOMEM, "terminal");
    *created = (struct terminal){ .fd = fd, .screen = fd, .log = log };
    if (isatty(fd)) {
        /* Fails on a terminal that does not control us: then no job control
         * stands between us and it either. */
        foreground = tcgetpgrp(fd);
        created->ours = foreground < 0 || foreground == getpgrp();
    }
    *terminal = created;
    return 0;
}

void terminal_on_quit(struct terminal *terminal, void (*quit)(void *context), void *context)
{
    terminal->quit = quit;
    terminal->context = context;
}

void terminal_destroy(struct terminal *terminal)
{
    if (!terminal)
        return;
    terminal_restore(terminal);
    if (terminal->screen != terminal->fd)
        close(terminal->screen);
    free(terminal);
}

void terminal_open_screen(struct terminal *terminal)
{
    int opened = reopen(terminal->fd, O_WRONLY | O_NONBLOCK);

    if (opened >= 0)
        terminal->screen = opened;
}

bool terminal_is_ours(const struct terminal *terminal)
{
    return terminal->ours;
}

/*
 * SIGTTOU would stop us if another job had taken the foreground meanwhile.
 * TCSANOW, since waiting for output to drain could wait for ever.
 */
static void set_saved_mode(const struct terminal *terminal)
{
    sigset_t set, old;

    sigemptyset(&set);
    sigaddset(&set, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    tcsetattr(terminal->fd, TCSANOW, &terminal->saved);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void terminal_restore_any(void)
{
    int saved_errno = errno;
    const struct terminal *terminal = atomic_load(&raw_terminal);

    if (terminal)
        set_saved_mode(terminal);
    errno = saved_errno;
}

/*
 * Gives the terminal back, then lets the signal do what it would have done
 * without us: it is blocked while we are here and comes again on our return.
 */
static void fatal_signal(int number)
{
    const struct terminal *terminal = atomic_load(&raw_terminal);

    terminal_restore_any();
    signal(number, SIG_DFL);
    for (size_t i = 0; terminal && i < ARRAY_LENGTH(fatal_signals); i++)
        if (fatal_signals[i] == number)
            sigaction(number, &terminal->actions[i], NULL);
    raise(number);
}

static void catch_fatal_signals(struct terminal *terminal)
{
    /* On the alternate stack, where a thread has one: its own may be used up. */
    struct sigaction action = { .sa_handler = fatal_signal, .sa_flags = SA_ONSTACK };

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LENGTH(fatal_signals); i++)
        sigaction(fatal_signals[i], &action, &terminal->actions[i]);
}

void terminal_raw(struct terminal *terminal)
{
    struct termios mode;

    if (!terminal->ours || terminal->raw || atomic_load(&raw_terminal))
        return;
    if (tcgetattr(terminal->fd, &terminal->saved) < 0) {
        log_warn(terminal->log, "terminal: %s; keys go to the guest line by line",
                 strerror(errno));
        return;
    }
    mode = terminal->saved;
    cfmakeraw(&mode);
    /* What the handlers need is in place before the mode changes. */
    catch_fatal_signals(terminal);
    atomic_store(&raw_terminal, terminal);
    terminal->raw = true;
    if (tcsetattr(terminal->fd, TCSADRAIN, &mode) < 0) {
        log_warn(terminal->log, "terminal: %s; keys go to the guest line by line",
                 strerror(errno));
        terminal_restore(terminal);
        return;
    }
    if (isatty(terminal->log->fd))
        atomic_store(&terminal->log->raw_terminal, true);
}

void terminal_restore(struct terminal *terminal)
{
    if (!terminal->raw)
        return;
    set_saved_mode(terminal);
    atomic_store(&raw_terminal, NULL);
    atomic_store(&terminal->log->raw_terminal, false);
    for (size_t i = 0; i < ARRAY_LENGTH(fatal_signals); i++)
        sigaction(fatal_signals[i], &terminal->actions[i], NULL);
    terminal->raw = false;
    terminal->escaped = false;
}

/* Straight to the terminal, where the user looks; not if that would block. */
static void show_help(const struct terminal *terminal)
{
    static const char help[] = "\r\n"
                               "mote: Ctrl-A x       end the VM\r\n"
                               "      Ctrl-A h       this help\r\n"
                               "      Ctrl-A Ctrl-A  send one Ctrl-A to the guest\r\n";
    struct pollfd screen = { .fd = terminal->screen, .events = POLLOUT };
    ssize_t written;

    if (poll(&screen, 1, 0) <= 0)
        return;
    written = write(terminal->screen, help, sizeof(help) - 1);
    (void)written; /* a terminal that is open for reading only: no help */
}

/* What follows Ctrl-A; returns how many bytes of OUT the guest gets. */
static size_t escaped_key(struct terminal *terminal, uint8_t key, uint8_t *out)
{
    switch (key) {
    case 'x':
        terminal->quit(terminal->context);
        return 0;
    case 'h':
    case '?':
        show_help(terminal);
        return 0;
    case 'a':
    case CTRL_A:
        out[0] = CTRL_A;
        return 1;
    default:
        out[0] = CTRL_A;
        out[1] = key;
        return 2;
    }
}

size_t terminal_filter(void *context, const uint8_t *in, size_t length, uint8_t *out)
{
    struct terminal *terminal = context;
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        if (terminal->escaped) {
            terminal->escaped = false;
            used += escaped_key(terminal, in[i], out + used);
        } else if (in[i] == CTRL_A) {
            terminal->escaped = true;
        } else {
            out[used++] = in[i];
        }
    }
    return used;
}
