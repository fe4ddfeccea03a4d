/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port on a console whose output goes to a pipe that nobody reads
 * and whose input comes from another pipe: a list of operations, each a byte
 * for what, then an argument.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/registry.h"
#include "devices/serial.h"
#include "tests/fuzz/fuzz.h"

#define OPERATIONS_MAX 128

static bool line_high;

static void set_level(void *controller, unsigned int number, bool high)
{
    (void)controller;
    (void)number;
    line_high = high;
}

static void close_pipe(const int pipes[2])
{
    close(pipes[0]);
    close(pipes[1]);
}

static void operate(struct device *serial, unsigned int what, struct fuzz_input *input, int feed)
{
    static const size_t lengths[] = { 1, 1, 2, 4 };
    size_t length = lengths[what >> 6];
    uint64_t offset = (what >> 3 & 7) % (SERIAL_WINDOW - length + 1);
    uint8_t bytes[8] = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee };

    switch (what & 7) {
    case 0:
        pthread_mutex_lock(&serial->lock);
        serial->ops->read(serial, offset, bytes, length);
        pthread_mutex_unlock(&serial->lock);
        fuzz_require(bytes[length] == 0xee);
        break;
    case 1:
        for (size_t sent = fuzz_take(input, 1) * 4 + 1; sent > 0; sent--) {
            pthread_mutex_lock(&serial->lock);
            serial->ops->write(serial, 0, bytes, 1);
            pthread_mutex_unlock(&serial->lock);
        }
        break;
    case 2: {
        struct fuzz_input typed = fuzz_take_bytes(input, what >> 3);

        if (typed.size && write(feed, typed.bytes, typed.size) < 0)
            return; /* the pipe is full: the guest reads nothing */
        break;
    }
    default:
        for (size_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)fuzz_take(input, 1);
        pthread_mutex_lock(&serial->lock);
        serial->ops->write(serial, offset, bytes, length);
        pthread_mutex_unlock(&serial->lock);
        break;
    }
}

/* With all interrupts off, the line must be low. */
static void check_quiet(struct device *serial)
{
    const uint8_t zero = 0;

    serial->ops->write(serial, 3, &zero, 1); /* LCR: no divisor latch */
    serial->ops->write(serial, 1, &zero, 1); /* IER */
    fuzz_require(!line_high);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    struct log log = { .fd = -1, .level = LOG_ERROR };
    struct device_env env = { .irq = { .set_level = set_level }, .log = &log };
    struct console_options console_options = { .log = &log };
    struct error error;
    struct device *serial;
    int in[2], out[2];

    fuzz_require(pipe2(in, O_CLOEXEC | O_NONBLOCK) == 0 && pipe2(out, O_CLOEXEC | O_NONBLOCK) == 0);
    console_options.input_fd = in[0];
    console_options.output_fd = out[1];
    line_high = false;
    fuzz_require(event_loop_create(&env.loop, &error) == 0);
    fuzz_require(console_create(&env.console, &console_options, &error) == 0);
    fuzz_require(serial_ops.create(&serial, &env, NULL, &error) == 0);
    for (int i = 0; i < OPERATIONS_MAX && input.size; i++)
        operate(serial, (unsigned int)fuzz_take(&input, 1), &input, in[1]);
    check_quiet(serial);
    serial_ops.destroy(serial);
    console_destroy(env.console);
    event_loop_destroy(env.loop);
    close_pipe(in);
    close_pipe(out);
    return 0;
}
