/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC's keyboard controller, for the one thing that it is still used for:
 * command 0xfe on port 0x64 resets the machine.  Window: ports 0x60 to 0x64.
 *
 * There is no keyboard, and a driver that probes for the controller should
 * find that out fast.  Linux flushes the output buffer first and gives up
 * ("No controller found") if it is still full after 16 bytes; an empty buffer
 * instead would make it send commands and wait half a second for each answer.
 * So the buffer always looks full, except after 64 reads in a row: a driver
 * that flushes for as long as it takes must come to an end too.  The input
 * buffer always looks empty: whoever waits for that before the reset command
 * does not wait.
 *
 * Port 0x61 is not the controller's but lies in between: system control port
 * B.  Bit 5 there is the output of the timer's channel 2, on which old delay
 * loops wait; it reads as 1, so that no guest waits for a timer that is not
 * there.
 */

#include "i8042.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/machine/state.h"

#define PORT_DATA 0    /* 0x60 */
#define PORT_B 1       /* 0x61 */
#define PORT_COMMAND 4 /* 0x64; reads as the status */

#define STATUS_OUTPUT_FULL 0x01u
#define PORT_B_WRITABLE 0x0fu
#define PORT_B_TIMER_OUTPUT 0x20u
#define COMMAND_RESET 0xfe
#define FLUSH_MAX 64

struct i8042 {
    struct device device;
    struct guest_event_sink *events;
    unsigned int flushed; /* data bytes read since the last write */
    uint8_t port_b;
};

static int i8042_create(struct device **device, const struct device_env *env, const void *options,
                        struct error *error)
{
    struct i8042 *i8042 = calloc(1, sizeof(*i8042));

    (void)options;
    if (!i8042)
        return error_system(error, ENOMEM, "i8042");
    device_init(&i8042->device, &i8042_ops);
    i8042->events = env->events;
    *device = &i8042->device;
    return 0;
}

static void i8042_destroy(struct device *device)
{
    device_release(device);
    free(device);
}

static uint8_t read_port(struct i8042 *i8042, uint64_t port)
{
    switch (port) {
    case PORT_DATA:
        if (i8042->flushed < FLUSH_MAX)
            i8042->flushed++;
        return 0xff;
    case PORT_B:
        return i8042->port_b | PORT_B_TIMER_OUTPUT;
    case PORT_COMMAND:
        return i8042->flushed < FLUSH_MAX ? STATUS_OUTPUT_FULL : 0;
    default:
        return 0xff;
    }
}

static void i8042_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = read_port((struct i8042 *)device, offset + i);
}

static void write_port(struct i8042 *i8042, uint64_t port, uint8_t value)
{
    if (port == PORT_B)
        i8042->port_b = value & PORT_B_WRITABLE;
    if (port == PORT_DATA || port == PORT_COMMAND)
        i8042->flushed = 0;
    if (port == PORT_COMMAND && value == COMMAND_RESET)
        i8042->events->report(i8042->events->context, GUEST_RESET, "i8042 reset", 0);
}

static void i8042_write(struct device *device, uint64_t offset, const uint8_t *bytes,
                        size_t length)
{
    for (size_t i = 0; i < length; i++)
        write_port((struct i8042 *)device, offset + i, bytes[i]);
}

static void i8042_state(struct device *device, struct state *state)
{
    struct i8042 *i8042 = (struct i8042 *)device;
    uint32_t flushed = i8042->flushed;

    state_begin(state, "i8042", 0, 1);
    state_u32(state, &flushed);
    state_u8(state, &i8042->port_b);
    state_require(state, flushed <= FLUSH_MAX, "the number of flushed bytes");
    state_require(state, (i8042->port_b & ~PORT_B_WRITABLE) == 0, "port B");
    state_end(state);
    i8042->flushed = flushed;
}

const struct device_ops i8042_ops = {
    .name = "i8042",
    .create = i8042_create,
    .destroy = i8042_destroy,
    .read = i8042_read,
    .write = i8042_write,
    .state = i8042_state,
};
