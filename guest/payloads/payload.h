/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_H
#define MOTE_PAYLOAD_H

/*
 * What bare-metal guests share: ports, MMIO and a polled serial port.  They
 * know the machine's addresses by heart, as a guest may: nothing is included
 * from the monitor.
 */

#include <stddef.h>
#include <stdint.h>

enum { STARTED_BY_LINUX64, STARTED_BY_PVH };

/* ARGUMENT is boot_params or the PVH start info, as PROTOCOL tells. */
void payload_main(int protocol, const void *argument);

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

#define SERIAL_PORT 0x3f8
#define SERIAL_LSR (SERIAL_PORT + 5)
#define SERIAL_LSR_THRE 0x20

static inline void print(const char *text)
{
    for (; *text; text++) {
        while (!(in8(SERIAL_LSR) & SERIAL_LSR_THRE))
            ;
        out8(SERIAL_PORT, (uint8_t)*text);
    }
}

static inline void power_off(void)
{
    out8(0x600, 0x34); /* SLP_EN, sleep type 5 */
    for (;;)
        __asm__ volatile("hlt");
}

#endif
