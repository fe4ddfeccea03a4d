/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/console_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

uint64_t console_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 * MILLISECOND + (uint64_t)time.tv_nsec;
}

void console_wake_at(struct console *console, uint64_t at)
{
    struct itimerspec when;

    if (at == 0)
        at = 1; /* a timer set to 0 is disarmed */
    if (console->wake_at != 0 && console->wake_at <= at)
        return;
    console->wake_at = at;
    when = (struct itimerspec){
        .it_value.tv_sec = (time_t)(at / (1000 * MILLISECOND)),
        .it_value.tv_nsec = (long)(at % (1000 * MILLISECOND)),
    };
    timerfd_settime(console->wake_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void console_call_peer(struct console *console, void (*call)(void *context))
{
    if (!console->loop || !call)
        return;
    pthread_mutex_lock(console->peer.lock);
    call(console->peer.context);
    pthread_mutex_unlock(console->peer.lock);
}

static void woken(void *context, uint32_t events)
{
    struct console *console = context;
    uint64_t expirations;
    ssize_t length;

    (void)events;
    pthread_mutex_lock(&console->lock);
    length = read(console->wake_fd, &expirations, sizeof(expirations));
    (void)length; /* -EAGAIN: armed anew meanwhile; being awake is what counts */
    console->wake_at = 0;
    pthread_mutex_unlock(&console->lock);
    if (!console->output_polled)
        console_pump_output(console);
    if (console_resume_input(console))
        console_pump_input(console);
}

/* What is left of the limit: a restarted VM goes on with the same file. */
static uint64_t room_of(const struct console_options *options)
{
    struct stat status;
    uint64_t limit = options->output_limit;

    if (limit == 0 || options->output_fd < 0 || fstat(options->output_fd, &status) < 0 ||
        !S_ISREG(status.st_mode))
        return UINT64_MAX;
    return (uint64_t)status.st_size < limit ? limit - (uint64_t)status.st_size : 0;
}

int console_create(struct console **console, const struct console_options *options,
                   struct error *error)
{
    cleanup_free struct console *created = calloc(1, sizeof(*created));
    struct sigaction action;
    int result;

    if (!created)
        return error_system(error, ENOMEM, "console");
    created->log = options->log;
    created->output_room = room_of(options);
    created->on_terminal = options->output_fd >= 0 && isatty(options->output_fd);
    created->filter = options->filter;
    created->filter_context = options->filter_context;
    created->in = (struct byte_ring){ .bytes = created->in_bytes, .size = CONSOLE_INPUT_RING };
    created->out = (struct byte_ring){ .bytes = created->out_bytes, .size = CONSOLE_OUTPUT_RING };
    created->input_state = options->input_fd >= 0 ? INPUT_READING : INPUT_ENDED;
    result = host_stream_open(&created->input, options->input_fd, HOST_INPUT, "console input",
                              error);
    if (result < 0)
        return result;
    result = host_stream_open(&created->output, options->output_fd, HOST_OUTPUT,
                              "console output", error);
    if (result == 0) {
        created->wake_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (created->wake_fd < 0)
            result = error_system(error, errno, "console: timer");
    }
    if (result < 0) {
        host_stream_close(&created->input);
        host_stream_close(&created->output);
        return result;
    }
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&created->lock, NULL);
    *console = steal_pointer(&created);
    return 0;
}

void console_destroy(struct console *console)
{
    if (!console)
        return;
    console_detach(console);
    host_stream_close(&console->input);
    host_stream_close(&console->output);
    close(console->wake_fd);
    pthread_mutex_destroy(&console->lock);
    free(console);
}

int console_attach(struct console *console, struct event_loop *loop,
                   const struct console_peer *peer, struct error *error)
{
    struct event_source source = {
        .fd = console->wake_fd, .events = EPOLLIN, .handler = woken, .context = console,
    };
    int result;

    if (console->loop)
        return error_set(error, EBUSY, "console: another device is attached; one can be");
    result = event_loop_add(loop, &source);
    if (result < 0)
        return error_system(error, -result, "console");
    console->loop = loop;
    console->peer = *peer;
    pthread_mutex_lock(&console->lock);
    console->room_wanted = false;
    console_wake_at(console, 1);
    pthread_mutex_unlock(&console->lock);
    return 0;
}

void console_detach(struct console *console)
{
    if (!console->loop)
        return;
    console_poll_input(console, false);
    console_poll_output(console, false);
    event_loop_remove(console->loop, console->wake_fd);
    console->loop = NULL;
}

/* A terminal that went away answers EIO: no error, as nobody reads there any more, and SIGHUP ends the VM. */
static int drain_failed(struct console *console, struct error *error)
{
    int number;

    pthread_mutex_lock(&console->lock);
    number = console->failed;
    pthread_mutex_unlock(&console->lock);
    if (number == EIO && console->on_terminal)
        return 0;
    return number && console->output_room > 0 ? error_system(error, number, "console output") : 0;
}

int console_drain(struct console *console, int timeout_ms, struct error *error)
{
    uint64_t deadline = console_now() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * MILLISECOND;
    struct pollfd output = { .fd = console->output.fd, .events = POLLOUT };
    int result;

    for (;;) {
        result = console_write_chunk(console);
        if (result == CHUNK_LAST || (result < 0 && result != -EAGAIN))
            return drain_failed(console, error);
        uint64_t time = console_now();

        if (time >= deadline)
            return error_set(error, ETIMEDOUT,
                             "console output: its reader is too slow; %zu bytes are lost",
                             console->out.used);
        if (result == -EAGAIN)
            poll(&output, 1, (int)((deadline - time + MILLISECOND - 1) / MILLISECOND));
    }
}

bool console_size(const struct console *console, uint16_t *columns, uint16_t *rows)
{
    struct winsize size;

    if (console->output.fd < 0 || ioctl(console->output.fd, TIOCGWINSZ, &size) < 0 ||
        size.ws_col == 0 || size.ws_row == 0)
        return false;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return true;
}

struct console_counters console_counters(struct console *console)
{
    struct console_counters counters;

    pthread_mutex_lock(&console->lock);
    counters = console->counters;
    pthread_mutex_unlock(&console->lock);
    return counters;
}
