/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SERIAL_REGISTERS_H
#define MOTE_SERIAL_REGISTERS_H

/* Registers and bits of the 16550A, by the names of its data sheet. */

#define FIFO_SIZE 16

enum serial_register {
    REG_DATA, /* RBR, THR; DLL with DLAB */
    REG_IER,  /* DLM with DLAB */
    REG_IIR,  /* FCR when written */
    REG_LCR,
    REG_MCR,
    REG_LSR,
    REG_MSR,
    REG_SCR,
};

#define IER_RECEIVED 0x01u
#define IER_TRANSMIT 0x02u
#define IER_LINE 0x04u
#define IER_MODEM 0x08u
#define IER_BITS 0x0fu

#define IIR_NONE 0x01u
#define IIR_MODEM 0x00u
#define IIR_TRANSMIT 0x02u
#define IIR_RECEIVED 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO 0xc0u

#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RECEIVER 0x02u
#define FCR_KEPT 0xc9u /* enable, DMA mode, trigger level */

#define LCR_DLAB 0x80u

#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_BITS 0x1fu

#define LSR_DATA 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u

#define MSR_RING_ENDED 0x04u
#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RING 0x40u
#define MSR_DCD 0x80u

#endif
