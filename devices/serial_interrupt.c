/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port's interrupts.  The port drives its line like a real one, high
 * while any enabled cause is pending and OUT2 opens the gate.  An edge-triggered
 * consumer needs an edge for each new cause; yet an edge that comes while its
 * handler still runs is latched and costs an interrupt for nothing.  Two rules
 * follow:
 *
 *   The transmit cause that a written byte gives rise to shows in IIR at once,
 *   but on the line a millisecond later, as if sending took that long.  A
 *   handler that looks at IIR again, as Linux's does, goes on with no further
 *   interrupt; one that does not gets its edge.
 *
 *   Where the guest reads one byte and others stay behind, a line that is high
 *   drops and rises a millisecond later, should it still be high then.
 */

#include "devices/serial_internal.h"

#define CHARACTER_NANOSECONDS 1000000

static unsigned int trigger_level(const struct serial *serial)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };

    return serial->fcr & FCR_ENABLE ? levels[serial->fcr >> 6] : 1;
}

uint8_t serial_cause(const struct serial *serial)
{
    if (serial->ier & IER_LINE && serial->line_errors)
        return IIR_LINE;
    if (serial->ier & IER_RECEIVED && serial->count > 0)
        return serial->count >= trigger_level(serial) ? IIR_RECEIVED : IIR_TIMEOUT;
    if (serial->ier & IER_TRANSMIT && serial->transmit_pending)
        return IIR_TRANSMIT;
    if (serial->ier & IER_MODEM && serial->modem_deltas)
        return IIR_MODEM;
    return IIR_NONE;
}

static bool wants_line_high(const struct serial *serial)
{
    uint8_t pending = serial_cause(serial);

    /* The loopback takes OUT2, and with it the gate, off the pin. */
    if ((serial->mcr & (MCR_OUT2 | MCR_LOOP)) != MCR_OUT2)
        return false;
    if (pending == IIR_TRANSMIT && serial->transmit_deferred)
        return serial->ier & IER_MODEM && serial->modem_deltas;
    return pending != IIR_NONE;
}

void serial_update_line(struct serial *serial)
{
    bool high = wants_line_high(serial);

    if (high == serial->line_high)
        return;
    serial->line_high = high;
    if (high)
        irq_line_raise(&serial->irq);
    else
        irq_line_lower(&serial->irq);
}

void serial_start_timer(struct serial *serial)
{
    if (!serial->timer_armed)
        timer_set_ns(&serial->timer, CHARACTER_NANOSECONDS);
    serial->timer_armed = true;
}

static void timer_expired(void *context)
{
    struct serial *serial = context;

    serial->timer_armed = false;
    serial->transmit_deferred = false;
    if (serial->edge_owed && serial->line_high) {
        irq_line_lower(&serial->irq);
        irq_line_raise(&serial->irq);
    }
    serial->edge_owed = false;
    /* Input that came before the port's state was loaded; else there is none. */
    serial_fill_receiver(serial);
    serial_update_line(serial);
}

int serial_open_timer(struct serial *serial, struct error *error)
{
    int result = timer_open_locked(&serial->timer, serial->loop, &serial->device.lock,
                                   timer_expired, serial);

    return result < 0 ? error_system(error, -result, "serial: timer") : 0;
}
