/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/backend/console.h"

static void set_level(void *controller, unsigned int number, bool high)
{
    struct fake_irq *irq = controller;

    assert_int_equal(number, 4);
    if (irq->high == high)
        irq->repeated++;
    else if (high)
        irq->edges++;
    irq->high = high;
}

static void report(void *context, enum guest_event event, const char *source, uint32_t detail)
{
    struct fake_events *events = context;

    events->count[event]++;
    events->source = source;
    events->detail = detail;
}

void fixture_init(struct fixture *fixture)
{
    const struct guest_range ranges[] = {
        { 0, FIXTURE_LOW_SIZE },
        { FIXTURE_HIGH_BASE, FIXTURE_HIGH_SIZE },
    };
    struct error error = ERROR_INIT;

    signal(SIGPIPE, SIG_IGN); /* as vm_create() has it */
    *fixture = (struct fixture){ .log = memory_log(LOG_INFO) };
    fixture->sink = (struct guest_event_sink){ .report = report, .context = &fixture->events };
    fixture->env.events = &fixture->sink;
    fixture->env.log = &fixture->log;
    fixture->env.irq = (struct irq_line){
        .set_level = set_level, .controller = &fixture->irq, .number = 4,
    };
    assert_int_equal(event_loop_create(&fixture->env.loop, &error), 0);
    assert_int_equal(guest_memory_create(&fixture->env.memory, ranges, 2, &error), 0);
}

void fixture_release(struct fixture *fixture)
{
    event_loop_destroy(fixture->env.loop);
    guest_memory_destroy(fixture->env.memory);
    close(fixture->log.fd);
}

int fixture_terminal(struct fixture *fixture)
{
    struct console_options options = { .log = &fixture->log };
    struct error error = ERROR_INIT;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    options.input_fd = options.output_fd = pair[1];
    assert_int_equal(console_create(&fixture->env.console, &options, &error), 0);
    close(pair[1]);
    return pair[0];
}

struct log memory_log(enum log_level level)
{
    int fd = memfd_create("log", MFD_CLOEXEC);

    assert_true(fd >= 0);
    /* A memfd, unlike a file that was opened, lets concurrent writes share an offset. */
    assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
    return (struct log){ .fd = fd, .level = level };
}

const char *memory_log_text(const struct log *log, char *text, size_t size)
{
    ssize_t length = pread(log->fd, text, size - 1, 0);

    assert_true(length >= 0);
    text[length] = '\0';
    return text;
}

unsigned int memory_log_lines(const struct log *log)
{
    char text[8192];
    unsigned int lines = 0;

    for (const char *at = memory_log_text(log, text, sizeof(text)); *at; at++)
        lines += *at == '\n';
    return lines;
}

static void time_is_up(void *context, uint32_t events)
{
    (void)events;
    event_loop_stop(context);
}

void run_loop_for(struct event_loop *loop, unsigned int milliseconds)
{
    const struct itimerspec when = {
        .it_value.tv_sec = milliseconds / 1000,
        .it_value.tv_nsec = (long)(milliseconds % 1000) * 1000000 + 1,
    };
    struct event_source source = { .events = EPOLLIN, .handler = time_is_up, .context = loop };
    struct error error = ERROR_INIT;

    source.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    assert_true(source.fd >= 0);
    assert_int_equal(timerfd_settime(source.fd, 0, &when, NULL), 0);
    assert_int_equal(event_loop_add(loop, &source), 0);
    assert_int_equal(event_loop_run(loop, &error), 0);
    event_loop_remove(loop, source.fd);
    close(source.fd);
}

struct device *device_make(struct fixture *fixture, const struct device_ops *ops,
                           const void *options)
{
    struct error error = ERROR_INIT;
    struct device *device = NULL;

    assert_int_equal(ops->create(&device, &fixture->env, options, &error), 0);
    assert_ptr_equal(device->ops, ops);
    return device;
}

void device_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    pthread_mutex_lock(&device->lock);
    device->ops->read(device, offset, bytes, length);
    pthread_mutex_unlock(&device->lock);
}

void device_write(struct device *device, uint64_t offset, const uint8_t *bytes, size_t length)
{
    pthread_mutex_lock(&device->lock);
    device->ops->write(device, offset, bytes, length);
    pthread_mutex_unlock(&device->lock);
}

uint8_t device_in(struct device *device, uint64_t offset)
{
    uint8_t byte;

    device_read(device, offset, &byte, 1);
    return byte;
}

void device_out(struct device *device, uint64_t offset, uint8_t value)
{
    device_write(device, offset, &value, 1);
}

uint64_t next_random(uint64_t *state)
{
    /* Marsaglia's xorshift64; the state must not be 0. */
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
