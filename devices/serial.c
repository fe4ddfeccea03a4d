/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A serial port (National Semiconductor PC16550D), as PCs have it.
 *
 * Sending takes no time: a byte goes into the console's ring at once and the
 * transmitter is empty again.  With less room in the ring than a transmit FIFO
 * holds, LSR shows the transmitter as busy, and its interrupt comes when there
 * is room.  A guest that sends all the same loses what has no room.
 *
 * Receiving: the receive FIFO is filled from the console whenever it is empty
 * or input arrives, but only while the guest asserts RTS.  A driver clears the
 * FIFO while it sets the port up, and what was typed (or piped) before then
 * must not be lost: Linux asserts RTS last.  Only the loopback can overrun.
 * Data below the trigger level counts as timed out at once.
 *
 * Not modelled: baud rate, parity, word length, breaks, DMA modes.
 */
#include "devices/serial.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/backend/console.h"
#include "devices/registry.h"
#include "devices/serial_internal.h"
#include "devices/serial_registers.h"

/* ---- the transmitter ---- */

/* A guest that sees THRE may fill a whole FIFO without looking again. */
static bool transmitter_empty(struct serial *serial)
{
    return !serial->console || serial->mcr & MCR_LOOP ||
           console_has_room(serial->console, FIFO_SIZE);
}

static void offer_transmit(struct serial *serial)
{
    bool enabled = serial->ier & IER_TRANSMIT;
    bool empty = enabled && transmitter_empty(serial);

    serial->transmit_pending = empty;
    serial->transmit_deferred = false;
    serial->transmit_waiting = enabled && !empty;
}

static void output_room(void *context)
{
    struct serial *serial = context;

    if (!serial->transmit_waiting)
        return;
    offer_transmit(serial);
    serial_update_line(serial);
}

/* ---- the receiver ---- */

static void receive_byte(struct serial *serial, uint8_t byte)
{
    unsigned int capacity = serial->fcr & FCR_ENABLE ? FIFO_SIZE : 1;

    if (serial->count == capacity) {
        serial->line_errors |= LSR_OVERRUN;
        /* A FIFO keeps what it has; the bare buffer takes the new byte. */
        if (capacity == 1)
            serial->received[serial->first] = byte;
        return;
    }
    serial->received[(serial->first + serial->count) % FIFO_SIZE] = byte;
    serial->count++;
}

void serial_fill_receiver(struct serial *serial)
{
    unsigned int capacity = serial->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
    uint8_t bytes[FIFO_SIZE];
    size_t length;

    if (!serial->console || (serial->mcr & (MCR_RTS | MCR_LOOP)) != MCR_RTS ||
        serial->count >= capacity)
        return;
    length = console_read(serial->console, bytes, capacity - serial->count);
    for (size_t i = 0; i < length; i++)
        receive_byte(serial, bytes[i]);
}

static void input_ready(void *context)
{
    struct serial *serial = context;

    serial_fill_receiver(serial);
    serial_update_line(serial);
}

/* ---- registers ---- */

static uint8_t read_data(struct serial *serial)
{
    bool was_high = serial->line_high;
    uint8_t byte = 0;

    if (serial->count > 0) {
        byte = serial->received[serial->first];
        serial->first = (serial->first + 1) % FIFO_SIZE;
        serial->count--;
    }
    serial_update_line(serial);
    if (was_high && serial->line_high) {
        serial->edge_owed = true;
        serial_start_timer(serial);
    }
    if (serial->count == 0)
        serial_fill_receiver(serial);
    serial_update_line(serial);
    return byte;
}

static void write_data(struct serial *serial, uint8_t byte)
{
    if (serial->mcr & MCR_LOOP) {
        receive_byte(serial, byte);
    } else if (serial->console && console_write(serial->console, &byte, 1) == 0) {
        if (serial->lost++ == 0)
            log_limited(serial->log, NULL, LOG_WARN,
                        "serial: the guest sends faster than its console takes, and without flow "
                        "control; bytes are lost");
    }
    offer_transmit(serial);
    if (serial->transmit_pending) {
        serial->transmit_deferred = true;
        serial_start_timer(serial);
    }
    serial_update_line(serial);
}

static void write_ier(struct serial *serial, uint8_t value)
{
    bool enabled = value & ~serial->ier & IER_TRANSMIT;

    serial->ier = value & IER_BITS;
    if (enabled || !(serial->ier & IER_TRANSMIT))
        offer_transmit(serial);
    serial_update_line(serial);
}

