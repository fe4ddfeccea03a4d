/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SERIAL_INTERNAL_H
#define MOTE_SERIAL_INTERNAL_H

/*
 * The serial port's parts among themselves:
 *
 *   serial.c             registers, transmitter, receiver, life
 *   serial_interrupt.c   which cause is pending, and what of it the line shows
 *   serial_state.c       saving and loading
 */

#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "devices/serial_registers.h"
#include "vmm/base/timer.h"

struct serial {
    struct device device;
    struct irq_line irq;
    struct event_loop *loop;
    struct log *log;
    struct console *console; /* NULL: nothing connected */

    uint8_t ier, fcr, lcr, mcr, scr, divisor_low, divisor_high;
    uint8_t line_errors; /* LSR bits that stay until LSR is read */
    uint8_t modem_deltas;

    uint8_t received[FIFO_SIZE];
    unsigned int first, count; /* count is at most 1 with the FIFO disabled */

    bool transmit_pending; /* the transmit interrupt, while IER enables it */
    bool transmit_waiting; /* it comes with the console's room */
    bool transmit_deferred; /* it is pending, and reaches the line with the timer */
    bool edge_owed;
    bool line_high;
    bool timer_armed;
    struct timer timer;

    uint64_t lost;
};

/* From the console, as far as the guest takes it. */
void serial_fill_receiver(struct serial *serial);

/* The device's operation, see device.h. */
void serial_state(struct device *device, struct state *state);

/* The pending cause of the highest priority, as IIR tells it. */
uint8_t serial_cause(const struct serial *serial);

/* After each change of a cause or its mask. */
void serial_update_line(struct serial *serial);

/* A character's time, for what reaches the line after it. */
void serial_start_timer(struct serial *serial);
int serial_open_timer(struct serial *serial, struct error *error);

#endif
