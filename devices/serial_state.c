/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the console has not written out yet belongs to the VM that was saved,
 * which writes it.  A loaded port has a console with room: a guest that waited
 * for that gets its interrupt after a character's time, when the loop runs and
 * whatever the line leads to is loaded as well.
 */
#include "devices/serial_internal.h"
#include "vmm/machine/state.h"

static void check_registers(const struct serial *serial, struct state *state)
{
    uint32_t capacity = serial->fcr & FCR_ENABLE ? FIFO_SIZE : 1;

    state_require(state, (serial->ier & ~IER_BITS) == 0, "the interrupt enable register");
    state_require(state, (serial->fcr & ~FCR_KEPT) == 0 &&
                         (serial->fcr == 0 || serial->fcr & FCR_ENABLE),
                  "the FIFO control register");
    state_require(state, (serial->mcr & ~MCR_BITS) == 0, "the modem control register");
    state_require(state, (serial->line_errors & ~LSR_OVERRUN) == 0, "the line's errors");
    state_require(state, serial->modem_deltas <= 0x0f, "the modem's changes");
    state_require(state, serial->first < FIFO_SIZE, "the begin of the receive FIFO");
    state_require(state, serial->count <= capacity, "the fill of the receive FIFO");
}

static void registers_state(struct serial *serial, struct state *state)
{
    uint8_t first = (uint8_t)serial->first, count = (uint8_t)serial->count;

    state_u8(state, &serial->ier);
    state_u8(state, &serial->fcr);
    state_u8(state, &serial->lcr);
    state_u8(state, &serial->mcr);
    state_u8(state, &serial->scr);
    state_u8(state, &serial->divisor_low);
    state_u8(state, &serial->divisor_high);
    state_u8(state, &serial->line_errors);
    state_u8(state, &serial->modem_deltas);
    state_bytes(state, serial->received, sizeof(serial->received));
    state_u8(state, &first);
    state_u8(state, &count);
    serial->first = first;
    serial->count = count;
    check_registers(serial, state);
}

static void interrupt_state(struct serial *serial, struct state *state)
{
    state_bool(state, &serial->transmit_pending);
    state_bool(state, &serial->transmit_waiting);
    state_bool(state, &serial->transmit_deferred);
    state_bool(state, &serial->edge_owed);
    state_bool(state, &serial->line_high);
    state_require(state, !serial->transmit_waiting ||
                         (serial->ier & IER_TRANSMIT && !serial->transmit_pending),
                  "what the transmitter waits for");
    state_require(state, !serial->transmit_pending || serial->ier & IER_TRANSMIT,
                  "the transmit interrupt");
}

void serial_state(struct device *device, struct state *state)
{
    struct serial *serial = (struct serial *)device;

    state_begin(state, "serial", 0, 1);
    registers_state(serial, state);
    interrupt_state(serial, state);
    state_end(state);
    if (!state_is_loading(state))
        return;
    if (!state_is_sound(state)) {
        serial->first = serial->count = 0;
        return;
    }
    if (serial->transmit_waiting) {
        serial->transmit_waiting = false;
        serial->transmit_pending = serial->transmit_deferred = true;
    }
    serial_start_timer(serial);
}