/* Reading IIR answers the transmit interrupt, if that is what it tells of. */
static uint8_t read_iir(struct serial *serial)
{
    uint8_t value = serial_cause(serial);

    if (value == IIR_TRANSMIT) {
        serial->transmit_pending = false;
        serial_update_line(serial);
    }
    return value | (serial->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static void write_fcr(struct serial *serial, uint8_t value)
{
    bool changed = (value ^ serial->fcr) & FCR_ENABLE;

    /* Nothing is ever in the transmit FIFO, so clearing that does nothing. */
    if (changed || (value & FCR_ENABLE && value & FCR_CLEAR_RECEIVER))
        serial->first = serial->count = 0;
    serial->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
    serial_update_line(serial);
    serial_fill_receiver(serial);
    serial_update_line(serial);
}

/* Modem inputs: the host is always there and ready, or the loopback's outputs. */
static uint8_t modem_inputs(uint8_t mcr)
{
    if (!(mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
                     (mcr & MCR_OUT1 ? MSR_RING : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void write_mcr(struct serial *serial, uint8_t value)
{
    uint8_t before = modem_inputs(serial->mcr);
    uint8_t after = modem_inputs(value);
    uint8_t deltas = (uint8_t)((before ^ after) >> 4);

    /* Of the ring indicator only the end counts. */
    if (after & MSR_RING)
        deltas &= (uint8_t)~MSR_RING_ENDED;
    serial->mcr = value & MCR_BITS;
    serial->modem_deltas |= deltas;
    serial_fill_receiver(serial);
    serial_update_line(serial);
}

static uint8_t read_lsr(struct serial *serial)
{
    uint8_t value = serial->line_errors;

    if (serial->count > 0)
        value |= LSR_DATA;
    if (transmitter_empty(serial))
        value |= LSR_THRE | LSR_TEMT;
    serial->line_errors = 0;
    serial_update_line(serial);
    return value;
}

static uint8_t read_msr(struct serial *serial)
{
    uint8_t value = modem_inputs(serial->mcr) | serial->modem_deltas;

    serial->modem_deltas = 0;
    serial_update_line(serial);
    return value;
}

static uint8_t read_register(struct serial *serial, uint64_t offset)
{
    bool dlab = serial->lcr & LCR_DLAB;

    switch (offset) {
    case REG_DATA:
        return dlab ? serial->divisor_low : read_data(serial);
    case REG_IER:
        return dlab ? serial->divisor_high : serial->ier;
    case REG_IIR:
        return read_iir(serial);
    case REG_LCR:
        return serial->lcr;
    case REG_MCR:
        return serial->mcr;
    case REG_LSR:
        return read_lsr(serial);
    case REG_MSR:
        return read_msr(serial);
    case REG_SCR:
        return serial->scr;
    default:
        return 0xff;
    }
}

static void write_register(struct serial *serial, uint64_t offset, uint8_t value)
{
    bool dlab = serial->lcr & LCR_DLAB;

    switch (offset) {
    case REG_DATA:
        if (dlab)
            serial->divisor_low = value;
        else
            write_data(serial, value);
        break;
    case REG_IER:
        if (dlab)
            serial->divisor_high = value;
        else
            write_ier(serial, value);
        break;
    case REG_IIR:
        write_fcr(serial, value);
        break;
    case REG_LCR:
        serial->lcr = value;
        break;
    case REG_MCR:
        write_mcr(serial, value);
        break;
    case REG_SCR:
        serial->scr = value;
        break;
    default: /* LSR and MSR are read-only here */
        break;
    }
}

/* Only bytes mean something: an ISA bus splits what is wider, in this order. */
static void serial_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = read_register((struct serial *)device, offset + i);
}

static void serial_write(struct device *device, uint64_t offset, const uint8_t *bytes,
                         size_t length)
{
    for (size_t i = 0; i < length; i++)
        write_register((struct serial *)device, offset + i, bytes[i]);
}

/* ---- life ---- */

static void serial_destroy(struct device *device)
{
    struct serial *serial = (struct serial *)device;

    if (serial->console)
        console_detach(serial->console);
    timer_close(&serial->timer);
    if (serial->lost > 0)
        log_limited(serial->log, NULL, LOG_WARN,
                    "serial: %llu bytes of the guest's output were lost",
                    (unsigned long long)serial->lost);
    device_release(device);
    free(serial);
}

static int attach(struct serial *serial, struct console *console, struct error *error)
{
    const struct console_peer peer = {
        .lock = &serial->device.lock,
        .input_ready = input_ready,
        .output_room = output_room,
        .context = serial,
    };
    int result = console_attach(console, serial->loop, &peer, error);

    if (result == 0)
        serial->console = console;
    return result;
}

static int serial_create(struct device **device, const struct device_env *env, const void *options,
                         struct error *error)
{
    struct serial *serial = calloc(1, sizeof(*serial));
    int result;

    (void)options;
    if (!serial)
        return error_system(error, ENOMEM, "serial");
    device_init(&serial->device, &serial_ops);
    serial->irq = env->irq;
    serial->loop = env->loop;
    serial->log = env->log;
    serial->timer = (struct timer)TIMER_INIT;
    serial->divisor_low = 12; /* 9600 baud, as firmware would have left it */
    result = serial_open_timer(serial, error);
    if (result == 0 && env->console)
        result = attach(serial, env->console, error);
    if (result < 0) {
        serial_destroy(&serial->device);
        return result;
    }
    *device = &serial->device;
    return 0;
}

const struct device_ops serial_ops = {
    .name = "serial",
    .create = serial_create,
    .destroy = serial_destroy,
    .read = serial_read,
    .write = serial_write,
    .state = serial_state,
};
